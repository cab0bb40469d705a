"""The Baileys sidecar of this installation: where it is, what it is given, and its watch."""

import asyncio
import base64
import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import exists, select

from berrante.gateways.baileys import BaileysError, Configuration, JobOptions, SidecarProcess, Sidecars, of_tests
from berrante.messaging.instances.models import instances
from berrante.messaging.outage import is_away
from berrante.settings import Settings, SettingsInvalid
from berrante.telemetry import events

if TYPE_CHECKING:
    from berrante.app.application import Application

#: What the sidecar is told under the names of our settings.
_SHARED: Final = ("host", "port", "capacity", "lease_ms", "ack_ms", "silent_ms", "backoff_ms", "backoff_cap_ms")
_LOOK_S: Final = 2.0


def open_sidecars(settings: Settings) -> Sidecars:
    """Return the sidecars, as the settings name them; does no I/O until one is asked for something."""
    urls = [url.strip() for url in settings.baileys.urls.split(",") if url.strip()] or [_own_url(settings)]
    return Sidecars(urls, token=lambda: _token(settings))


async def watch_sidecar(application: "Application", *, until: asyncio.Event) -> None:
    """Run a sidecar of our own from when a number needs it, until the event is set.

    Nothing is run when the settings name sidecars that run elsewhere. One that cannot be started is told of in the log:
    numbers on other gateways go on.
    """
    if application.settings.baileys.urls:
        await until.wait()
        return
    try:
        process = _process(application)
        application.sidecars.on_need = process.need
        looking = asyncio.create_task(_need_with_numbers(application, process), name="sidecar-need")
        try:
            await _run(process, until=until)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
    except (BaileysError, SettingsInvalid) as error:
        events.SIDECAR_UNAVAILABLE(reason=str(error))
        await until.wait()


async def run_sidecar(application: "Application", *, until: asyncio.Event) -> None:
    """Run a sidecar until the event is set; raises what keeps it from starting."""
    process = _process(application)
    process.need()
    await _run(process, until=until)


async def _run(process: SidecarProcess, *, until: asyncio.Event) -> None:
    running = asyncio.create_task(process.run(), name="sidecar")
    asked = asyncio.create_task(until.wait())
    try:
        await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        running.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await running


def _process(application: "Application") -> SidecarProcess:
    settings = application.settings
    message = settings.queue("message")
    configuration = Configuration(
        redis_url=application.engines.redis_url,
        database_url=application.engines.database_url,
        queue_prefix=settings.queue_prefix,
        token=_token(settings),
        key=_key(settings),
        job=JobOptions(**{field.name: getattr(message, field.name) for field in fields(JobOptions)}),
        **{name: getattr(settings.baileys, name) for name in _SHARED},
        **of_tests(os.environ),
    )
    environment = configuration.environment()
    return SidecarProcess(environment, data_dir=settings.data_dir.resolve(), listener=_log)


async def _need_with_numbers(application: "Application", process: SidecarProcess) -> None:
    """Need the sidecar once there is a number for it; another process may have made it."""
    while True:
        try:
            if await _has_numbers(application):
                process.need()
                return
        except Exception as error:
            if not is_away(error):
                raise
        await asyncio.sleep(_LOOK_S)


async def _has_numbers(application: "Application") -> bool:
    query = select(exists().where(instances.c.gateway == "baileys"))
    async with application.database.begin() as connection:
        return bool((await connection.execute(query)).scalar_one())


def _own_url(settings: Settings) -> str:
    host = settings.baileys.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.baileys.port}"


def _token(settings: Settings) -> str:
    given = settings.baileys.token
    return given.get_secret_value() if given else _kept(settings.data_dir / "baileys.token", secrets.token_urlsafe(32))


def _key(settings: Settings) -> str:
    if settings.baileys.key:
        return settings.baileys.key.get_secret_value()
    if settings.database_url:
        # A key in one machine's folder would lock every other machine out of the same database.
        raise SettingsInvalid(["BERRANTE_BAILEYS_KEY is not set: make one with openssl rand -base64 32, and keep it"])
    return _kept(settings.data_dir / "baileys.key", base64.b64encode(secrets.token_bytes(32)).decode())


def _kept(file: Path, fresh: str) -> str:
    """Return what the file holds; the first to ask writes it, and only its owner may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as output:
            output.write(fresh)
        os.link(aside, file)  # whole or not at all, and never over another's
    aside.unlink(missing_ok=True)
    return file.read_text()


def _log(level: str, event: str, said: Mapping[str, Any]) -> None:
    detail = said.get("reason") or said.get("note") or said.get("state") or said.get("detail")
    match event:
        case "ready":
            events.SIDECAR_READY(url=said["url"], pid=said["pid"], numbers=said["numbers"])
        case "sidecar.died":
            events.SIDECAR_DIED(restart_in_ms=said["restart_in_ms"])
        case "alert":
            events.SIDECAR_ALERT(**said)
        case _ if level in {"warning", "error"}:
            events.SIDECAR_TROUBLE(what=event, instance_id=said.get("instance_id"), detail=detail)
        case _:
            events.SIDECAR_SAID(what=event, instance_id=said.get("instance_id"), detail=detail)
