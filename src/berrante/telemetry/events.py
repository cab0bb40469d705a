"""All log events. ``docs/events.md`` is written from here: ``python -m berrante.telemetry``."""

from typing import Final

from berrante.telemetry.event import LogEvent

#: What every event about one job carries.
JOB: Final = ("queue", "job", "job_id", "organization_id", "instance_id", "attempt", "trace_id")

STARTED = LogEvent(
    "service.started", "info", ("version", "pid", "queues", "redis", "database"), "The process is ready to work."
)
LISTENING = LogEvent("web.listening", "info", ("url",), "The web side takes requests.")
STOPPING = LogEvent(
    "service.stopping", "info", ("because", "deadline_ms", "hint"), "A stop was asked for; no more jobs are taken."
)
STOPPED = LogEvent("service.stopped", "info", ("took_ms",), "Everything ended; the process exits.")
SETTING_UNKNOWN = LogEvent(
    "settings.unknown", "warning", ("variable", "meant", "hint"), "A variable `BERRANTE_*` that nothing reads."
)
ENGINES_STARTED = LogEvent(
    "engines.started", "info", ("engine", "pid", "folder"), "An embedded engine runs, started now or found running."
)
ENGINES_STOPPED = LogEvent("engines.stopped", "info", ("engine",), "An embedded engine wrote its data and ended.")
ENGINES_DIED = LogEvent(
    "engines.died", "error", ("engine", "folder"), "An embedded engine ended unasked; it is started again on its data."
)
ENGINES_NOT_REVIVED = LogEvent(
    "engines.not_revived", "error", ("engine", "reason"), "It could not be started again; the next try is in a second."
)
MIGRATED = LogEvent("database.migrated", "info", ("revision",), "The database has the newest tables.")
SECRETS_SEALED = LogEvent(
    "secrets.sealed", "warning", ("sealed", "unreadable", "hint"), "Stored secrets were sealed, or cannot be read."
)
DEMO_READY = LogEvent(
    "demo.ready", "info", ("organization_id", "instance_id", "made"), "The demo organization is there; `made` now?"
)

SIDECAR_READY = LogEvent(
    "sidecar.ready",
    "info",
    ("url", "pid", "numbers"),
    "The Baileys sidecar takes requests, with `numbers` already held.",
)
SIDECAR_DIED = LogEvent(
    "sidecar.died", "error", ("restart_in_ms",), "The sidecar ended unasked; it is started again. Nothing is lost."
)
SIDECAR_UNAVAILABLE = LogEvent(
    "sidecar.unavailable", "error", ("reason",), "The sidecar cannot be started; numbers on Baileys stay offline."
)
SIDECAR_ALERT = LogEvent(
    "sidecar.alert",
    "error",
    ("kind", "instance_id", "organization_id", "detail"),
    "A number needs a person: `undecryptable`, `connected_but_silent`, `logged_out`, `banned`, `elsewhere`, …",
)
SIDECAR_TROUBLE = LogEvent(
    "sidecar.trouble", "warning", ("what", "instance_id", "detail"), "Something that the sidecar mends by itself."
)
SIDECAR_SAID = LogEvent("sidecar.said", "debug", ("what", "instance_id", "detail"), "All else that the sidecar tells.")

REQUEST = LogEvent(
    "http.request", "debug", ("method", "path", "status", "ms"), "A request was answered; its query is never logged."
)
REQUEST_FAILED = LogEvent(
    "http.failed", "error", ("method", "path", "error", "exc_info"), "A request met an error of ours and got a 500."
)

BOARD_WRITE = LogEvent(
    "board.write", "info", ("person", "action", "queue", "job_id"), "Somebody is about to change a queue by hand."
)
IDEMPOTENCY_UNSTORED = LogEvent(
    "idempotency.unstored",
    "error",
    ("organization_id", "error"),
    "A request with `Idempotency-Key` was done, but its answer could not be kept: sent again, it would be done again.",
)

WORKER_STARTED = LogEvent("worker.started", "debug", ("queue", "worker", "concurrency"), "A worker takes jobs.")
WORKER_STOPPED = LogEvent(
    "worker.stopped", "debug", ("queue", "worker", "handed_back"), "A worker ended; `handed_back` jobs wait again."
)
WORKER_UNSETTLED = LogEvent(
    "worker.unsettled",
    "warning",
    ("queue", "worker", "unsettled", "hint"),
    "A worker ended while Redis was away: outcomes were lost, their jobs run again.",
)
JOB_STARTED = LogEvent("job.started", "debug", JOB, "A handler begins.")
JOB_COMPLETED = LogEvent("job.completed", "debug", (*JOB, "ran_ms"), "A job is done, and Redis knows.")
JOB_SNOOZED = LogEvent("job.snoozed", "debug", (*JOB, "ran_ms", "delay_ms"), "A job runs again later, uncharged.")
JOB_RETRIED = LogEvent(
    "job.retried", "warning", (*JOB, "ran_ms", "delay_ms", "reason"), "A run failed; the job runs again after the wait."
)
JOB_FAILED = LogEvent(
    "job.failed",
    "error",
    (*JOB, "ran_ms", "reason", "because", "dead_letter_id"),
    "A job failed for good; its dead letter waits for a person.",
)
JOB_HANDED_BACK = LogEvent(
    "job.handed_back", "info", (*JOB, "because"), "A job went back to the head of its queue, uncharged."
)
JOB_LOCK_LOST = LogEvent(
    "job.lock_lost", "warning", (*JOB, "during", "hint"), "Another worker may run the job: it may be done twice."
)
JOB_OUTCOME_REFUSED = LogEvent(
    "job.outcome_refused", "error", (*JOB, "error", "hint"), "Redis refused an outcome; the job runs again."
)
JOBS_STALLED = LogEvent(
    "jobs.stalled", "warning", ("queue", "job_ids", "hint"), "These jobs' workers fell silent; they wait again."
)
JOBS_UNREADABLE = LogEvent(
    "jobs.unreadable", "error", ("queue", "job_ids", "hint"), "Ids without a job stood in the queue; removed."
)
REDIS_LOST = LogEvent(
    "redis.lost",
    "warning",
    ("queue", "error", "retry_ms", "unsettled", "hint"),
    "Redis is away or refuses to write.",
)
REDIS_REGAINED = LogEvent("redis.regained", "info", ("queue", "away_ms"), "Redis is back.")

MESSAGE_RECEIVED = LogEvent(
    "message.received",
    "info",
    (*JOB, "sender", "message_id", "outcome", "automations"),
    "A contact's message is stored, or was known, and `automations` of it are due.",
)
MESSAGE_STATUS = LogEvent(
    "message.status", "info", (*JOB, "message_id", "receipt", "status"), "A receipt came; `status` holds now."
)
NUMBER_UPDATED = LogEvent(
    "number.updated", "info", (*JOB, "kind", "outcome"), "WhatsApp said something of a number, account or template."
)
RATE_CHANGED = LogEvent(
    "number.rate_changed",
    "info",
    ("organization_id", "instance_id", "per_s"),
    "WhatsApp said that a number goes too fast, or bore it since; without `per_s` it goes at its own rate again.",
)
NUMBER_HELD = LogEvent(
    "number.held",
    "warning",
    ("organization_id", "instance_id", "what", "code", "reason", "until"),
    "WhatsApp's answer stops a number, account, template or contact for some time, or until somebody acts.",
)
CONTACT_SUPPRESSED = LogEvent(
    "contact.suppressed",
    "info",
    ("organization_id", "instance_id", "contact_id", "code", "reason"),
    "A contact told WhatsApp that it wants no marketing: campaigns no longer write to it.",
)
MEDIA_FETCHED = LogEvent(
    "media.fetched",
    "info",
    (*JOB, "message_id", "outcome"),
    "A contact's file is in the media store, or cannot be had.",
)
AUTOMATION_DONE = LogEvent(
    "automation.replied", "info", (*JOB, "message_id", "outcome"), "A due automation wrote its reply, or was skipped."
)
CAMPAIGN_TICKED = LogEvent(
    "campaign.ticked", "info", (*JOB, "campaign_id", "outcome"), "A campaign wrote to its next recipient, or ended."
)
MESSAGE_SENT = LogEvent(
    "message.sent", "info", (*JOB, "message_id", "outcome", "code"), "A message left, or what became of it instead."
)
WEBHOOK_SETTLED = LogEvent(
    "webhook.settled",
    "info",
    (*JOB, "webhook_id", "delivery_id", "outcome", "code", "reason"),
    "A delivery to an organization's endpoint was taken, or will not be tried again.",
)
WEBHOOK_DISABLED = LogEvent(
    "webhook.disabled",
    "warning",
    (*JOB, "webhook_id", "delivery_id", "reason", "hint"),
    "An endpoint failed for too long; nothing more is sent to it.",
)
PACE_DELAYED = LogEvent(
    "pace.delayed", "warning", ("instance_id", "reason", "hint"), "A number's new pace is stored, but not yet in Redis."
)
RECONCILED = LogEvent(
    "reconciler.found", "warning", (*JOB, "outcome", "hint"), "Rows had lost their jobs; the jobs were added again."
)
RETAINED = LogEvent("retention.removed", "info", (*JOB, "outcome"), "Rows and jobs were kept long enough, and went.")

EVENTS: Final = tuple(value for value in list(globals().values()) if isinstance(value, LogEvent))

_HEAD: Final = """\
# Log events

Logs go to standard error: lines for people, or with `BERRANTE_LOG_FORMAT=json` one JSON object a line. Every line has
`timestamp` (UTC), `level` and `event`; a program tells events apart by `event`, whose names and fields are these. A
field that does not apply is left out. `hint` is a sentence for the operator. Lines for people leave out queue, job,
organization, attempt and trace at level info. `trace_id` is the same in all that one request or message brought about,
through every queue; a request's `traceparent` is taken over.

Never logged: the text of a message, a secret, a whole phone number (`+55…4321`), the query of a request.

| event | level | fields | meaning |
|---|---|---|---|
"""


def markdown() -> str:
    """Return ``docs/events.md``."""
    return _HEAD + "".join(
        f"| `{event.name}` | {event.level} | {', '.join(f'`{name}`' for name in event.fields)} | {event.meaning} |\n"
        for event in EVENTS
    )
