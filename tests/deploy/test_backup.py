"""A backup is taken in mid-campaign and comes back on other servers, by the commands that docs/deploy.md gives."""

import asyncio
import functools
import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from uuid import UUID

import pytest
from sqlalchemy import text

from berrante.app import Application
from berrante.embedded.postgres import _programs
from berrante.engine import Connection, Override
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Accepted, OutboundMessage
from berrante.messaging.maintenance.schedules import EVERY_MS
from berrante.store.tenancy import unguarded_tables
from tests.app.process import settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until

ROOT = Path(__file__).parents[2]
RECIPIENTS = [f"+55119{number:08}" for number in range(20)]
#: How many sends hang while the backup is made.
PLACES = 5
#: A backup is never restored in the minute in which it was made.
LATER_MS = 10 * 60_000


class Screens:
    """What contacts see: a wire id is shown once. After ``answers`` sends it still shows, and answers no more."""

    name: ClassVar[str] = "simulator"
    resend_is_safe: ClassVar[bool] = True

    def __init__(self) -> None:
        self.shown: dict[str, set[str]] = defaultdict(set)
        self.answers: int | None = 4
        self.unanswered: set[str] = set()

    def wire_id(self, message_id: UUID) -> str:
        return f"SIM{message_id.hex.upper()}"

    async def send(self, message: OutboundMessage) -> Accepted:
        self.shown[message.to].add(message.wire_id)
        if self.answers is not None:
            self.answers -= 1
            if self.answers < 0:
                self.unanswered.add(message.wire_id)
                await asyncio.Event().wait()
        return Accepted(provider_id=message.wire_id, accepted_at_ms=system_clock())


def commands_of_the_page() -> tuple[str, str]:
    """The blocks of the section, as they stand there: one that backs up, one that restores."""
    section = (ROOT / "docs/deploy.md").read_text().partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
    backing_up, restoring = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return backing_up, restoring


async def run(commands: str, *, database_url: str, folder: Path) -> None:
    environment = {
        "PATH": f"{_programs()}{os.pathsep}{os.environ['PATH']}",
        "DATABASE_URL": database_url.replace("+asyncpg", ""),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-euc", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
async def test_a_backup_taken_in_mid_campaign_comes_back_with_nothing_lost_or_sent_twice(
    redis_url: str,
    database_url: str,
    prefix: str,
    own_postgres: OwnServer,
    own_valkey: OwnServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back_up, restore = commands_of_the_page()
    screens = Screens()
    before = settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix)
    before = before.model_copy(update={"outbound": before.outbound.model_copy(update={"concurrency": PLACES})})
    async with Application.open(before) as old:
        old.gateways = {"simulator": screens}
        organization_id = (await old.organizations.create("Acme")).id
        other_id = (await old.organizations.create("Other")).id
        await old.instances.create(organization_id=organization_id, id="sales")
        await old.instances.create(organization_id=organization_id, id="resting", settings={"paused": True})
        await old.automations.create(organization_id=organization_id, name="Hi", trigger="any", reply="Welcome")
        campaign = await old.campaigns.create(
            organization_id=organization_id,
            instance_id="sales",
            name="Launch",
            body="We are open",
            recipients=RECIPIENTS,
            pace={"window": 9, "per_minute": 60_000},
        )
        await old.queues.automation.pause()
        async with working(old):
            await old.queues.message.add(
                "incoming",
                {
                    "organizationId": str(organization_id),
                    "instanceId": "sales",
                    "from": "+5511999990001",
                    "content": "Oi",
                    "messageId": "m1",
                    "sentAt": system_clock(),
                },
            )
            await old.campaigns.start(organization_id, campaign.id)
            await until(lambda: len(screens.unanswered) == PLACES)
            await until(lambda: _number(old, "SELECT count(*) FROM automation_runs WHERE status = 'open'"))
            await old.outbound.send(
                organization_id=organization_id, instance_id="sales", to="+5511999990002", text="By hand"
            )
            # At rest: the campaign's window is full, so nothing changes while it is dumped.
            window = "SELECT count(*) FROM messages WHERE origin = 'campaign' AND status IN ('queued', 'sending')"

            async def is_at_rest() -> bool:
                return await _number(old, window) == 9

            await until(is_at_rest)
            await run(back_up, database_url=database_url, folder=tmp_path)
            stood = await _stands(old)

    assert stood["sent"] == 4
    assert stood["sending"] == len(screens.unanswered)
    assert stood["queued"] > 1, "some wait in the lane, one of them written by hand"
    assert stood["planned"] > 0, "the campaign has not come to everybody"

    await run(restore, database_url=own_postgres.url, folder=tmp_path)
    later = functools.partial(Connection.from_url, clock=lambda: system_clock() + LATER_MS)
    monkeypatch.setattr("berrante.app.application.Connection", SimpleNamespace(from_url=later))
    screens.answers = None
    after = settings_for(redis_url=own_valkey.url, database_url=own_postgres.url, prefix=prefix)
    async with Application.open(after) as new:
        assert await _stands(new) == stood
        new.gateways = {"simulator": screens}
        async with working(new):

            async def is_all_done() -> bool:
                current = await new.campaigns.get(organization_id, campaign.id)
                still_open = "SELECT count(*) FROM messages WHERE status IN ('queued', 'sending')"
                runs = "SELECT count(*) FROM automation_runs WHERE status = 'open'"
                finished = current is not None and current.status == "finished"
                return finished and await _number(new, still_open) == await _number(new, runs) == 0

            await until(is_all_done, timeout_s=60)
        seen = {address: len(wire_ids) for address, wire_ids in screens.shown.items()}
        assert seen == dict.fromkeys([*RECIPIENTS, "+5511999990001", "+5511999990002"], 1)
        ledger = await new.campaign_account.ledger(organization_id, campaign.id)
        assert (ledger.planned, ledger.sent, ledger.mismatches) == (len(RECIPIENTS), len(RECIPIENTS), ())
        assert await new.queues.dead_letters.count() == 0

        # What Redis alone shows, and rows know: the schedules, and a number's pace.
        assert {each.id for each in await new.queues.maintenance.schedulers.list()} == set(EVERY_MS)
        assert await new.queues.outbound.groups.overrides() == {"resting": Override(paused=True)}

        # The role and its policies came along: an organization still sees its own rows alone.
        async with new.database.begin() as connection:
            assert await unguarded_tables(connection) == []
        for owner, number in ((organization_id, 22), (other_id, 0)):
            async with new.database.tenant(owner) as connection:
                found = await connection.execute(text("SELECT count(*) FROM messages WHERE direction = 'out'"))
                assert found.scalar_one() == number


async def _number(application: Application, query: str) -> int:
    async with application.database.begin() as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def _stands(application: Application) -> dict[str, int]:
    """Count rows: messages that go out by status, recipients that have none, and what else is to come."""
    async with application.database.begin() as connection:
        query = text("SELECT status, count(*) FROM messages WHERE direction = 'out' GROUP BY status")
        stood = {str(status): int(number) for status, number in await connection.execute(query)}
    return stood | {
        "planned": await _number(application, "SELECT count(*) FROM campaign_recipients WHERE message_id IS NULL"),
        "runs": await _number(application, "SELECT count(*) FROM automation_runs WHERE status = 'open'"),
    }
