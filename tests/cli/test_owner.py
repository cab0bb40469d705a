"""``berrante owner …``, and the secret that signs sessions."""

import stat
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from berrante.app.errors import SecretUnreadable
from berrante.app.secret import secret_key
from berrante.cli import app
from berrante.messaging.organizations import Organizations
from berrante.messaging.people import People, Role
from berrante.settings import SettingsInvalid, load
from berrante.store import Database
from tests.cli.test_commands import engines

__all__ = ["engines"]
_runner = CliRunner()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BERRANTE_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("engines")
def test_an_owner_is_made_once_and_given_a_new_password(database_url: str) -> None:
    made = _runner.invoke(app, ["owner", "create", "Root@example.com"])
    assert made.exit_code == 0, made.output
    (password,) = [line.split()[1] for line in made.output.splitlines() if line.startswith("password: ")]
    again = _runner.invoke(app, ["owner", "create", "root@example.com"])
    assert again.exit_code == 1
    assert "exists already" in str(again.exception)

    reset = _runner.invoke(
        app, ["owner", "reset-password", "root@example.com", "--password-stdin"], input="from standard input\n"
    )
    assert reset.exit_code == 0, reset.output
    assert "standard input" not in reset.output
    assert "0 sessions were ended" in reset.output
    unknown = _runner.invoke(app, ["owner", "reset-password", "nobody@example.com"])
    assert "no such owner" in str(unknown.exception)
    _verified(database_url, right="from standard input", wrong=password)


@pytest.mark.usefixtures("engines")
def test_an_organizations_owner_is_made_and_reset_by_its_id_alone(database_url: str) -> None:
    import asyncio  # noqa: PLC0415  the commands run loops of their own

    async def organization() -> str:
        database = Database(database_url)
        made = await Organizations(database).create("Acme")
        await database.close()
        return str(made.id)

    assert _runner.invoke(app, ["owner", "create", "root@example.com"]).exit_code == 0  # and the tables with them
    of = ["--organization", asyncio.run(organization())]
    assert _runner.invoke(app, ["owner", "create", "ana@example.com", *of]).exit_code == 0
    nowhere = _runner.invoke(app, ["owner", "create", "bia@example.com", "--organization", str(UUID(int=1))])
    assert "no such organization" in str(nowhere.exception)
    for mistaken in (["ana@example.com"], ["root@example.com", *of]):
        refused = _runner.invoke(app, ["owner", "reset-password", *mistaken])
        assert "no such owner" in str(refused.exception)
    reset = _runner.invoke(
        app, ["owner", "reset-password", "ana@example.com", "--password-stdin", *of], input="a new one\n"
    )
    assert reset.exit_code == 0, reset.output

    async def check() -> None:
        database = Database(database_url)
        ana = await People(database).verify("ana@example.com", "a new one")
        assert ana is not None
        assert (ana.role, str(ana.organization_id), ana.is_platform_owner) == (Role.OWNER, of[1], False)
        await database.close()

    asyncio.run(check())


def _verified(database_url: str, *, right: str, wrong: str) -> None:
    import asyncio  # noqa: PLC0415  the commands above ran loops of their own

    async def check() -> None:
        database = Database(database_url)
        people = People(database)
        assert await people.verify("root@example.com", right) is not None
        assert await people.verify("root@example.com", wrong) is None
        await database.close()

    asyncio.run(check())


def test_a_secret_is_made_once_and_only_the_owner_of_the_folder_reads_it(own_folder: Path) -> None:
    made = secret_key(load(data_dir=own_folder / "new"))
    assert secret_key(load(data_dir=own_folder / "new")) == made
    assert len(made) > 50
    file = own_folder / "new" / "secret_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert secret_key(load(secret_key="x" * 40)) == "x" * 40


def test_a_folder_that_cannot_keep_the_secret_names_the_remedy(own_folder: Path) -> None:
    (own_folder / "file").write_text("")
    with pytest.raises(SecretUnreadable, match="set BERRANTE_SECRET_KEY"):
        secret_key(load(data_dir=own_folder / "file"))


def test_production_refuses_a_missing_and_a_made_secret(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = secret_key(load())
    monkeypatch.setenv("BERRANTE_ENV", "production")
    with pytest.raises(SettingsInvalid, match="BERRANTE_SECRET_KEY is missing"):
        load()
    monkeypatch.setenv("BERRANTE_SECRET_KEY", made)
    with pytest.raises(SettingsInvalid, match="is the one of a development machine") as caught:
        load()
    assert made not in str(caught.value)
    monkeypatch.setenv("BERRANTE_SECRET_KEY", "short")
    with pytest.raises(SettingsInvalid, match="BERRANTE_SECRET_KEY is unfit"):
        load()
    monkeypatch.setenv("BERRANTE_SECRET_KEY", "a key of our own, long enough for all")
    assert load().secret_key is not None
