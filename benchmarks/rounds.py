"""The rounds: each question is put to every peer in turn before the next, so that a slow minute hits all alike."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.environments import Launch, Peer
from benchmarks.results import Key, Results, WrongDelivery
from benchmarks.servers import Server

#: At this concurrency bytes, processor time and the rate of bulk adding are noted, and the chart is drawn.
HEADLINE = 100
_WARM_UP_JOBS = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured. ``jobs`` is for peers with the full share."""

    rounds: int = 5
    jobs: int = 20_000
    concurrencies: tuple[int, ...] = (1, 10, 100, 500)
    handler_ms: float = 5.0
    idle_samples: int = 200

    def questions(self) -> Iterator[Key]:
        yield Key(what="add-one")
        for handler_ms in (0.0, self.handler_ms):
            for concurrency in self.concurrencies:
                yield Key(what="process", concurrency=concurrency, handler_ms=handler_ms)
        yield Key(what="idle")

    def count(self, key: Key, peer: Peer) -> int:
        """Return how many jobs answer the question: enough for some seconds, not for minutes."""
        jobs = max(50, int(self.jobs * peer.share))
        match key.what:
            case "idle":
                return -(-self.idle_samples // self.rounds)
            case "add-one":
                return max(50, jobs // 4)
        if key.concurrency == 1:
            jobs = max(50, jobs // 4)
        if key.handler_ms:
            two_seconds = int(2_000 / key.handler_ms * key.concurrency)
            jobs = min(jobs, max(50, two_seconds))
        return jobs


def measure(server: Server, peers: Mapping[Peer, Launch], plan: Plan) -> Results:
    """Run all rounds on a server. A peer that delivers wrongly is reported at once and measured no further."""
    results = Results(server=server.name, version=server.version, rounds=plan.rounds)
    asked = Asker(server, results)
    for peer, launch in peers.items():
        asked.warm_up(peer, launch)
    for number in range(1, plan.rounds + 1):
        for key in plan.questions():
            at = f"{server.name} round {number}/{plan.rounds} {key.what}"
            print(f"{at} c={key.concurrency} handler={key.handler_ms:g}ms", file=sys.stderr, flush=True)
            order = list(peers)
            # Nobody is always first on a cool machine.
            first = number % len(order)
            for peer in order[first:] + order[:first]:
                if peer.name not in asked.excluded:
                    asked.ask(peer, peers[peer], key, count=plan.count(key, peer), number=number)
    return results


class Asker:
    """Puts one question to one peer on an emptied server and notes what comes of it."""

    def __init__(self, server: Server, results: Results) -> None:
        self.excluded: set[str] = set()
        self._server = server
        self._results = results

    def warm_up(self, peer: Peer, launch: Launch) -> None:
        """Have the server compile the peer's scripts, so that they are in no figure."""
        print(f"{self._server.name} warm-up {peer.name}", file=sys.stderr, flush=True)
        self._server.empty()
        for key in (Key(what="add-one"), Key(what="process", concurrency=10), Key(what="idle")):
            count = _WARM_UP_JOBS if key.what == "process" else 2
            self.ask(peer, launch, key, count=count, number=0)
            if peer.name in self.excluded:
                return

    def ask(self, peer: Peer, launch: Launch, key: Key, *, count: int, number: int) -> None:
        """Note the answer, except in round 0."""
        self._server.empty()
        match key.what:
            case "add-one":
                answer, server_cpu_s = self._run(launch, key, count)
                if number:
                    self._note_rate(peer, "add-one", answer, server_cpu_s)
            case "idle":
                answer, _ = self._run(launch, key, count)
                if number:
                    self._results.idle_samples_ms[peer.name].extend(answer.get("samples_ms", ()))
            case _:
                answer = self._process(peer, launch, key, count=count, noted=number > 0)
        if "error" in answer or not answer.get("exact", True):
            wrong = WrongDelivery(peer=peer.name, round=number, key=key, answer=answer)
            print(wrong, file=sys.stderr, flush=True)
            self._results.wrong.append(wrong)
            self.excluded.add(peer.name)

    def _process(self, peer: Peer, launch: Launch, key: Key, *, count: int, noted: bool) -> dict:
        loaded, load_cpu_s = self._run(launch, Key(what="add-bulk"), count)
        if "error" in loaded:
            return loaded
        headline = noted and key.concurrency == HEADLINE and not key.handler_ms
        waiting_bytes = self._server.key_bytes() if headline else 0
        answer, server_cpu_s = self._run(launch, key, count)
        if not noted or not answer.get("exact"):
            return answer
        self._note_rate(peer, "process", answer, server_cpu_s, key=key)
        if headline:
            completed_bytes = self._server.key_bytes()
            self._note_rate(peer, "add-bulk", loaded, load_cpu_s)
            if loaded["bulk_api"] is None:
                self._results.without_bulk.add(peer.name)
            self._results.note(peer.name, Key(what="bytes-waiting"), waiting_bytes / count)
            self._results.note(peer.name, Key(what="bytes-completed"), completed_bytes / count)
        return answer

    def _note_rate(self, peer: Peer, what: str, answer: dict, server_cpu_s: float, *, key: Key | None = None) -> None:
        if "error" in answer:
            return
        at = {"concurrency": key.concurrency, "handler_ms": key.handler_ms} if key else {}
        jobs = answer["jobs"]
        self._results.note(peer.name, Key(what=f"{what}-per-s", **at), answer["per_s"])
        self._results.note(peer.name, Key(what=f"{what}-client-us", **at), answer["client_cpu_s"] / jobs * 1e6)
        self._results.note(peer.name, Key(what=f"{what}-server-us", **at), server_cpu_s / jobs * 1e6)

    def _run(self, launch: Launch, key: Key, count: int) -> tuple[dict, float]:
        """Run one operation; what goes wrong is an answer with an ``error``."""
        command = [*launch.command, key.what, str(count), "--redis", self._server.url]
        if key.what == "process":
            command += ["--concurrency", str(key.concurrency), "--handler-ms", str(key.handler_ms)]
        before_s = self._server.cpu_s()
        # A group of its own: a peer may have started programs, and a late one is ended with all of them.
        child = subprocess.Popen(
            command,
            env=launch.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        timeout_s = 120 + count / 20
        try:
            out, said = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, said = child.communicate()
            return {"jobs": count, "error": f"no answer within {timeout_s:g} s: {said.strip()[-2_000:]}"}, 0.0
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        spent_s = self._server.cpu_s() - before_s
        if child.returncode != 0:
            return {"jobs": count, "error": f"exit {child.returncode}: {said.strip()[-2_000:]}"}, spent_s
        return json.loads(out.strip().splitlines()[-1]), spent_s
