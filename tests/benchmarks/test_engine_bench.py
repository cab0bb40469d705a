"""The measurement of our own engine: its one line of JSON, its count of deliveries, and no key left behind."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from benchmarks.delivery import Delivery, percentile

ROOT = Path(__file__).parents[2]
KEYS = {
    "add_per_s",
    "add_bulk_per_s",
    "process_per_s",
    "delivered",
    "duplicates",
    "idle_start_ms_p50",
    "idle_start_ms_p99",
    "bytes_per_waiting_job",
}


async def test_the_engine_bench_delivers_each_job_once_and_prints_one_line(redis_url: str) -> None:
    words = ["--redis", redis_url, "--jobs", "200", "--concurrency", "10", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.engine",
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 100)

    assert process.returncode == 0, err.decode()
    (line,) = out.decode().splitlines()
    measured = json.loads(line)
    assert measured.keys() == KEYS
    assert measured["delivered"] == 200
    assert measured["duplicates"] == 0
    assert all(measured[key] > 0 for key in KEYS - {"duplicates"})
    assert measured["idle_start_ms_p50"] <= measured["idle_start_ms_p99"]
    async with Redis.from_url(redis_url) as redis:
        assert [key async for key in redis.scan_iter(match="bench*")] == []


async def test_a_lost_job_and_a_second_run_are_both_counted() -> None:
    delivery = Delivery(["a", "b", "c"])
    for job in ("a", "a", "b", "b", "z"):
        delivery.begin(job)

    tally = delivery.tally()

    assert (tally.delivered, tally.missing, tally.duplicates, tally.unexpected) == (2, 1, 2, 1)
    assert not tally.exact


async def test_a_worker_that_ends_early_is_an_error_and_not_a_wait() -> None:
    delivery = Delivery(["a"])
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(None)

    with pytest.raises(RuntimeError, match="ended before its jobs"):
        await delivery.wait(timeout_s=60, worker=ended)


@pytest.mark.parametrize(
    ("samples", "share", "expected"),
    [([1.0], 0.99, 1.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([float(n) for n in range(1, 201)], 0.99, 198.0)],
)
def test_a_percentile_is_the_sample_of_the_nearest_rank(samples: list[float], share: float, expected: float) -> None:
    assert percentile(samples, share) == expected
