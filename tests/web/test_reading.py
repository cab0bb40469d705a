"""``POST /v1/messages/{id}/read``: what a contact is shown, and what a failure tells the caller."""

import asyncio
from typing import ClassVar
from uuid import UUID, uuid4

import httpx
import pytest

from berrante.app import Application
from berrante.gateways.protocol import InDoubt
from berrante.gateways.refusals import refused
from berrante.messaging.clock import moment
from berrante.messaging.conversations import ReadMarks, marking
from berrante.messaging.errors import Busy
from berrante.messaging.messages import Message
from berrante.messaging.outbound import sending_holds
from berrante.messaging.outbound.policy.holding import Hold
from tests.app.process import client_of, working
from tests.waiting import until
from tests.web.tenants import Tenant, tenant

CONTACT = "+5511987654321"


class Marking:
    """A gateway that is asked to mark, and answers as it is told."""

    name: ClassVar[str] = "simulator"
    resend_is_safe: ClassVar[bool] = True

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def mark_read(
        self, *, organization_id: UUID, instance_id: str, message_id: str, typing: bool = False
    ) -> None:
        self.asked.append(message_id)
        await self.answers.wait()
        if self.error is not None:
            raise self.error


async def written(application: Application, ours: Tenant, text: str = "Oi") -> Message:
    """Have a contact write, and return the message once it is stored."""
    event = application.simulator.write(
        organization_id=ours.id, instance_id=ours.instance_id, sender=CONTACT, text=text
    )

    async def stored() -> Message | None:
        found = await application.messages.list(ours.id)
        return next((message for message in found if message.wire_id == event.message_id), None)

    message = await until(stored)
    assert message is not None
    return message


async def unread(client: httpx.AsyncClient, ours: Tenant) -> int:
    answer = await client.get("/v1/conversations", headers=ours.headers)
    count: int = answer.json()["data"][0]["unread"]
    return count


async def test_a_read_message_is_shown_to_its_contact_and_counts_no_more_as_unread(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client, working(application):
        first, second = [await written(application, ours, text) for text in ("one", "two")]
        assert await unread(client, ours) == 2
        for message, body in ((first, None), (first, {}), (second, {"typing": True})):
            answer = await client.post(f"/v1/messages/{message.id}/read", json=body, headers=ours.headers)
            assert (answer.status_code, answer.content) == (204, b"")
        assert await unread(client, ours) == 0
    assert application.simulator.marked_read == {
        (ours.instance_id, first.wire_id): False,
        (ours.instance_id, second.wire_id): True,
    }


async def test_what_cannot_be_marked_is_refused_by_name(application: Application) -> None:
    ours, theirs = await tenant(application), await tenant(application, "theirs")
    sent = await application.outbound.send(
        organization_id=ours.id, instance_id=ours.instance_id, to=CONTACT, text="ours"
    )
    async with client_of(application) as client:
        async with working(application):
            message = await written(application, ours)
        found = {}
        for id_, headers in ((sent, ours.headers), (uuid4(), ours.headers), (message.id, theirs.headers)):
            answer = await client.post(f"/v1/messages/{id_}/read", headers=headers)
            found[id_] = (answer.status_code, answer.json()["error"]["code"])
        assert list(found.values()) == [(422, "invalid"), (404, "missing"), (404, "missing")]
        wrong = await client.post(f"/v1/messages/{message.id}/read", json={"typing": "yes!"}, headers=ours.headers)
        assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "typing")
    assert application.simulator.marked_read == {}


async def test_a_gateway_that_cannot_mark_says_so_by_name(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        async with working(application):
            message = await written(application, ours)

        class Plain:
            name = "simulator"

        application.read_marks = ReadMarks(application.database, {"simulator": Plain()})  # type: ignore[dict-item]
        answer = await client.post(f"/v1/messages/{message.id}/read", headers=ours.headers)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("not_supported", {"gateway": "simulator"})


async def test_a_failure_is_told_with_whatsapps_code_and_leaves_the_message_unread(application: Application) -> None:
    ours = await tenant(application)
    gateway = Marking()
    application.read_marks = ReadMarks(application.database, {"simulator": gateway})  # type: ignore[dict-item]
    async with client_of(application) as client:
        async with working(application):
            message = await written(application, ours)
        for error, status, code, details in (
            (refused("190"), 409, "gateway_refused", {"provider_code": "190"}),
            (refused("100"), 409, "gateway_refused", {"provider_code": "100"}),
            (refused("130429"), 503, "gateway_refused", {"provider_code": "130429"}),
            (InDoubt("cut off"), 503, "gateway_silent", {}),
        ):
            gateway.error = error
            answer = await client.post(f"/v1/messages/{message.id}/read", headers=ours.headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert answer.json()["error"]["details"] == details
            assert ("Retry-After" in answer.headers) is (status == 503)
        assert await unread(client, ours) == 1


async def test_a_number_that_is_held_is_not_asked_and_the_reason_is_told(application: Application) -> None:
    ours = await tenant(application)
    gateway = Marking()
    application.read_marks = ReadMarks(application.database, {"simulator": gateway})  # type: ignore[dict-item]
    async with working(application):
        message = await written(application, ours)
    held = Hold(what="account", code="190", reason="Access token has expired", campaigns_only=False, until_ms=None)
    async with application.database.begin() as connection:
        at = moment(application.connection.now_ms())
        await sending_holds.place(connection, held, organization_id=ours.id, instance_id=ours.instance_id, now=at)
    async with client_of(application) as client:
        answer = await client.post(f"/v1/messages/{message.id}/read", headers=ours.headers)
    assert answer.status_code == 409
    assert "Access token has expired" in answer.json()["error"]["message"]
    assert gateway.asked == []


async def test_a_flood_of_marks_is_bounded_for_its_organization_alone(application: Application) -> None:
    ours, theirs = await tenant(application), await tenant(application, "theirs")
    async with working(application):
        messages = {each.id: await written(application, each) for each in (ours, theirs)}
    gateway = Marking()
    gateway.answers.clear()
    marks = ReadMarks(application.database, {"simulator": gateway})  # type: ignore[dict-item]
    most = marking._AT_ONCE
    asked = [asyncio.create_task(marks.mark(ours.id, messages[ours.id].id)) for _ in range(most)]
    await until(lambda: len(gateway.asked) == most)
    with pytest.raises(Busy):
        await marks.mark(ours.id, messages[ours.id].id)
    others = asyncio.create_task(marks.mark(theirs.id, messages[theirs.id].id))
    await until(lambda: len(gateway.asked) == most + 1)
    gateway.answers.set()
    await asyncio.gather(*asked, others)
    await marks.mark(ours.id, messages[ours.id].id)  # there is room again
