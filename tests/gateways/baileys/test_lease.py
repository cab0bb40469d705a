"""Two sidecars, one number: a dead one's lease is taken over, and what the former holder still writes is refused."""

import os
import signal

import pytest

from berrante.gateways.baileys import Sidecars
from berrante.gateways.protocol import SendError
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import TOKEN, Sidecar, gateway_over
from tests.gateways.baileys.test_conversations import ANA, incoming, outgoing
from tests.messaging.platform import Platform
from tests.waiting import until


async def held(platform: Platform) -> tuple[str, int]:
    """Return who holds ``sales``, and under which fence."""
    async with platform.database.begin() as connection:
        row = (await connection.exec_driver_sql("SELECT owner, fence FROM baileys_sessions")).one()
    return str(row.owner), int(row.fence)


async def until_open_at(made: Sidecar, platform: Platform) -> None:
    async def is_taken() -> bool:
        return (await held(platform))[0] == made.url

    await until(is_taken, timeout_s=30)
    await made.until_state("open")


@pytest.mark.timeout(180)
async def test_a_dead_sidecars_number_is_taken_over_and_found(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(QueueName.MESSAGE)
    async with open_sidecar() as first, open_sidecar() as second:
        await pair(first, whatsapp, platform)
        _, fence = await held(platform)
        await first.die()
        await whatsapp.write(ANA, "nobody holds it now")
        await until_open_at(second, platform)

        async with Sidecars([first.url, second.url], token=TOKEN) as both:
            message, codes = outgoing(platform, second, "from the second"), list[str]()

            async def is_sent() -> bool:
                try:
                    await gateway_over(both).send(message)
                except SendError as error:
                    codes.append(error.code)
                    return False
                return True

            await until(is_sent, timeout_s=30)
        (stored,) = await incoming(platform, 1)
        assert (await held(platform))[1] > fence

    assert set(codes) <= {"sidecar_away"}
    assert stored.content["text"] == "nobody holds it now"
    assert await whatsapp.texts() == ["from the second"]


@pytest.mark.timeout(180)
async def test_a_sidecar_that_hung_and_comes_back_does_not_fight_for_its_number(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(QueueName.MESSAGE)
    async with open_sidecar() as first, open_sidecar() as second:
        await pair(first, whatsapp, platform)
        assert first.process.pid is not None
        os.kill(first.process.pid, signal.SIGSTOP)
        try:
            await whatsapp.write(ANA, "while it hung")  # is in its socket's buffer when it comes back
            await until_open_at(second, platform)
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        await until(lambda: first.events("lease.lost"), timeout_s=30)
        with pytest.raises(SendError) as caught:
            await first.gateway.send(outgoing(platform, first))
        await second.gateway.send(outgoing(platform, second, "undisturbed"))
        (stored,) = await incoming(platform, 1)
        assert (await held(platform))[0] == second.url

    assert caught.value.code == "sidecar_away"
    assert stored.content["text"] == "while it hung"
    assert await whatsapp.texts() == ["undisturbed"]
    assert len([line for line in second.events("number.state") if line.fields["state"] == "open"]) == 1


async def test_what_a_former_holder_writes_is_refused_by_the_fence(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    async with open_sidecar(lease_ms=90_000) as made:  # it asks too late to know of it by itself
        await pair(made, whatsapp, platform)
        taken = "UPDATE baileys_sessions SET owner = 'another', fence = fence + 1 RETURNING fence"
        async with platform.database.begin() as connection:
            await connection.exec_driver_sql(taken)

        message_id = await whatsapp.write(ANA, "for the new holder")
        await until(lambda: made.events("lease.lost"), timeout_s=30)

    assert "another process holds sales now" in [line.fields["reason"] for line in made.events("storage.failed")]
    assert await platform.count("baileys_journal") == 0
    assert message_id in (await whatsapp.account())["waiting"], "no receipt: the new holder gets it"
    assert (await held(platform))[0] == "another"
