"""The whole of it in one process: a signed webhook comes in, an automation's reply goes out."""

import hashlib
import hmac
import json

from berrante.app import Application, demo
from tests.app.process import client_of, working
from tests.waiting import until


def _delivery(text: str, *, sender: str = "5511987654321", message_id: str = "wamid.TEST1") -> bytes:
    message = {"from": sender, "id": message_id, "timestamp": "1760000000", "type": "text", "text": {"body": text}}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551140000000", "phone_number_id": "1"},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": sender}],
        "messages": [message],
    }
    changes = [{"field": "messages", "value": value}]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).encode()


def _signed(body: bytes, app_secret: str) -> dict[str, str]:
    digest = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


async def test_a_signed_webhook_is_answered_by_an_automation(application: Application) -> None:
    access = await demo.prepare(_silent(application))
    body = _delivery("Qual é o preço?")
    headers = {"Authorization": f"Bearer {access.api_key}"}
    async with client_of(application) as client, working(application):
        path = "/webhooks/whatsapp/demo"
        for _ in range(2):  # Meta delivers again whenever it pleases
            taken = await client.post(path, content=body, headers=_signed(body, str(access.app_secret)))
            assert taken.status_code == 200

        async def sent() -> list[dict[str, object]]:
            listed = (await client.get("/v1/messages", headers=headers)).json()["data"]
            done = [each for each in listed if each["direction"] == "out" and each["status"] in {"delivered", "read"}]
            return listed if len(done) == 2 else []

        listed = await until(sent)
    incoming = [each for each in listed if each["direction"] == "in"]
    assert [each["content"]["text"] for each in incoming] == ["Qual é o preço?"]
    replies = {each["content"]["text"] for each in listed if each["direction"] == "out"}
    assert replies == {
        "It costs R$ 42, delivery included.",
        "Thank you for writing! A person will answer soon.",
    }
    assert {each["address"] for each in listed} == {"+5511987654321"}


async def test_a_wrong_signature_changes_nothing(application: Application) -> None:
    await demo.prepare(_silent(application))
    body = _delivery("hello")
    async with client_of(application) as client:
        answer = await client.post("/webhooks/whatsapp/demo", content=body, headers=_signed(body, "another secret"))
    assert answer.status_code == 403
    assert sum((await application.queues.message.counts()).values()) == 0


async def test_metas_first_question_is_answered(application: Application) -> None:
    access = await demo.prepare(_silent(application))
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": access.verify_token}
    async with client_of(application) as client:
        answer = await client.get("/webhooks/whatsapp/demo", params=query)
    assert (answer.status_code, answer.text) == (200, "1158201444")


async def test_a_job_that_lacks_a_field_is_a_dead_letter_that_names_it(application: Application) -> None:
    access = await demo.prepare(_silent(application))
    data = {"organizationId": str(access.instance.organization_id), "instanceId": "demo", "from": "+5511987654321"}
    await application.queues.message.add("incoming", data)
    async with working(application):
        await until(application.queues.dead_letters.count)
    (letter,) = await application.queues.dead_letters.list()
    assert "content" in letter.data["failedReason"]


def _silent(application: Application) -> Application:
    """No contacts that write of their own accord: a test counts messages."""
    settings = application.settings
    application.settings = settings.model_copy(update={"demo": settings.demo.model_copy(update={"contacts": 0})})
    return application
