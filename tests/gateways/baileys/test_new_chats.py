"""WhatsApp's limits on writing to strangers: cold sends stop before them, warm chats go on."""

from typing import Any

import pytest

from berrante.gateways.protocol import Action, Scope
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.gateways.baileys.test_conversations import ANA, BENTO, incoming, outgoing
from tests.gateways.baileys.test_errors import refused
from tests.messaging.platform import Platform
from tests.waiting import until

LOCK = ("NotificationUserReachoutTimelockUpdate", "xwa2_notify_account_reachout_timelock")
CAP = ("MessageCappingInfoNotification", "xwa2_notify_new_chat_messages_capping_info_update")
FAR = "4000000000"


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
