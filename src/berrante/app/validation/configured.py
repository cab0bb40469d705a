"""What the settings make of the queues, against what a deployment is expected to have."""

from collections.abc import Callable
from typing import Final

from berrante.app.options import WORKED, job_options, worker_options
from berrante.app.smoke.checking import expect
from berrante.messaging.queues import Priority, QueueName
from berrante.settings import Settings

Check = Callable[[Settings], str]
_HOUR_S: Final = 3_600


def _priorities(_: Settings) -> str:
    found = (Priority.MESSAGE, Priority.AUTOMATION, Priority.CAMPAIGN)
    expect(sorted(found) == list(found), f"they are {[int(each) for each in found]}")
    return "message 1, automation 3, campaign 5; a lower number goes first"


def _letters(settings: Settings) -> str:
    without = [name.value for name in WORKED if not worker_options(settings, name).dead_letters]
    expect(not without, f"{', '.join(without)} have none")
    return f"{len(WORKED)} queues fail into 'dead-letter'"


def _backoff(settings: Settings) -> str:
    waits = set()
    for name, options in job_options(settings).items():
        expect(options.attempts > 1, f"{name.value} tries once")
        expect(options.backoff and options.backoff.type == "exponential", f"{name.value} does not back off")
        waits.add(settings.queue(name).backoff_delay_ms)
    return f"first wait {', '.join(str(wait) for wait in sorted(waits))} ms, doubled with each attempt"


def _retention(settings: Settings) -> str:
    options = job_options(settings)
    for name in WORKED:
        for kept in (options[name].keep_completed, options[name].keep_failed):
            expect(kept and kept.age_s and kept.count, f"{name.value} keeps finished jobs without a bound")
    message = options[QueueName.MESSAGE]
    assert message.keep_completed is not None
    assert message.keep_failed is not None
    hours, days = (message.keep_completed.age_s or 0) / _HOUR_S, (message.keep_failed.age_s or 0) / _HOUR_S / 24
    return (
        f"message: completed {hours:g} h and {message.keep_completed.count}, "
        f"failed {days:g} days and {message.keep_failed.count}"
    )


def _workers(settings: Settings) -> str:
    said = []
    for name in (QueueName.MESSAGE, QueueName.AUTOMATION, QueueName.CAMPAIGN):
        options = worker_options(settings, name)
        rate = f"{options.rate.max} per {options.rate.duration_ms} ms" if options.rate else "no rate"
        said.append(f"{name.value} {options.concurrency} at once, {rate}")
    return "; ".join(said)


def _shutdown(settings: Settings) -> str:
    expect(settings.stop_deadline_ms > 0, "running jobs get no time to end")
    return f"running jobs get {settings.stop_deadline_ms} ms, the rest is handed back uncharged"


CONFIGURED: Final[tuple[tuple[str, Check], ...]] = (
    ("three priorities", _priorities),
    ("every queue has dead letters", _letters),
    ("every queue backs off exponentially", _backoff),
    ("finished jobs are kept within bounds", _retention),
    ("concurrency and rates of the workers", _workers),
    ("a stop has a deadline", _shutdown),
)
