"""Random histories of a queue with groups against a plain model: limits and order hold, no job is lost.

By hand, longer: ``BERRANTE_GROUP_EXAMPLES=3000 pytest tests/engine/groups/test_properties.py``.
"""

import os
import secrets
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis import Redis
from redis.exceptions import NoScriptError

from berrante.engine import GroupLimits, GroupRate, JobOptions, Retention
from berrante.engine.wire import adding, administering, exchanging, grouping, taking
from berrante.engine.wire.codec import encode, pack, write_options
from berrante.engine.wire.endings import Complete, Delay, Ending, Fail, Failure, HandBack, Retry
from berrante.engine.wire.exchanging import Reply
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call
from tests.engine.groups.model import Group

BY_HAND = os.environ.get("BERRANTE_GROUP_EXAMPLES")
START_MS = 1_795_000_000_000

names = st.sampled_from(["a", "b", "c:1", "größe", "e"])
priorities = st.sampled_from([0, 1, 1, 3, 5, 2**21 - 1])
rates = st.none() | st.builds(
    GroupRate, max=st.sampled_from([1, 3, 80]), duration_ms=st.sampled_from([1_000, 30_000]), burst=st.integers(1, 3)
)
limits = st.builds(
    GroupLimits,
    concurrency=st.none() | st.integers(1, 3),
    rate=rates,
    floor=st.sampled_from([0.0, 0.1, 0.34, 1.0]),
    weight=st.just(1.0),
)
DONE = Complete(b"null", Retention.everything(), 1)
NO = Failure("no", [])
endings: st.SearchStrategy[Ending] = st.sampled_from(
    [
        DONE, DONE, Fail(NO, Retention.everything(), 1, {}, None), Retry(lifo=False, failure=NO),
        Retry(lifo=True, failure=NO), Delay(500, charged=True, failure=NO), HandBack(), HandBack(rest_ms=700),
    ]
)  # fmt: skip


class Histories(RuleBasedStateMachine):
    """One queue; the model says what each turn must bring."""

    redis: Redis

    @initialize(default=limits)
    def begin(self, default: GroupLimits) -> None:
        self.keys = QueueKeys("q", prefix=f"t{secrets.token_hex(4)}")
        self.default = default
        self.now = START_MS
        self.groups: dict[str, Group] = defaultdict(Group)
        self.group_of: dict[str, str] = {}
        self.priority: dict[str, int] = {}
        self.running: dict[str, str] = {}  # job id -> token
        self.delayed: dict[str, int] = {}
        self.inbox: list[str] = []  # in wait or prioritized, in the order in which a turn comes to them
        self.ended: set[str] = set()
        self.turns = 0
        self._turn([], 0)

    def teardown(self) -> None:
        for key in self.redis.keys(f"{self.keys.prefix}:*"):
            self.redis.delete(key)

    @rule(jobs=st.lists(st.tuples(names, priorities, st.booleans(), st.sampled_from([0, 0, 0, 300])), max_size=6))
    def add(self, jobs: list[tuple[str, int, bool, int]]) -> None:
        new = [
            ("send", {}, JobOptions(group=group, priority=priority, lifo=lifo, delay_ms=delay))
            for group, priority, lifo, delay in jobs
        ]
        ids = [job_id.decode() for job_id in self._run(adding.add_many(self.keys, new, now_ms=self.now))] if new else []
        for job_id, (group, priority, lifo, delay) in zip(ids, jobs, strict=True):
            self.group_of[job_id], self.priority[job_id] = group, priority
            if delay:
                self.delayed[job_id] = self.now + delay
            else:
                self.groups[group].put(job_id, priority, first=lifo)
        self._check()

    @rule(group=names, named_in=st.sampled_from(["options", "data"]))
    def add_from_node(self, group: str, named_in: str) -> None:
        """A peer adds through BullMQ's own script, which puts the job where groups are not known."""
        given = JobOptions(group=group if named_in == "options" else None)
        head = (self.keys.base, "", "send", self.now, None, None, None, None, None)
        args = [pack(head), encode({"number": group}), pack(write_options(given))]
        job_id = self._run(adding.by_state(self.keys, given, args)).decode()
        self.group_of[job_id], self.priority[job_id] = group, 0
        self.inbox.append(job_id)
        self._check()

    @rule(want=st.integers(1, 8))
    def take(self, want: int) -> None:
        self._turn([], want)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), want=st.integers(0, 4))
    def end(self, data: st.DataObject, want: int) -> None:
        """A worker hands in what ended, and mostly takes more in the same turn."""
        ids = data.draw(st.lists(st.sampled_from(sorted(self.running)), min_size=1, max_size=4, unique=True))
        self._turn([(job_id, data.draw(endings)) for job_id in ids], want)

    @precondition(lambda self: self.running)
    @rule()
    def crash(self) -> None:
        """All workers die: two stall checks later their jobs wait again, and their slots are free."""
        for job_id in self.running:
            self.redis.delete(self.keys.job(job_id) + ":lock")
        for _ in range(2):
            self.redis.delete(self.keys.stalled_check)
            stalled = self._run(taking.sweep_stalled(self.keys, max_stalled=99, interval_ms=10**8, now_ms=self.now))
            assert self._run(grouping.sweep(self.keys, stalled=stalled, now_ms=self.now)) == 0
        assert {job_id.decode() for job_id in stalled} == set(self.running)
        self.inbox = [job_id.decode() for job_id in reversed(stalled)] + self.inbox
        self.running.clear()
        self._check()

    @rule(group=names, given=limits)
    def limit(self, group: str, given: GroupLimits) -> None:
        self._change(group, "set", grouping.write_limits(given))
        self.groups[group].own = given
        self._check()

    @rule(group=names, what=st.sampled_from(["clear", "pause", "resume"]))
    def change(self, group: str, what: str) -> None:
        changed = self._change(group, what)
        model = self.groups[group]
        if what == "clear":
            assert changed == (model.own is not None)
            model.own = None
        else:
            assert changed == (model.paused != (what == "pause"))
            model.paused = what == "pause"
        self._check()

    @rule(group=names, ms=st.sampled_from([0, 5, 900]))
    def rest(self, group: str, ms: int) -> None:
        self._change(group, "rest", ms)
        model = self.groups[group]
        model.rest = max(model.rest, self.now + ms)
        self._check()

    @rule(ms=st.sampled_from([1, 12, 13, 400, 1_000, 40_000]))
    def pass_time(self, ms: int) -> None:
        self.now += ms

    @rule(data=st.data())
    @precondition(lambda self: any(group.line for group in self.groups.values()))
    def remove(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(w[2] for g in self.groups.values() for w in g.line)))
        group = self.group_of.pop(job_id)
        assert self._run(administering.remove(self.keys, job_id)) == 1
        assert self._run(grouping.lift(self.keys, job_id, group, now_ms=self.now)) == 1
        self.groups[group].drop(job_id)
        self._check()

    @rule(data=st.data(), priority=priorities, first=st.booleans())
    @precondition(lambda self: any(group.line for group in self.groups.values()))
    def reorder(self, data: st.DataObject, priority: int, *, first: bool) -> None:
        job_id = data.draw(st.sampled_from(sorted(w[2] for g in self.groups.values() for w in g.line)))
        name = self.group_of[job_id]
        call = grouping.reorder(self.keys, job_id, name, priority=priority, first=first, now_ms=self.now)
        assert self._run(call) == 1
        self.groups[name].drop(job_id)
        self.groups[name].put(job_id, priority, first=first)
        self.priority[job_id] = priority
        self._check()

    def _turn(self, settled: list[tuple[str, Ending]], want: int) -> None:
        self.turns += 1
        token = f"w:{self.turns}"
        records = [
            exchanging.record(
                ending, job_id=job_id, token=self.running[job_id], attempts_made=0, group=self.group_of[job_id]
            )
            for job_id, ending in settled
        ]
        call = exchanging.exchange(
            self.keys, records, want=want, token=token, lock_ms=10**8, worker=None, rate=None, metrics_minutes=None,
            letters=None, now_ms=self.now, group_by="number", groups=self.default, declare=self.turns == 1,
        )  # fmt: skip
        reply = Reply(*self._run(call))
        assert reply.answers == [0] * len(settled)
        assert reply.broken == []
        for job_id, ending in settled:
            self._settle(job_id, ending)
        if want:
            self._file()
        # Whoever might have run before this turn took anything waits while others are served.
        waiting = {name for name, group in self.groups.items() if group.may_run(self.default, self.now)}
        got = [job_id.decode() for job_id in reply.jobs[::2]]  # type: ignore[union-attr]
        for job_id in got:
            name = self.group_of[job_id]
            group = self.groups[name]
            assert group.may_run(self.default, self.now), f"{name} was served and may not run"
            assert group.serve(self.default, self.now) == job_id, "the job was not first in its line"
            self.running[job_id] = token
            group.passed_by.clear()
            for other in (other for other in waiting - {name} if self.groups[other].may_run(self.default, self.now)):
                counts = self.groups[other].passed_by
                counts[name] = counts.get(name, 0) + 1
                # Once for the place in the ring that it had, once if both came to the same place.
                assert counts[name] <= 2, f"{name} was served three times while {other} waited"
        if len(got) < want:
            left = [name for name, group in self.groups.items() if group.may_run(self.default, self.now)]
            assert not left, f"{left} may run and were not served"
        for name, group in self.groups.items():
            if not group.may_run(self.default, self.now):
                self.groups[name].passed_by.clear()
        self._check()

    def _settle(self, job_id: str, ending: Ending) -> None:
        del self.running[job_id]
        group = self.groups[self.group_of[job_id]]
        group.active.remove(job_id)
        match ending:
            case Retry(lifo=lifo):
                group.put(job_id, self.priority[job_id], first=lifo)
            case Delay(delay_ms=delay_ms):
                self.delayed[job_id] = self.now + delay_ms
            case HandBack(rest_ms=rest_ms):
                if rest_ms:
                    group.rest = max(group.rest, self.now + rest_ms)
                group.put(job_id, self.priority[job_id], first=True)
            case _:
                self.ended.add(job_id)

    def _file(self) -> None:
        """A turn that wants jobs first lets those go into their groups that others left in BullMQ's own lines."""
        due = sorted((at, int(job_id), job_id) for job_id, at in self.delayed.items() if at <= self.now)
        plain = [job_id for _, _, job_id in due if not self.priority[job_id]]
        prioritized = sorted(
            (job_id for _, _, job_id in due if self.priority[job_id]), key=lambda job_id: self.priority[job_id]
        )
        for job_id in [*self.inbox, *plain, *prioritized]:
            group = self.groups[self.group_of[job_id]]
            stalled = job_id in group.active
            group.active.discard(job_id)
            group.put(job_id, self.priority[job_id], first=stalled)
            self.delayed.pop(job_id, None)
        self.inbox.clear()

    def _check(self) -> None:
        """Everything that Redis holds of the groups is what the model says."""
        base = self.keys.state("groups:")
        ring = {name.decode() for name in self.redis.zrange(f"{base}ring", 0, -1)}
        later = {name.decode(): due for name, due in self.redis.zrange(f"{base}later", 0, -1, withscores=True)}
        assert not ring & set(later)
        waiting = 0
        for name, group in self.groups.items():
            line = [job_id.decode() for job_id in self.redis.zrange(f"{base}jobs:{name}", 0, -1)]
            assert line == [waiting[2] for waiting in group.line], f"the line of {name}"
            waiting += len(line)
            self.redis.persist(f"{base}pace:{name}")  # the server's time goes on while the history's stands still
            state = self.redis.hget(f"{base}states", name)
            active = msgspec.msgpack.decode(state)[0] if state else 0
            assert active == len(group.active), f"active of {name}"
            if group.could_run(self.default):
                assert (name in ring) or name in later, f"{name} is nowhere"
                if group.due > self.now:
                    assert later[name] == pytest.approx(group.due, abs=0.001), f"when {name} may run"
                elif name in later:
                    assert later[name] <= self.now, f"{name} waits for a time that is over, and no turn was since"
            else:
                assert name not in ring, f"{name} may not run and is in the ring"
                assert name not in later, f"{name} does not wait for time alone"
            group.forget(self.default, self.now)
            assert (name in self._all(base)) == bool(group.line or group.active)
        assert int(self.redis.get(f"{base}count") or 0) == waiting
        held = {job_id.decode() for job_id in self.redis.hkeys(f"{base}held")}
        assert held == {job_id for group in self.groups.values() for job_id in group.active}
        assert held >= set(self.running)
        kept = self.redis.zcard(self.keys.completed) + self.redis.zcard(self.keys.failed)
        in_lines = self.redis.llen(self.keys.wait) + self.redis.zcard(self.keys.prioritized)
        assert in_lines == len(self.inbox)
        assert waiting + len(self.running) + len(self.delayed) + len(self.inbox) + kept == len(self.group_of)

    def _all(self, base: str) -> set[str]:
        return {name.decode() for name in self.redis.hkeys(f"{base}states")}

    def _change(self, group: str, what: str, value: Any = "") -> bool:
        return bool(self._run(grouping.change(self.keys, group, what, value, now_ms=self.now)))

    def _run(self, call: Call) -> Any:
        try:
            return self.redis.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            return self.redis.eval(call.script.source, len(call.keys), *call.keys, *call.args)


@pytest.mark.timeout(600)
def test_groups_do_what_the_model_does_in_every_history(redis_url: str) -> None:
    class Connected(Histories):
        redis = Redis.from_url(redis_url)

    run_state_machine_as_test(
        Connected,
        settings=settings(
            max_examples=int(BY_HAND) if BY_HAND else 150,
            stateful_step_count=40,
            derandomize=not BY_HAND,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    Connected.redis.close()
