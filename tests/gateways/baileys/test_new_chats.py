"""WhatsApp's limits on writing to strangers: cold sends stop before them, warm chats go on."""

from typing import Any

import pytest

from berrante.gateways.protocol import Action, Scope
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.gateways.baileys.test_conversations import ANA, BENTO, incoming, outgoing
from tests.gateways.baileys.test_errors import refused
from tests.messaging.platform import Platform
from tests.waiting import until

LOCK = ("NotificationUserReachoutTimelockUpdate", "xwa2_notify_account_reachout_timelock")
CAP = ("MessageCappingInfoNotification", "xwa2_notify_new_chat_messages_capping_info_update")
FAR = "4000000000"
#: As a client asks for them, rather than is told.
ASKED_CAP, ASKED_LOCK = "xwa2_message_capping_info", "xwa2_fetch_account_reachout_timelock"


async def told(made: Sidecar, whatsapp: FakeWhatsApp, what: tuple[str, str], *, stops: bool, **said: Any) -> None:
    """Let WhatsApp say it, and wait until the number's status shows it."""
    op, name = what
    await whatsapp.order("notify", user=NUMBER, op=op, data={name: said})

    async def is_shown() -> bool:
        shown = (await made.sidecars.status("sales")).new_chats
        return shown is not None and shown["stopped"] is stops

    await until(is_shown, timeout_s=20)


@pytest.mark.parametrize(
    ("what", "said", "lifted"),
    [
        pytest.param(LOCK, {"is_active": True, "time_enforcement_ends": FAR}, {"is_active": False}, id="a time-lock"),
        pytest.param(
            CAP,
            {"total_quota": 10, "used_quota": 9, "cycle_end_timestamp": FAR},
            {"total_quota": 10, "used_quota": 0, "cycle_end_timestamp": FAR},
            id="a quota that is all but used",
        ),
    ],
)
async def test_cold_sends_stop_while_warm_chats_go_on(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform, what: tuple[str, str], said: Any, lifted: Any
) -> None:
    platform.work(QueueName.MESSAGE)
    await whatsapp.write(ANA, "Oi")
    await incoming(platform, 1)

    await told(paired, whatsapp, what, stops=True, **said)
    error = await refused(paired, platform, to=BENTO)
    await paired.gateway.send(outgoing(platform, paired, "warm", to=ANA))

    assert (error.scope, error.action, error.code) == (Scope.RECIPIENT, Action.HOLD, "new_chats_stopped")
    assert await whatsapp.texts() == ["warm"]
    await told(paired, whatsapp, what, stops=False, **lifted)
    await paired.gateway.send(outgoing(platform, paired, "cold", to=BENTO))
    assert await whatsapp.texts(BENTO) == ["cold"]


async def test_strangers_at_once_do_not_pass_the_quota_together(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    quota = {"total_quota": 10, "used_quota": 8, "cycle_end_timestamp": FAR}
    await told(paired, whatsapp, CAP, stops=False, **quota)

    await paired.gateway.send(outgoing(platform, paired, "the ninth", to=ANA))
    error = await refused(paired, platform, to=BENTO)

    assert error.code == "new_chats_stopped"
    assert await whatsapp.texts() == ["the ninth"]


async def test_limits_that_stand_are_read_as_the_number_connects(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    """WhatsApp tells of changes alone; what held before, a number has to ask for each time that it connects."""
    cap = {"total_quota": 10, "used_quota": 9, "cycle_end_timestamp": FAR, "capping_status": "FIRST_WARNING"}
    await whatsapp.order("limits", limits={ASKED_CAP: cap, ASKED_LOCK: {"is_active": False}})
    async with open_sidecar() as made:
        await pair(made, whatsapp, platform)
        first = await limits(made, stops=True)
        error = await refused(made, platform, to=BENTO)

        await whatsapp.order("limits", limits={ASKED_CAP: cap | {"used_quota": 0}, ASKED_LOCK: {"is_active": False}})
        await whatsapp.order("drop", user=NUMBER)
        second = await limits(made, stops=False)
        await made.until_state("open")
        await made.gateway.send(outgoing(platform, made, "cold", to=BENTO))

        await whatsapp.order("limits", limits={ASKED_LOCK: {"is_active": True, "time_enforcement_ends": FAR}})
        await whatsapp.order("drop", user=NUMBER)
        third = await limits(made, stops=True)

    assert (first["quota"], first["used"], second["used"]) == (10, 9, 0)
    assert error.code == "new_chats_stopped"
    assert await whatsapp.texts() == ["cold"]
    assert third["locked_until"] is not None


async def limits(made: Sidecar, *, stops: bool) -> dict[str, Any]:
    """Wait until the number's status shows whether strangers may be written to, and return all that it shows."""

    async def shown() -> dict[str, Any] | None:
        new_chats = (await made.sidecars.status("sales")).new_chats
        return new_chats if new_chats is not None and new_chats["stopped"] is stops and new_chats["quota"] else None

    found = await until(shown, timeout_s=30)
    assert found is not None
    return found
