"""What groups cost, and what they give: ``python -m benchmarks.fairness --redis URL --json``.

- ``wait``: 50 tenants, in a process of their own, add a job a second each, alone and beside a tenant with 100,000
  waiting jobs; the time from the add to the handler's first line. Rounds of both are interleaved.
- ``take``: what the server spends on a job when 10 and when 100,000 groups wait, and when there are no groups.
"""

import argparse
import asyncio
import json
import random
import secrets
import statistics
import sys
import time
from dataclasses import replace

from redis import Redis

from benchmarks.delivery import percentile
from benchmarks.driver import run_loop
from benchmarks.payload import payload, payloads
from benchmarks.servers import serve
from berrante.engine import Connection, GroupLimits, Job, JobOptions, NewJob, Queue, Worker, WorkerOptions

TENANTS = 50
FLOOD = 100_000
HANDLER_S = 0.05
#: The worker has room for all; a tenant may use a part of it. That part is what keeps the rest free.
OPTIONS = WorkerOptions(concurrency=50, groups=GroupLimits(concurrency=10))
_TAKEN = 10_000
_TURN = 50


async def waits(url: str, connection: Connection, *, flooded: bool, seconds: float) -> list[float]:
    """Return, in ms, how long the tenants' jobs waited."""
    queue = Queue("fair", connection, prefix=f"bench{secrets.token_hex(4)}")
    started: dict[str, float] = {}

    async def handle(job: Job) -> None:
        started[job.id] = time.perf_counter()
        await asyncio.sleep(HANDLER_S)

    if flooded:
        flood = JobOptions(group="flood")
        for _ in range(FLOOD // 1_000):
            await queue.add_bulk([NewJob("send", item, flood) for item in payloads(1_000)])
    worker = Worker("fair", handle, connection, OPTIONS, prefix=queue.prefix)
    running = asyncio.create_task(worker.run())
    command = (sys.executable, "-m", "benchmarks.fairness", "--add", queue.prefix, "--seconds", str(seconds))
    adding = await asyncio.create_subprocess_exec(*command, "--redis", url, stdout=asyncio.subprocess.PIPE)
    told, _ = await adding.communicate()
    added: dict[str, float] = json.loads(told)
    await asyncio.sleep(1)
    await worker.stop()
    await running
    missing = set(added) - set(started)
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(added)} jobs did not start")
    return [(started[job_id] - at) * 1_000 for job_id, at in added.items()]


async def add(url: str, *, prefix: str, seconds: float) -> dict[str, float]:
    """Add the tenants' jobs, and return when: by the clock that all processes of a machine share."""
    added: dict[str, float] = {}
    chance = random.Random(3)
    async with Connection.from_url(url) as connection:
        queue = Queue("fair", connection, prefix=prefix)

        async def tenant(number: int) -> None:
            await asyncio.sleep(1 + chance.random())
            for index in range(int(seconds)):
                job_id = f"{number}-{index}"
                added[job_id] = time.perf_counter()
                await queue.add("send", payload(index), JobOptions(group=f"tenant-{number}", job_id=job_id))
                await asyncio.sleep(1)

        await asyncio.gather(*(tenant(number) for number in range(TENANTS)))
    return added


async def fairness(url: str, *, rounds: int, seconds: float) -> dict[str, float]:
    """Compare the waits of an empty system and of a flooded one."""
    alone: list[float] = []
    beside: list[float] = []
    p95: list[float] = []
    async with Connection.from_url(url) as connection:
        for _ in range(rounds):
            await connection.redis.flushdb()
            empty = await waits(url, connection, flooded=False, seconds=seconds)
            await connection.redis.flushdb()
            full = await waits(url, connection, flooded=True, seconds=seconds)
            alone += empty
            beside += full
            p95.append(percentile(full, 0.95) / percentile(empty, 0.95))
        await connection.redis.flushdb()
    return {
        "empty_p50_ms": round(percentile(alone, 0.5), 3),
        "empty_p95_ms": round(percentile(alone, 0.95), 3),
        "flooded_p50_ms": round(percentile(beside, 0.5), 3),
        "flooded_p95_ms": round(percentile(beside, 0.95), 3),
        "p95_ratio": round(statistics.median(p95), 3),
    }


async def server_us(url: str, *, groups: int) -> float:
    """Return the server's processor time per job taken and done, in µs, with so many groups waiting; 0: no groups."""
    control = Redis.from_url(url)
    async with Connection.from_url(url) as connection:
        queue = Queue("scale", connection, prefix=f"bench{secrets.token_hex(4)}")
        total = FLOOD
        names = [f"tenant-{number % groups}" if groups else None for number in range(total)]
        random.Random(5).shuffle(names)
        plain = JobOptions()
        for start in range(0, total, 1_000):
            part = names[start : start + 1_000]
            await queue.add_bulk(
                [NewJob("send", payload(index), replace(plain, group=name)) for index, name in enumerate(part)]
            )
        done = 0
        enough = asyncio.Event()

        async def handle(_: Job) -> None:
            nonlocal done
            done += 1
            if done == _TAKEN:
                enough.set()

        options = WorkerOptions(concurrency=3 * _TURN, groups=GroupLimits(concurrency=1_000) if groups else None)
        worker = Worker("scale", handle, connection, options, prefix=queue.prefix)
        before_s = _cpu_s(control)
        running = asyncio.create_task(worker.run())
        await enough.wait()
        await worker.stop()
        await running
        spent_s = _cpu_s(control) - before_s
    control.flushdb()
    control.close()
    return spent_s / done * 1e6


def _cpu_s(control: Redis) -> float:
    info = control.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


async def scale(url: str, *, rounds: int) -> dict[str, float]:
    """Compare the cost of a job, each round with fresh keys, all sizes in turn."""
    sizes = {"none": 0, "10": 10, "100000": 100_000}
    costs: dict[str, list[float]] = {name: [] for name in sizes}
    for _ in range(rounds):
        for name, groups in sizes.items():
            costs[name].append(await server_us(url, groups=groups))
    ratios = [many / few for many, few in zip(costs["100000"], costs["10"], strict=True)]
    medians = {f"server_us_{name}": round(statistics.median(found), 2) for name, found in costs.items()}
    return {**medians, "many_to_few": round(statistics.median(ratios), 3)}


async def _measure(given: argparse.Namespace, url: str) -> dict[str, dict[str, float]]:
    return {
        "wait": await fairness(url, rounds=given.rounds, seconds=given.seconds),
        "take": await scale(url, rounds=given.rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--redis", help="URL of an empty database, which is emptied; else a server is started")
    parser.add_argument("--server", choices=["valkey", "redis"], default="redis", help="which one, without --redis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long tenants add, per round")
    parser.add_argument("--add", metavar="PREFIX", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    if given.add:
        found = run_loop(add(given.redis, prefix=given.add, seconds=given.seconds))
    elif given.redis:
        found = run_loop(_measure(given, given.redis))
    else:
        with serve(given.server) as server:
            found = run_loop(_measure(given, server.url))
    print(json.dumps(found) if given.json or given.add else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
