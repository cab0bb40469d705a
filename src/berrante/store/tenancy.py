"""Row-level security: the web side sees one organization at a time, whatever a query forgets.

Web-side transactions act as the role ``berrante_web`` (``Database.tenant``), to which every policy applies. The login
of ``DATABASE_URL`` owns the tables, so policies pass over it: workers, which serve all organizations, see everything.
"""

from typing import Final

from alembic import op
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: Roles belong to the whole server: several databases on it share this one, and its rights are per database.
WEB_ROLE: Final = "berrante_web"
SETTING: Final = "berrante.organization_id"
_POLICY: Final = "tenant"
#: Empty, not null, is what a setting reads once the transaction that set it has ended.
_CURRENT: Final = f"nullif(current_setting('{SETTING}', true), '')::uuid"

_ENSURE_ROLE: Final = f"""
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{WEB_ROLE}') THEN
    BEGIN
      CREATE ROLE {WEB_ROLE} NOLOGIN;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server made it meanwhile
      WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the login % may not create role {WEB_ROLE}', current_user
          USING HINT = format('as an administrator, run: CREATE ROLE {WEB_ROLE} NOLOGIN; GRANT {WEB_ROLE} TO %I;',
                              current_user);
    END;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{WEB_ROLE}' AND (rolsuper OR rolbypassrls)) THEN
    RAISE EXCEPTION 'role {WEB_ROLE} passes over row-level security'
      USING HINT = 'as an administrator, run: ALTER ROLE {WEB_ROLE} NOSUPERUSER NOBYPASSRLS;';
  END IF;
  -- Since PostgreSQL 16 whoever makes a role may administer it, but not yet act as it.
  IF NOT pg_has_role(current_user, '{WEB_ROLE}',
                     CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
    BEGIN
      GRANT {WEB_ROLE} TO CURRENT_USER;
    EXCEPTION
      WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the login % may not act as role {WEB_ROLE}', current_user
          USING HINT = format('as an administrator, run: GRANT {WEB_ROLE} TO %I;', current_user);
    END;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO {WEB_ROLE}', current_schema());
END
$$
"""  # noqa: S608  constants of ours


def enable_tenancy(
    table: str, *, column: str = "organization_id", grants: str = "SELECT, INSERT, UPDATE, DELETE"
) -> None:
    """Let the web side see and write only the current organization's rows of a table; for migrations.

    Call it right after ``op.create_table``; dropping the table undoes it. ``grants`` narrows what the web side may do
    at all, for instance ``SELECT, INSERT`` for a log that nobody rewrites.

    Raises a ``ProgrammingError`` with the remedy if the login may neither create nor enter ``berrante_web``.
    """
    op.execute(_ENSURE_ROLE)
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(
        f'CREATE POLICY {_POLICY} ON "{table}" TO {WEB_ROLE} '
        f"USING ({column} = {_CURRENT}) WITH CHECK ({column} = {_CURRENT})"
    )
    op.execute(f'GRANT {grants} ON "{table}" TO {WEB_ROLE}')


def disable_tenancy(table: str) -> None:
    """Take ``enable_tenancy`` back, for a table that stays."""
    op.execute(f'REVOKE ALL ON "{table}" FROM {WEB_ROLE}')
    op.execute(f'DROP POLICY {_POLICY} ON "{table}"')
    op.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')


async def unguarded_tables(connection: AsyncConnection) -> list[str]:
    """Return the tables with an ``organization_id`` that no policy guards: there must be none."""
    query = text(f"""
        SELECT c.relname
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
           AND a.attname = 'organization_id' AND NOT a.attisdropped
           AND NOT (c.relrowsecurity AND EXISTS (
                 SELECT FROM pg_policy p
                  WHERE p.polrelid = c.oid AND p.polcmd = '*' AND to_regrole('{WEB_ROLE}') = ANY (p.polroles)
                    AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL))
         ORDER BY c.relname
    """)  # noqa: S608  a constant of ours
    return list((await connection.execute(query)).scalars())
