"""The sidecar as ``up`` runs it: started when the first number is there, whoever made it."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from berrante.app import Application
from berrante.app.sidecar import watch_sidecar
from berrante.gateways.baileys.installation import Installed
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.settings import BaileysSettings
from berrante.telemetry import events
from tests.app.process import settings_for
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import KEY, free_port
from tests.waiting import until


async def test_the_sidecar_starts_with_the_first_number_and_ends_with_us(
    installed: Installed,
    whatsapp: FakeWhatsApp,
    redis_url: str,
    database_url: str,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int] = []
    monkeypatch.setattr(events, "SIDECAR_READY", lambda **fields: started.append(fields["pid"]))
    for name, value in (("", "1"), ("_WA_URL", whatsapp.wa), ("_WA_ROOT", whatsapp.root)):
        monkeypatch.setenv(f"SIDECAR_TEST{name}", value)
    baileys = BaileysSettings(port=free_port(), key=SecretStr(KEY))
    settings = settings_for(
        redis_url=redis_url, database_url=database_url, prefix=prefix, baileys=baileys, data_dir=tmp_path
    )
    stop = asyncio.Event()
    async with Application.open(settings) as application:
        watching = asyncio.create_task(watch_sidecar(application, until=stop))
        organization = await Organizations(application.database).create("Feira")
        await Instances(application.database).create(organization_id=organization.id, id="sales", gateway="baileys")

        status = await application.sidecars.connect("sales", organization_id=organization.id)
        stop.set()
        await watching

    assert status.state in {"connecting", "qr"}
    assert len(started) == 1
    await until(lambda: not Path(f"/proc/{started[0]}").exists())
    assert (tmp_path / "baileys.token").stat().st_mode & 0o777 == 0o600
