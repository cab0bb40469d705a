import pytest

from berrante.engine import JobOptions, RateLimit, Retention, WorkerOptions


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: JobOptions(attempts=0), "JobOptions.attempts"),
        (lambda: JobOptions(delay_ms=-1), "JobOptions.delay_ms"),
        (lambda: JobOptions(priority=-1), "JobOptions.priority"),
        (lambda: JobOptions(priority=2**21), "JobOptions.priority"),
        (lambda: JobOptions(job_id=""), "JobOptions.job_id"),
        (lambda: JobOptions(job_id="a:b"), "JobOptions.job_id"),
        (lambda: JobOptions(job_id="17"), "JobOptions.job_id"),
        (lambda: RateLimit(max=0), "RateLimit.max"),
        (lambda: RateLimit(max=1, duration_ms=0), "RateLimit.duration_ms"),
        (lambda: Retention(age_s=-1), "Retention.age_s"),
        (lambda: Retention(count=-1), "Retention.count"),
        (lambda: WorkerOptions(concurrency=0), "WorkerOptions.concurrency"),
        (lambda: WorkerOptions(lock_ms=0), "WorkerOptions.lock_ms"),
        (lambda: WorkerOptions(max_stalled=-1), "WorkerOptions.max_stalled"),
    ],
)
def test_wrong_options_are_refused_when_made_naming_the_field(wrong, field) -> None:
    with pytest.raises(ValueError, match=field):
        wrong()
