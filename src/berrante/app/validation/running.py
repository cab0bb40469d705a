"""Runs all checks, one section after the other; each leaves nothing behind."""

import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from pydantic import SecretStr

from berrante import __version__
from berrante.app.doctor import Verdict, examine_engines, examine_process
from berrante.app.engines import Engines, open_engines
from berrante.app.reaching import reach_redis
from berrante.app.smoke import (
    Outcome,
    Stage,
    automation_flow,
    campaign_flow,
    message_flow,
    open_stage,
    run_queue_checks,
)
from berrante.app.validation.configured import CONFIGURED
from berrante.app.validation.from_outside import FROM_OUTSIDE, client_of
from berrante.app.validation.measuring import measure
from berrante.app.validation.report import Report, Section
from berrante.engine import Connection
from berrante.settings import Settings
from berrante.store import migrate
from berrante.telemetry import scrubbed

Told = Callable[[Outcome], None]
_RECIPIENTS, _RATE = 10, 5


async def validate(settings: Settings, *, told: Told) -> Report:
    """Make every check and return the report; ``told`` hears of each as it ends.

    Raises ``EmbeddedError`` and ``EngineUnreachable`` if there is nothing to check on.
    """
    async with open_engines(settings) as engines:
        if engines.database_from == "embedded":
            await migrate(engines.database_url)
        # Everything below uses these, so that embedded ones are started once.
        addresses = {"redis_url": SecretStr(engines.redis_url), "database_url": SecretStr(engines.database_url)}
        found = settings.model_copy(update=addresses)
        sections = [
            Section(title="Engines", outcomes=await _engines(engines, told)),
            Section(
                title="The queues, as they are set",
                outcomes=[await _tried(name, partial(_now, check, found), told) for name, check in CONFIGURED],
            ),
        ]
        async with Connection.from_url(engines.redis_url) as connection:
            await reach_redis(connection)
            checks = []
            async for outcome in run_queue_checks(connection):
                told(outcome)
                checks.append(outcome)
            sections.append(Section(title="The queue system", outcomes=checks))
            sections.append(Section(title="The flow", outcomes=await _flows(found, told)))
            sections.append(Section(title="From outside", outcomes=await _from_outside(found, told)))
            figures = await measure(connection)
    return Report(at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", facts=_facts(), sections=sections, figures=figures)


async def _engines(engines: Engines, told: Told) -> list[Outcome]:
    started = time.monotonic()
    outcomes = []
    for finding in [*examine_process(), *await examine_engines(engines)]:
        detail = finding.detail if finding.remedy is None else f"{finding.detail}: {finding.remedy}"
        passed = finding.verdict is not Verdict.BAD
        outcomes.append(Outcome(name=finding.name, passed=passed, detail=detail, took_ms=_ms(started)))
        told(outcomes[-1])
    return outcomes


async def _flows(settings: Settings, told: Told) -> list[Outcome]:
    async def play(flow: Callable[[Stage], AsyncIterator[str]], **changed: object) -> str:
        async with open_stage(settings, **changed) as stage:
            return "; ".join([step async for step in flow(stage)])

    rate = settings.campaign.model_copy(update={"rate_max": _RATE, "rate_duration_ms": 1_000})
    campaign = lambda stage: campaign_flow(stage, recipients=_RECIPIENTS, rate=_RATE)  # noqa: E731
    return [
        await _tried("a message and its answer", lambda: play(message_flow), told),
        await _tried(
            "an automation with a delay", lambda: play(lambda stage: automation_flow(stage, delay_ms=500)), told
        ),
        await _tried("a campaign within its rate", lambda: play(campaign, campaign=rate), told),
    ]


async def _from_outside(settings: Settings, told: Told) -> list[Outcome]:
    outcomes: list[Outcome] = []

    async def play() -> str:
        async with open_stage(settings) as stage, client_of(stage) as client:
            for name, check in FROM_OUTSIDE:
                outcomes.append(await _tried(name, partial(check, stage, client), told))
        return "everything is cleared away"

    last = await _tried("an organization of its own, and no trace of it", play, told)
    return [*outcomes, last]


async def _tried(name: str, check: Callable[[], Awaitable[str]], told: Told) -> Outcome:
    started = time.monotonic()
    try:
        detail, passed = await check(), True
    except Exception as error:  # noqa: BLE001  whatever goes wrong is the check's result
        detail, passed = scrubbed(f"{type(error).__name__}: {error}"), False
    outcome = Outcome(name=name, passed=passed, detail=detail, took_ms=_ms(started))
    told(outcome)
    return outcome


async def _now(check: Callable[[Settings], str], settings: Settings) -> str:
    return check(settings)


def _facts() -> dict[str, str]:
    return {
        "Berrante": __version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1_000)
