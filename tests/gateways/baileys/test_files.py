"""Files through Baileys: encrypted and uploaded to WhatsApp's media host, and fetched from there; and replies."""

import base64
import json
from dataclasses import replace

import pytest

from berrante.gateways.baileys import BaileysGateway
from berrante.gateways.media import MediaUnavailable
from berrante.gateways.protocol import Action, MediaContent, MediaKind, Scope, SendError
from berrante.messaging.messages import MessageStatus
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.gateways.baileys.test_conversations import ANA, incoming, outgoing
from tests.messaging.platform import Platform
from tests.waiting import until

PICTURE = b"\x89PNG" + bytes(range(256)) * 300


async def stored(made: Sidecar, platform: Platform, data: bytes = PICTURE, mime_type: str = "image/png") -> str:
    return (await made.store.put(platform.organization.id, data, mime_type=mime_type)).reference


async def test_every_kind_of_file_is_seen_as_it_was_stored(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    sent = [
        (MediaKind.IMAGE, "image/png", {"caption": "look"}, {}),
        (MediaKind.VIDEO, "video/mp4", {}, {}),
        (MediaKind.AUDIO, "audio/ogg", {}, {"voice": True, "mimetype": "audio/ogg; codecs=opus"}),
        (MediaKind.DOCUMENT, "application/pdf", {"filename": "menu.pdf"}, {"file_name": "menu.pdf"}),
        (MediaKind.STICKER, "image/webp", {}, {}),
    ]
    for kind, mime_type, more, _ in sent:
        content = MediaContent(kind=kind, stored=await stored(paired, platform, mime_type=mime_type), **more)
        await paired.gateway.send(replace(outgoing(platform, paired), content=content))

    shown = [entry["file"] for entry in await whatsapp.seen(ANA)]
    assert shown == [
        {"kind": kind, "base64": base64.b64encode(PICTURE).decode(), "mimetype": mime_type, "caption": None}
        | {"file_name": None, "voice": False, **({"caption": "look"} if "caption" in more else {}), **seen}
        for kind, mime_type, more, seen in sent
    ]


async def test_a_file_is_uploaded_once_for_many_messages_and_a_faulty_host_uses_no_attempt(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    content = MediaContent(kind=MediaKind.IMAGE, stored=await stored(paired, platform))
    for fault in ({"kind": "media_drop"}, {"kind": "media_refuse", "code": 507}):
        await whatsapp.order("fault", **fault)
        with pytest.raises(SendError, match="media host") as caught:
            await paired.gateway.send(replace(outgoing(platform, paired), content=content))
        assert (caught.value.scope, caught.value.action, caught.value.code) == (
            Scope.RECIPIENT,
            Action.HOLD,
            "upload_failed",
        )
    await paired.gateway.send(replace(outgoing(platform, paired), content=content))
    await whatsapp.fault("media_refuse", code=500, count=9)  # nothing is uploaded from here on
    await paired.gateway.send(replace(outgoing(platform, paired), content=content))

    assert [entry["file"]["kind"] for entry in await whatsapp.seen(ANA)] == ["image", "image"]


async def test_a_contacts_file_is_fetched_into_the_media_store(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(QueueName.MESSAGE, gateways={"baileys": paired.gateway})
    await whatsapp.fault("media_refuse", code=503)  # the first try fails, the job's next does not

    file = {"kind": "image", "base64": base64.b64encode(PICTURE).decode(), "mimetype": "image/png", "caption": "look"}
    await whatsapp.write(ANA, "", file=file)

    async def reference() -> str | None:
        (message,) = await incoming(platform, 1)
        return message.content["image"].get("stored")

    found = await until(reference, timeout_s=30)
    assert found is not None
    _, data = await paired.store.get(platform.organization.id, found)
    assert data == PICTURE
    (message,) = await incoming(platform, 1)
    assert message.content["type"] == "image"
    assert message.content["image"]["caption"] == "look"


async def test_a_file_that_whatsapp_keeps_no_more_is_unavailable_for_good(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await whatsapp.order("forget-files")
    media_id = _id(path="/v/t62/gone")

    with pytest.raises(MediaUnavailable) as caught:
        await _fetch(paired.gateway, platform, media_id)

    assert not caught.value.again


@pytest.mark.parametrize("path", ["@evil.example/x", ".evil.example/x", "//evil.example/x", ""])
async def test_a_sender_cannot_have_another_host_asked(paired: Sidecar, platform: Platform, path: str) -> None:
    with pytest.raises(MediaUnavailable) as caught:
        await _fetch(paired.gateway, platform, _id(path=path))

    assert not caught.value.again


async def test_a_reply_quotes_the_contacts_message_and_ours(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(gateways={"baileys": paired.gateway})
    outbound = platform.outbound({"baileys": paired.gateway})
    number = {"organization_id": platform.organization.id, "instance_id": "sales", "to": f"+{ANA}"}
    question = await whatsapp.write(ANA, "Are you open?")
    (asked,) = await incoming(platform, 1)

    answer_id = await outbound.accept(**number, text="Yes", quotes=asked.id)
    answer = await platform.until_status(answer_id, MessageStatus.READ)
    later_id = await outbound.accept(**number, text="Until ten", quotes=answer_id)
    await platform.until_status(later_id, MessageStatus.READ)

    quoted = [entry["quoted"] for entry in await whatsapp.seen(ANA)]
    assert quoted == [
        {"id": question, "participant": f"{ANA}@s.whatsapp.net", "text": "Are you open?"},
        {"id": answer.wire_id, "participant": "15550001@s.whatsapp.net", "text": "Yes"},
    ]
    await whatsapp.write(
        ANA, "", message={"extendedTextMessage": {"text": "Good", "contextInfo": {"stanzaId": answer.wire_id}}}
    )
    last = (await incoming(platform, 2))[-1]
    assert last.content == {"type": "text", "text": "Good", "context": {"id": answer.wire_id}}


def _id(*, path: str) -> str:
    said = {"type": "image", "path": path, "key": base64.b64encode(bytes(32)).decode(), "mime": "image/png"}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


async def _fetch(gateway: BaileysGateway, platform: Platform, media_id: str) -> None:
    await gateway.fetch_media(organization_id=platform.organization.id, instance_id="sales", media_id=media_id)
