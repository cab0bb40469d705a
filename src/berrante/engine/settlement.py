"""From a handler's outcome to what Redis is told of it."""

import traceback
from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from berrante.engine.errors import InvalidPayload, Unrecoverable
from berrante.engine.job import Job
from berrante.engine.notices import JobCompleted, JobFailed, JobHandedBack, JobRetried, JobSnoozed, Notice
from berrante.engine.options import JobOptions, WorkerOptions
from berrante.engine.outcomes import Cancel, Done, RateLimited, Snooze
from berrante.engine.policy.retry import GiveUp, decide
from berrante.engine.wire.codec import Json, encode
from berrante.engine.wire.endings import Burial, Complete, Delay, Ending, Fail, Failure, HandBack, Retry

_TRACE_CHARACTERS: Final = 8_000  # a trace is kept in Redis per attempt and read by people: its end says the most
_TOLD: Final = ("code", "scope", "template")
_PARENT_OPTIONS: Final = ("fpof", "cpof", "idof", "rdof")


class Settlement(msgspec.Struct, eq=False):
    """What Redis is to be told of a run.

    ``sent`` counts failed tries, after which it may have been applied already. ``official`` says that it must go
    through BullMQ's own script. ``because`` is for people: why the job was handed back or failed.
    """

    job: Job
    ending: Ending
    ran_ms: int
    because: str = ""
    sent: int = 0
    official: bool = False

    @property
    def rest_ms(self) -> int:
        """How long the whole queue is to rest."""
        return self.ending.rest_ms if isinstance(self.ending, HandBack) else 0

    def notice(self, queue: str) -> Notice:
        """Say what happened, once Redis took it."""
        job, ran_ms = self.job, self.ran_ms
        match self.ending:
            case Complete():
                return JobCompleted(queue=queue, job=job, ran_ms=ran_ms)
            case Fail(failure=failure, burial=burial):
                letter_id = burial.job_id if burial else None
                return JobFailed(
                    queue=queue,
                    job=job,
                    ran_ms=ran_ms,
                    reason=failure.reason,
                    because=self.because,
                    dead_letter_id=letter_id,
                )
            case Delay(delay_ms=delay_ms, failure=failure):
                if failure is None:
                    return JobSnoozed(queue=queue, job=job, ran_ms=ran_ms, delay_ms=delay_ms)
                return JobRetried(queue=queue, job=job, ran_ms=ran_ms, reason=failure.reason, delay_ms=delay_ms)
            case Retry(failure=failure):
                return JobRetried(queue=queue, job=job, ran_ms=ran_ms, reason=failure.reason, delay_ms=0)
            case HandBack():
                return JobHandedBack(queue=queue, job=job, because=self.because)
            case _:
                assert_never(self.ending)


class Settler:
    """Decides what becomes of a job; does no I/O."""

    def __init__(self, options: WorkerOptions, *, now_ms: Callable[[], int], chance: Callable[[], float]) -> None:
        self._options = options
        self._now_ms = now_ms
        self._chance = chance

    def returned(self, job: Job, outcome: object, *, ran_ms: int) -> Settlement:
        """Settle a job whose handler returned an ``Outcome`` or a value."""
        match outcome:
            case None:
                return self._complete(job, None, ran_ms)
            case Snooze(delay_ms):
                return Settlement(job, Delay(delay_ms, charged=False, failure=None), ran_ms)
            case RateLimited(delay_ms):
                return Settlement(job, HandBack(delay_ms), ran_ms, because=f"rate limited for {delay_ms} ms")
            case Cancel(reason):
                return self._fail(job, reason, GiveUp("cancelled"), trace=None, ran_ms=ran_ms)
            case Done(value):
                return self._complete(job, value, ran_ms)
            case value:
                return self._complete(job, value, ran_ms)

    def raised(self, job: Job, error: BaseException, *, ran_ms: int) -> Settlement:
        """Settle a job whose handler raised."""
        reason = str(error) or type(error).__name__
        trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
        retryable = not isinstance(error, Unrecoverable | InvalidPayload)
        try:
            options = job.options
        except InvalidPayload:
            options, retryable = JobOptions(), False
        verdict = decide(
            attempt=job.attempt,
            attempts=options.attempts,
            backoff=options.backoff,
            retryable=retryable,
            chance=self._chance(),
        )
        if isinstance(verdict, GiveUp):
            return self._fail(job, reason, verdict, trace=trace, ran_ms=ran_ms, error=error)
        failure = Failure(reason, _traces(job, options, trace))
        ending = (
            Delay(verdict.delay_ms, charged=True, failure=failure)
            if verdict.delay_ms
            else Retry(lifo=options.lifo, failure=failure)
        )
        return Settlement(job, ending, ran_ms)

    def deferred(self, job: Job, reason: str) -> Settlement:
        """Fail a job that BullMQ marked to be failed by whoever takes it: it stalled too often, or a child failed."""
        return self._fail(job, reason, GiveUp("deferred failure"), trace=reason, ran_ms=0)

    def handed_back(self, job: Job, *, because: str) -> Settlement:
        """Return a job to the head of its queue, uncharged."""
        return Settlement(job, HandBack(), 0, because=because)

    def _complete(self, job: Job, value: Json, ran_ms: int) -> Settlement:
        try:
            encoded = encode(value)
        except (TypeError, ValueError, OverflowError) as error:
            # The work is done: running it again to get the same value would do it twice.
            reason = f"the handler's return value cannot be stored as JSON: {error}"
            return self._fail(job, reason, GiveUp("unrecoverable"), trace=None, ran_ms=ran_ms)
        options = job.options
        keep = options.keep_completed or self._options.keep_completed
        return Settlement(job, Complete(encoded, keep, options.attempts), ran_ms)

    def _fail(
        self,
        job: Job,
        reason: str,
        verdict: GiveUp,
        *,
        trace: str | None,
        ran_ms: int,
        error: BaseException | None = None,
    ) -> Settlement:
        try:
            options, raw = job.options, job.raw_options
        except InvalidPayload:
            options, raw = JobOptions(), {}
        traces = _traces(job, options, trace) if trace else _earlier_traces(job)
        ending = Fail(
            Failure(reason, traces),
            options.keep_failed or self._options.keep_failed,
            options.attempts,
            {name: bool(raw.get(name)) for name in _PARENT_OPTIONS},
            None if verdict.why == "cancelled" else self._burial(job, raw, reason, traces, error),
        )
        return Settlement(job, ending, ran_ms, because=verdict.why)

    def _burial(
        self, job: Job, options: Json, reason: str, traces: list[str], error: BaseException | None
    ) -> Burial | None:
        if self._options.dead_letters is None:
            return None
        now = self._now_ms()
        try:
            data = job.data
        except InvalidPayload:
            data = job.raw_data.decode("utf-8", "replace")
        letter = {
            "queue": job.queue_name,
            "jobId": job.id,
            "name": job.name,
            "data": data,
            "opts": options,
            "failedReason": reason,
            "stacktrace": traces,
            "error": _about(error),
            "attemptsMade": job.attempt,
            "timestamp": job.timestamp_ms,
            "processedOn": job.processed_on_ms,
            "failedAt": now,
        }
        return Burial(f"{job.queue_name}-{job.id}-{now}".replace(":", "-"), job.name, letter)


def _about(error: BaseException | None) -> dict[str, str] | None:
    """Say what programs may tell errors apart by; people read the reason."""
    if error is None:
        return None
    told = {"type": type(error).__name__}
    for name in _TOLD:
        value = getattr(error, name, None)
        if isinstance(value, str):
            told[name] = str(value)
    return told


def _traces(job: Job, options: JobOptions, trace: str) -> list[str]:
    traces = [*_earlier_traces(job), trace]
    limit = options.stack_trace_limit
    if limit is None:
        return traces
    return traces[-limit:] if limit else []


def _earlier_traces(job: Job) -> list[str]:
    try:
        return job.stacktrace
    except InvalidPayload:
        return []
