"""The comparison's rules, with peers that are one line of Python: order, exclusion, and what the report says of it."""

import json
import sys
from xml.etree import ElementTree

import pytest

from benchmarks import chart, report, rounds
from benchmarks.environments import Launch, Peer
from benchmarks.results import Key, Results
from benchmarks.rounds import Plan

ANSWER = {"jobs": 50, "per_s": 1000.0, "client_cpu_s": 0.5, "bulk_api": None, "samples_ms": [1.0, 3.0], "exact": True}
PLAN = Plan(rounds=2, jobs=200, concurrencies=(100,), idle_samples=4)


class QuietServer:
    """A server that takes a second of processor time per look and holds 500 bytes a job."""

    name, version, url = "valkey", "0", "redis://127.0.0.1:1/0"

    def __init__(self) -> None:
        self.looks = 0

    def cpu_s(self) -> float:
        self.looks += 1
        return float(self.looks)

    def key_bytes(self) -> int:
        return 25_000

    def empty(self) -> None:
        """Nothing is in it."""


def peer(name: str, **answer: object) -> tuple[Peer, Launch]:
    program = f"print({json.dumps({**ANSWER, **answer})!r})"
    return Peer(name=name, title=name.title(), package=name), Launch(
        command=(sys.executable, "-c", program), environment={}
    )


def measure(*peers: tuple[Peer, Launch]) -> Results:
    return rounds.measure(QuietServer(), dict(peers), PLAN)


def test_each_round_adds_a_value_to_every_question() -> None:
    results = measure(peer("steady"))

    rate = results.figure("steady", Key(what="process-per-s", concurrency=100))
    assert rate is not None
    assert (rate.median, rate.low, rate.high, rate.rounds) == (1000, 1000, 1000, 2)
    server_us = results.figure("steady", Key(what="process-server-us", concurrency=100))
    assert server_us is not None
    assert server_us.median == pytest.approx(1 / 50 * 1e6)
    assert results.figure("steady", Key(what="bytes-waiting")).median == 500
    assert results.idle_ms("steady", 0.5) == 1.0
    assert results.wrong == []


def test_a_peer_that_delivers_wrongly_is_told_and_measured_no_further(capsys: pytest.CaptureFixture[str]) -> None:
    results = measure(peer("steady"), peer("loser", exact=False, missing=3, duplicates=1))

    (wrong,) = results.wrong
    assert wrong.peer == "loser"
    assert "WRONG DELIVERY by loser" in capsys.readouterr().err
    assert results.figure("loser", Key(what="process-per-s", concurrency=100)) is None
    assert results.figure("steady", Key(what="process-per-s", concurrency=100)) is not None


def test_a_peer_that_breaks_counts_as_wrong_delivery() -> None:
    broken = Launch(command=(sys.executable, "-c", "raise SystemExit('no queue today')"), environment={})

    results = measure((Peer(name="broken", title="Broken", package="broken"), broken))

    assert "no queue today" in str(results.wrong[0])


def test_the_report_names_wrong_delivery_and_the_chart_is_well_formed() -> None:
    pairs = [peer("steady"), peer("loser", exact=False, missing=3)]
    peers = [Peer(name=known.name, title="A & B", package="arq") for known, _ in pairs]
    results = measure(*pairs)
    drawn = chart.svg([results], peers, date="2001-02-03")

    text = report._server(results, peers, PLAN)

    assert any("WRONG DELIVERY by loser" in part for part in text)
    assert any("1,000 (1,000 to 1,000)" in part for part in text)
    assert "prefers-color-scheme: dark" in drawn
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_a_slow_peer_gets_fewer_jobs_and_a_waiting_handler_two_seconds_of_them() -> None:
    slow = Peer(name="slow", title="Slow", package="slow", share=0.25)
    plan = Plan(jobs=20_000)

    assert plan.count(Key(what="process", concurrency=100), slow) == 5_000
    assert plan.count(Key(what="process", concurrency=1), slow) == 1_250
    assert plan.count(Key(what="process", concurrency=10, handler_ms=5.0), slow) == 4_000
    assert plan.count(Key(what="idle"), slow) == 40
