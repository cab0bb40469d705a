"""A new version comes in beside the one before: both work on the same queues and tables, and then the old one goes."""

import io
import os
import secrets
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from berrante.app import Application
from berrante.embedded import EmbeddedPostgres
from berrante.engine import State
from berrante.engine.connection import system_clock
from tests.app.process import settings_for
from tests.cli.command import Command, ran, running
from tests.conftest import _administer
from tests.waiting import until

ROOT = Path(__file__).parents[2]
#: Jobs of each of three stretches: the old one alone, both, the new one alone.
STRETCH = 40
#: Nothing is removed before it was counted, and nobody waits for a window.
_SETTINGS = {
    f"BERRANTE_{name}_{field}": value
    for name in ("MESSAGE", "AUTOMATION", "OUTBOUND")
    for field, value in {"KEEP_COMPLETED_COUNT": "10000", "RATE_MAX": "0", "CONCURRENCY": "4"}.items()
}


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _last_release() -> str:
    try:
        return _git("describe", "--tags", "--abbrev=0", "HEAD^").decode().strip()
    except subprocess.CalledProcessError:
        return "(none)"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before: the last release, else the last commit, else, without history, these."""
    for version in (_last_release(), "HEAD^", "HEAD"):
        try:
            archive = _git("archive", "--format=tar", version, "src")
        except subprocess.CalledProcessError:
            continue
        break
    else:
        pytest.fail("this is no clone of the repository: the version before cannot be told")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


@pytest.mark.timeout(300)
async def test_old_and_new_workers_side_by_side_lose_and_double_nothing(
    before: Path, redis_url: str, postgres: EmbeddedPostgres, prefix: str, tmp_path: Path
) -> None:
    name = f"t{secrets.token_hex(6)}"
    await _administer(postgres, f"CREATE DATABASE {name}")
    database_url = postgres.url_of(name)
    new = _SETTINGS | {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "BERRANTE_QUEUE_PREFIX": prefix}
    old = new | {"PYTHONPATH": str(before)}

    async def migrated(environment: dict[str, str]) -> None:
        ended = await ran("migrate", data_dir=tmp_path, **environment)
        assert ended.code == 0, ended.errors

    assert _code_of(old).is_relative_to(before)
    await migrated(old)
    async with running("worker", data_dir=tmp_path, **old) as old_worker:
        await until(lambda: "service.started" in old_worker.errors, timeout_s=60)
        await migrated(new)
        settings = settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix)
        everything = {"keep_completed_count": 10_000}  # jobs carry what their producer says of it
        settings = settings.model_copy(update={"message": settings.message.model_copy(update=everything)})
        async with (
            Application.open(settings) as application,
            running("worker", data_dir=tmp_path, **new) as new_worker,
        ):
            organization_id = (await application.organizations.create("Acme")).id
            for instance_id in ("sales", "help"):
                await application.instances.create(organization_id=organization_id, id=instance_id)
            await application.automations.create(
                organization_id=organization_id, name="Hi", trigger="any", reply="Welcome"
            )

            async def write(first: int) -> None:
                for number in range(first, first + STRETCH):
                    incoming = {
                        "organizationId": str(organization_id),
                        "instanceId": "sales" if number % 2 else "help",
                        "from": f"+55119{number:08}",
                        "content": "Oi",
                        "messageId": f"m{number}",
                        "sentAt": system_clock(),
                    }
                    await application.queues.message.add("incoming", incoming)

            async def answered() -> int:
                query = text("SELECT count(*) FROM messages WHERE direction = 'out' AND sent_at IS NOT NULL")
                async with application.database.begin() as connection:
                    return int((await connection.execute(query)).scalar_one())

            async def until_answered(jobs: int) -> None:
                async def are_all() -> bool:
                    return await answered() == jobs

                await until(are_all, timeout_s=120)

            await write(0)
            await until(lambda: "service.started" in new_worker.errors, timeout_s=60)
            await write(STRETCH)
            rounds = 2
            while len(await _workers(application)) < 2:
                await until_answered(rounds * STRETCH)
                await write(rounds * STRETCH)
                rounds += 1
            await _stopped(old_worker)
            await write(rounds * STRETCH)
            jobs = (rounds + 1) * STRETCH
            await until_answered(jobs)

            for queue in (application.queues.message, application.queues.automation, application.queues.outbound):
                done = [job for job in await queue.jobs([State.COMPLETED], end=10 * jobs) if job.name != "receipt"]
                assert len(done) == jobs, queue.name
                assert {(job.attempts_made, job.stalled_count) for job in done} == {(1, 0)}, queue.name
            assert await application.queues.dead_letters.count() == 0
            async with application.database.begin() as connection:
                query = text(
                    "SELECT c.address, count(*) FROM messages m JOIN contacts c ON c.id = m.contact_id"
                    " WHERE m.direction = 'out' GROUP BY c.address"
                )
                replies = {str(address): int(number) for address, number in await connection.execute(query)}
            assert replies == {f"+55119{number:08}": 1 for number in range(jobs)}
            await _stopped(new_worker)
    await _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def _code_of(environment: dict[str, str]) -> Path:
    command = [sys.executable, "-c", "import berrante; print(berrante.__file__)"]
    return Path(subprocess.check_output(command, env=os.environ | environment, text=True).strip())


async def _workers(application: Application) -> Counter[str]:
    """Count by process who ran the jobs that are done."""
    done = await application.queues.outbound.jobs([State.COMPLETED], end=10_000)
    return Counter(str(job.processed_by) for job in done)


async def _stopped(worker: Command) -> None:
    worker.process.send_signal(signal.SIGTERM)
    ended = await worker.ended()
    assert ended.code == 0, ended.errors
