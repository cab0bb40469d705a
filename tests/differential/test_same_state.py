"""One history, run through BullMQ's own scripts and through ours: after each step the same stands in Redis.

By hand, longer and with fresh chances: ``BERRANTE_DIFFERENTIAL_EXAMPLES=5000 pytest tests/differential``.
"""

import os
import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis import Redis
from redis.exceptions import NoScriptError

from berrante.engine import Backoff, JobOptions, RateLimit, Retention, State
from berrante.engine.wire import adding, administering, exchanging, finishing, taking
from berrante.engine.wire.codec import fields, integer
from berrante.engine.wire.endings import Burial, Complete, Delay, Ending, Fail, Failure, HandBack, Retry
from berrante.engine.wire.exchanging import Reply
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call
from tests.differential.snapshot import difference, job_hash, snapshot

BY_HAND = os.environ.get("BERRANTE_DIFFERENTIAL_EXAMPLES")
START_MS = 1_795_000_000_000
LONG_MS = 10**8  # what Redis itself times must not end within a test

delays = st.sampled_from([0, 0, 0, 1, 40, 5_000])
options = st.builds(
    JobOptions,
    attempts=st.integers(1, 4),
    backoff=st.none() | st.builds(Backoff.fixed, st.sampled_from([0, 10, 3_000])),
    delay_ms=delays,
    priority=st.sampled_from([0, 0, 1, 3, 5, 2**21 - 1]),
    job_id=st.none() | st.sampled_from([f"own-{n}" for n in range(6)]),
    lifo=st.booleans(),
    keep_logs=st.none() | st.integers(0, 5),
)
names = st.sampled_from(["send", "tick", "größe"])
payloads = st.sampled_from([None, {}, {"n": 1}, {"text": "olá", "list": [1, 2.5, None]}, "bare"])
new_jobs = st.tuples(names, payloads, options)
retentions = st.sampled_from(
    [Retention.everything(), Retention.nothing(), Retention(count=2), Retention(age_s=3), Retention(age_s=3, count=4)]
)
failures = st.builds(Failure, st.sampled_from(["no", "", "größe"]), st.lists(st.just("Traceback: x"), max_size=3))
endings: st.SearchStrategy[Ending] = st.one_of(
    st.builds(Complete, st.sampled_from([b"null", b'{"a":1}', b'"x"']), retentions, st.integers(1, 4)),
    st.builds(Complete, st.just(b"null"), st.just(Retention(count=2)), st.just(1)),
    st.builds(Fail, failures, retentions, st.integers(1, 4), st.just({}), st.none()),
    st.builds(
        Fail,
        failures,
        retentions,
        st.integers(1, 4),
        st.just({}),
        st.builds(Burial, st.sampled_from(["dead-1", "dead-2", "dead-3"]), names, payloads),
    ),
    st.builds(Delay, delays, st.booleans(), st.none() | failures),
    st.builds(Retry, st.booleans(), failures),
    st.just(HandBack()),
)


class SameState(RuleBasedStateMachine):
    """The queue twice, under two prefixes."""

    url: str

    @initialize(rate=st.none() | st.integers(1, 6), metrics=st.sampled_from([None, None, 5]))
    def begin(self, rate: int | None, metrics: int | None) -> None:
        self.client = Redis.from_url(self.url)
        name = secrets.token_hex(6)
        self.official = QueueKeys("q", prefix=f"o{name}")
        self.ours = QueueKeys("q", prefix=f"b{name}")
        self.letters = [QueueKeys("dead-letter", prefix=keys.prefix) for keys in (self.official, self.ours)]
        self.rate = RateLimit(max=rate, duration_ms=LONG_MS) if rate else None
        self.metrics = metrics
        self.now = START_MS
        self.turns = 0
        self.held: dict[str, tuple[str, int]] = {}  # job id: token, atm
        self.known: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "client"):
            for keys in (self.official, self.ours):
                for key in self.client.scan_iter(f"{keys.prefix}:*"):
                    self.client.delete(key)
            self.client.close()

    @rule(jobs=st.lists(new_jobs, min_size=1, max_size=5))
    def add(self, jobs: list[tuple[str, Any, JobOptions]]) -> None:
        said = [
            self._run(adding.add(self.official, name=name, data=data, options=given, now_ms=self.now))
            for name, data, given in jobs
        ]
        assert said == self._run(adding.add_many(self.ours, jobs, now_ms=self.now))
        self.known += [job_id.decode() for job_id in said]
        self._compare()

    @rule(data=st.data(), want=st.integers(0, 6), together=st.integers(0, 4))
    def turn(self, data: st.DataObject, want: int, together: int) -> None:
        """Settle some of what runs, then take; sometimes under a token that is not the lock's."""
        ended = [
            (job_id, data.draw(endings), data.draw(st.sampled_from([None, None, None, None, "stranger:1"])))
            for job_id in (data.draw(st.permutations(sorted(self.held))) if self.held else [])[:together]
        ]
        self._turn(ended, want)

    @precondition(lambda self: len(self.held) > 1)
    @rule(ending=st.sampled_from([Complete(b"1", Retention.everything(), 1), Complete(b"1", Retention(count=3), 1)]))
    def complete_all(self, ending: Ending) -> None:
        """The hot path: all that runs is done, oldest first."""
        self._turn([(job_id, ending, None) for job_id in self.held], len(self.held))

    @rule(ms=st.sampled_from([1, 40, 61_000, 5_000, -30_000, 10 * 60_000]))
    def let_the_clock_jump(self, ms: int) -> None:
        self.now += ms

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        self._both(lambda keys: administering.pause(keys) if paused else administering.resume(keys, first=True))

    @rule(most=st.none() | st.integers(1, 3))
    def bound_concurrency(self, most: int | None) -> None:
        for keys in (self.official, self.ours):
            if most:
                self.client.hset(keys.meta, "concurrency", most)
            else:
                self.client.hdel(keys.meta, "concurrency")

    @rule(most=st.none() | st.integers(1, 4))
    def limit_the_queue(self, most: int | None) -> None:
        for keys in (self.official, self.ours):
            if most:
                self.client.hset(keys.meta, mapping={"max": most, "duration": LONG_MS})
            else:
                self.client.hdel(keys.meta, "max", "duration")

    @rule()
    def open_the_next_window(self) -> None:
        self.client.delete(self.official.limiter, self.ours.limiter)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), what=st.sampled_from(["promote", "remove", "progress", "retry", "data"]))
    def change_by_hand(self, data: st.DataObject, what: str) -> None:
        job_id = data.draw(st.sampled_from(self.known))
        match what:
            case "promote":
                self._both(lambda keys: administering.promote(keys, job_id))
            case "remove":
                self._both(lambda keys: administering.remove(keys, job_id))
            case "progress":
                self._both(lambda keys: administering.progress(keys, job_id=job_id, value={"done": 5}))
            case "data":
                self._both(lambda keys: administering.data(keys, job_id=job_id, value=[1]))
            case _:
                state = data.draw(st.sampled_from([State.FAILED, State.COMPLETED]))
                self._both(
                    lambda keys: administering.reprocess(keys, job_id=job_id, state_=state, lifo=False), same=False
                )

    @precondition(lambda self: self.held)
    @rule(data=st.data(), fate=st.sampled_from(["lost", "stolen", "stalled"]))
    def lose_a_lock(self, data: st.DataObject, fate: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.held)))
        for keys in (self.official, self.ours):
            lock = keys.job(job_id) + ":lock"
            if fate == "stolen":
                self.client.set(lock, "thief:1", px=LONG_MS)
            else:
                self.client.delete(lock)
        if fate == "stalled":
            for _ in range(2):
                self._both(
                    lambda keys: taking.sweep_stalled(keys, max_stalled=1, interval_ms=LONG_MS, now_ms=self.now),
                    same=False,
                )
                self.client.delete(self.official.stalled_check, self.ours.stalled_check)
            self._compare()

    @rule(state=st.sampled_from([State.COMPLETED, State.FAILED, State.DELAYED, State.PRIORITIZED, State.WAITING]))
    def clean(self, state: State) -> None:
        self._both(lambda keys: administering.clean(keys, state, before_ms=self.now, limit=2), same=False)

    def _turn(self, ended: Sequence[tuple[str, Ending, str | None]], want: int) -> None:
        self.turns += 1
        token = f"worker:{self.turns}"
        settled: list[tuple[str, Ending, str, int]] = []
        for job_id, ending, stranger in ended:
            held_token, atm = self.held.pop(job_id)
            settled.append((job_id, ending, stranger or held_token, atm))
        official = self._official_turn(settled, want, token)
        ours = self._our_turn(settled, want, token)
        assert ours == official
        self._compare()
        for job_id, hash_ in official[1]:
            self.held[job_id] = (token, integer(hash_, b"atm"))

    def _official_turn(self, settled: Any, want: int, token: str) -> tuple[list[int], list[Any], bool, int]:
        answers = []
        for job_id, ending, held_token, _ in settled:
            calls = finishing.end(
                self.official,
                ending,
                job_id=job_id,
                token=held_token,
                metrics_minutes=self.metrics,
                letters=self.letters[0],
                now_ms=self.now,
            )
            answer = [self._run(call) for call in calls][-1]
            answers.append(min(answer, 0))  # a hand-back answers with the limit's time
        jobs: list[tuple[str, dict[bytes, bytes]]] = []
        got = None
        while len(jobs) < want:
            call = taking.take(self.official, token=token, lock_ms=LONG_MS, rate=self.rate, worker="w", now_ms=self.now)
            got = taking.taken(self._run(call))
            if got.job_id is None:
                break
            jobs.append((got.job_id, job_hash(fields(got.hash))))
            got = None
        return answers, jobs, bool(got and got.limited_ms), got.next_delayed_ms if got else 0

    def _our_turn(self, settled: Any, want: int, token: str) -> tuple[list[int], list[Any], bool, int]:
        records = [
            exchanging.record(ending, job_id=job_id, token=held_token, attempts_made=atm)
            for job_id, ending, held_token, atm in settled
        ]
        call = exchanging.exchange(
            self.ours,
            records,
            want=want,
            token=token,
            lock_ms=LONG_MS,
            worker="w",
            rate=self.rate,
            metrics_minutes=self.metrics,
            letters=self.letters[1],
            now_ms=self.now,
        )
        reply = Reply(*self._run(call))
        jobs = [
            (reply.jobs[n].decode(), job_hash(fields(reply.jobs[n + 1]) | {b"pb": b"w"}))  # type: ignore[union-attr,arg-type]
            for n in range(0, len(reply.jobs), 2)
        ]
        assert reply.broken == []
        return reply.answers, jobs, reply.limited_ms > 0, reply.next_delayed_ms

    def _both(self, call: Any, *, same: bool = True) -> None:
        official, ours = self._run(call(self.official)), self._run(call(self.ours))
        if same:
            assert official == ours
        self._compare()

    def _run(self, call: Call) -> Any:
        try:
            return self.client.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            return self.client.execute_command("EVAL", call.script.source, len(call.keys), *call.keys, *call.args)

    def _compare(self) -> None:
        differs = difference(snapshot(self.client, self.official.prefix), snapshot(self.client, self.ours.prefix))
        assert not differs, differs


@pytest.mark.timeout(3_600 if BY_HAND else 300)
def test_both_ways_leave_the_same_state(redis_url: str) -> None:
    class Machine(SameState):
        url = redis_url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(BY_HAND or 30),
            stateful_step_count=40,
            deadline=None,
            derandomize=BY_HAND is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            phases=[Phase.generate, Phase.shrink] if BY_HAND else [Phase.generate],
        ),
    )
