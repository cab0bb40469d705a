"""The statements by which a batch of an import is stored; all take a batch at once."""

from typing import Final

from sqlalchemy import text

# The hash is address_hash of messaging/contacts/consent.py, computed where the rows are.
_HASH: Final = "sha256(uuid_send(CAST(:organization AS uuid)) || convert_to({}, 'UTF8'))"

BARRED: Final = text(f"""
    SELECT given.address, opt_outs.erased_at IS NOT NULL AS erased
      FROM unnest(CAST(:addresses AS text[])) AS given (address)
      JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                   AND opt_outs.address_hash = {_HASH.format("given.address")}
""")  # noqa: S608  constants alone

# Contacts that may have no room for a row's fields or tags; only of them what they have is read.
NEARLY_FULL: Final = text("""
    SELECT address, fields, tags FROM contacts
     WHERE instance_id = :instance AND address = ANY(CAST(:addresses AS text[]))
       AND (cardinality(tags) > :tags OR octet_length(fields::text) > :fields)
""")
# In order of the addresses, so that two imports that meet wait for each other and never deadlock. What was said later,
# here or at another number, stays, and nobody who opted out is opted in by a list.
UPSERT: Final = text(f"""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
            id uuid, address text, kind text, name text, name_key text, language text, fields jsonb, tags jsonb,
            state text, source text, words text, by text, at timestamptz
        )
    ), stored AS (
        INSERT INTO contacts AS own (
            id, organization_id, instance_id, address_kind, address, name, name_key, name_given, language, fields, tags,
            consent, consent_at, first_seen_at, updated_at
        )
        SELECT given.id, CAST(:organization AS uuid), CAST(:instance AS text), given.kind, given.address, given.name,
               given.name_key, given.name IS NOT NULL, given.language, given.fields,
               ARRAY(SELECT jsonb_array_elements_text(given.tags)),
               CASE WHEN opt_outs.address_hash IS NOT NULL THEN 'opted_out'
                    WHEN said.consent_at > given.at THEN said.consent
                    ELSE coalesce(given.state, said.consent, 'unknown') END,
               CASE WHEN said.consent_at > given.at THEN said.consent_at
                    ELSE coalesce(given.at, said.consent_at) END,
               CAST(:now AS timestamptz), CAST(:now AS timestamptz)
          FROM given
          LEFT JOIN LATERAL (SELECT other.consent, other.consent_at FROM contacts AS other
                              WHERE other.organization_id = CAST(:organization AS uuid)
                                AND other.address = given.address AND other.consent <> 'unknown'
                              LIMIT 1) AS said ON true
          LEFT JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                            AND opt_outs.address_hash = {_HASH.format("given.address")}
         ORDER BY given.address
            ON CONFLICT (instance_id, address) DO UPDATE
           SET name = coalesce(excluded.name, own.name),
               name_key = coalesce(excluded.name_key, own.name_key),
               name_given = own.name_given OR excluded.name_given,
               language = coalesce(excluded.language, own.language),
               fields = own.fields || excluded.fields,
               tags = ARRAY(SELECT DISTINCT tag FROM unnest(own.tags || excluded.tags) AS tag ORDER BY tag),
               (consent, consent_at) = (
                   SELECT CASE WHEN is_news THEN excluded.consent ELSE own.consent END,
                          CASE WHEN is_news THEN excluded.consent_at ELSE own.consent_at END
                     FROM (SELECT excluded.consent_at IS NOT NULL AND own.consent NOT IN ('opted_out', excluded.consent)
                              AND (own.consent_at IS NULL OR own.consent_at <= excluded.consent_at)) AS news (is_news)
               ),
               updated_at = excluded.updated_at
         -- A row that changes nothing costs no new version of it in the table and in all its indexes.
         WHERE (excluded.name IS NOT NULL AND (own.name IS DISTINCT FROM excluded.name OR NOT own.name_given))
            OR (excluded.language IS NOT NULL AND own.language IS DISTINCT FROM excluded.language)
            OR NOT own.fields @> excluded.fields
            OR NOT own.tags @> excluded.tags
            OR (excluded.consent_at IS NOT NULL AND own.consent NOT IN ('opted_out', excluded.consent)
                AND (own.consent_at IS NULL OR own.consent_at <= excluded.consent_at))
        RETURNING own.id, own.address, own.consent, own.consent_at, xmax = 0 AS created
    ), logged AS (
        INSERT INTO consents (id, organization_id, instance_id, contact_id, state, source, text, by, at)
        SELECT gen_random_uuid(), CAST(:organization AS uuid), CAST(:instance AS text), stored.id, given.state,
               given.source, given.words, given.by, given.at
          FROM stored JOIN given USING (address)
         WHERE given.state = stored.consent AND given.at = stored.consent_at
           AND NOT EXISTS (SELECT FROM consents AS before WHERE before.contact_id = stored.id
                              AND before.state = given.state AND before.at = given.at)
    )
    SELECT count(*) FILTER (WHERE created) AS created,
           jsonb_object_agg(address, id)
               FILTER (WHERE consent = 'opted_out' AND address = ANY(CAST(:leaving AS text[]))) AS left
      FROM stored
""")  # noqa: S608  constants alone

# The same at the organization's other numbers.
CONSENT: Final = text("""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
            address text, state text, source text, words text, by text, at timestamptz
        )
    ), changed AS (
        UPDATE contacts
           SET consent = given.state, consent_at = given.at, updated_at = CAST(:now AS timestamptz)
          FROM given
         WHERE contacts.organization_id = CAST(:organization AS uuid)
           AND contacts.address = ANY(CAST(:addresses AS text[])) AND contacts.address = given.address
           AND contacts.instance_id <> CAST(:instance AS text)
           AND contacts.consent NOT IN ('opted_out', given.state)
           AND (contacts.consent_at IS NULL OR contacts.consent_at <= given.at)
        RETURNING contacts.id, contacts.instance_id, given.*
    )
    INSERT INTO consents (id, organization_id, instance_id, contact_id, state, source, text, by, at)
    SELECT gen_random_uuid(), CAST(:organization AS uuid), changed.instance_id, changed.id, changed.state,
           changed.source, changed.words, changed.by, changed.at
      FROM changed
""")

BAR: Final = text(f"""
    INSERT INTO opt_outs (organization_id, address_hash, opted_out_at)
    SELECT DISTINCT ON (contacts.address) contacts.organization_id, {_HASH.format("contacts.address")},
           coalesce(contacts.consent_at, CAST(:now AS timestamptz))
      FROM contacts
     WHERE contacts.organization_id = CAST(:organization AS uuid) AND contacts.consent = 'opted_out'
       AND contacts.address = ANY(CAST(:addresses AS text[]))
     ORDER BY contacts.address
        ON CONFLICT DO NOTHING
""")  # noqa: S608  constants alone
