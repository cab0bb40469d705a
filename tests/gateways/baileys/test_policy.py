"""What the sidecar is started with, and what its codes and WhatsApp's limits mean: without a sidecar."""

import json
from typing import Any

import pytest

from berrante.gateways.baileys import Configuration
from berrante.gateways.baileys.ciphers import NotTheFile, decrypted, encrypted
from berrante.gateways.baileys.configuration import of_tests
from berrante.gateways.baileys.errors import SidecarMisconfigured
from berrante.gateways.baileys.new_chats import most, shown, stop
from berrante.gateways.baileys.refusals import refused
from berrante.gateways.protocol import Action, MediaKind, Scope
from tests.gateways.baileys.sidecar import KEY

GIVEN: dict[str, Any] = {
    "redis_url": "redis://h",
    "database_url": "postgresql+asyncpg://h/d",
    "queue_prefix": "bull",
    "token": "t",
    "key": KEY,
}
NO_LIMIT = {"locked": False, "locked_until": None, "quota": 0, "used": 0, "quota_ends": None}


def test_what_the_sidecar_reads() -> None:
    made = Configuration(**GIVEN, host="10.1.2.3", port=1)
    read = json.loads(made.environment()["BERRANTE_SIDECAR"])

    assert read["databaseUrl"] == "postgresql://h/d"
    assert (read["owner"], read["leaseMs"], read["job"]["attempts"]) == ("http://10.1.2.3:1", 15_000, 4)
    assert read["whatsappUrl"] is None
    assert read["redis"] == {"url": "redis://h", "maxRetriesPerRequest": None}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"host": "0.0.0.0"}, "HOST"),
        ({"host": "8.8.8.8"}, "HOST"),
        ({"key": "c2hvcnQ="}, "KEY"),
        ({"key": "no base64"}, "KEY"),
        ({"whatsapp_url": "ws://127.0.0.1:1/"}, "WA_URL"),
        ({"whatsapp_url": "ws://example.org/", "testing": True}, "WA_URL"),
        ({"whatsapp_url": "http://127.0.0.1/", "testing": True}, "WA_URL"),
    ],
)
def test_what_it_cannot_start_with_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SidecarMisconfigured, match=f"BERRANTE_BAILEYS_{named} "):
        Configuration(**GIVEN | given)


def test_an_open_link_is_for_tests_on_loopback() -> None:
    Configuration(**GIVEN, whatsapp_url="wss://web.whatsapp.com/ws/chat")
    given = {"SIDECAR_TEST_WA_URL": "ws://127.0.0.1:1/", "SIDECAR_TEST_WA_ROOT": "00"}

    assert Configuration(**GIVEN, **of_tests(given)).whatsapp_url is None
    assert Configuration(**GIVEN, **of_tests(given | {"SIDECAR_TEST": "1"})).whatsapp_url == "ws://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("said", "scope", "action", "code", "wait_ms"),
    [
        ({"code": "463"}, Scope.RECIPIENT, Action.DROP, "463", None),
        ({"code": "429"}, Scope.NUMBER, Action.HOLD, "429", 60_000),
        ({"code": "503"}, Scope.NUMBER, Action.HOLD, "503", 10_000),
        ({"code": "999"}, Scope.MESSAGE, Action.RETRY, "999", None),
        ({"code": "not_on_whatsapp"}, Scope.RECIPIENT, Action.SUPPRESS, "not_on_whatsapp", None),
        ({"code": "link_dropped"}, Scope.NUMBER, Action.HOLD, "link_dropped", 1_000),
        ({"code": "offline", "state": "qr"}, Scope.NUMBER, Action.HOLD, "not_paired", 30_000),
        ({"code": "offline", "state": "banned"}, Scope.NUMBER, Action.HOLD, "banned", 300_000),
        (
            {"code": "offline", "state": "waiting", "retry_after_ms": 900_000},
            Scope.NUMBER,
            Action.HOLD,
            "offline",
            30_000,
        ),
        ({"code": "offline", "state": "connecting"}, Scope.NUMBER, Action.HOLD, "offline", 500),
    ],
)
def test_a_code_has_a_scope_and_an_action(
    said: dict[str, Any], scope: Scope, action: Action, code: str, wait_ms: int | None
) -> None:
    error = refused(said)

    assert (error.scope, error.action, error.code, error.retry_after_ms) == (scope, action, code, wait_ms)


def test_strangers_wait_while_whatsapp_names_a_limit() -> None:
    full = NO_LIMIT | {"quota": 10, "used": 9, "quota_ends": 5_000}
    locked = NO_LIMIT | {"locked": True, "locked_until": 5_000}

    assert most(full) == 9
    assert [stop(told, now_ms=1_000) is not None for told in (NO_LIMIT, full, locked)] == [False, True, True]
    assert [stop(told, now_ms=5_000) for told in (full, locked)] == [None, None]
    assert stop(locked | {"locked_until": None}, now_ms=10**15) is not None
    assert shown(None, now_ms=0) is None
    assert shown(full, now_ms=1_000) == {
        "stopped": True,
        "locked_until": None,
        "quota": 10,
        "used": 9,
        "quota_ends": "1970-01-01T00:00:05+00:00",
    }


def test_bytes_that_were_changed_are_not_the_file() -> None:
    sealed = encrypted(b"a picture", bytes(32), MediaKind.IMAGE)

    for wrong in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[1:], sealed[:5], b""):
        with pytest.raises(NotTheFile):
            decrypted(wrong, bytes(32), MediaKind.IMAGE)
    with pytest.raises(NotTheFile):
        decrypted(sealed, bytes(32), MediaKind.VIDEO)
