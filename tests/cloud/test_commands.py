"""The commands of the Cloud API, as an operator types them."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from berrante.cli.root import app
from berrante.messaging.organizations import Organizations
from berrante.store import Cipher, Database
from berrante.store.encryption import new_key
from tests.cli.command import ran, running
from tests.waiting import until

_runner = CliRunner()


@pytest.mark.timeout(300)  # four processes, one after another
async def test_a_number_is_connected_shown_and_released(redis_url: str, database_url: str, prefix: str, tmp_path: Path):
    key = new_key()
    engines = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "BERRANTE_QUEUE_PREFIX": prefix,
        "BERRANTE_ENCRYPTION_KEY": key,
    }
    database = Database(database_url, cipher=Cipher.parse(key))
    await Organizations(database).create("Acme")
    secrets = {"WHATSAPP_ACCESS_TOKEN": "EAAtoken", "WHATSAPP_APP_SECRET": "a", "WHATSAPP_VERIFY_TOKEN": "v"}
    made = await ran(
        *("cloud", "connect", "shop", "--organization", "Acme", "--phone-number-id", "10", "--messaging-limit", "250"),
        *("--base-url", "http://127.0.0.1:1"),
        data_dir=tmp_path,
        **engines,
        **secrets,
    )
    assert (made.code, made.errors) == (0, "")
    assert "not checked: Graph does not answer" in made.output
    assert "number shop sends; its webhook is /webhooks/whatsapp/shop" in made.output
    async with database.begin() as connection:
        rows = (await connection.execute(text("SELECT access_token, messaging_limit FROM cloud_numbers"))).all()
        await connection.execute(
            text(
                "INSERT INTO sending_holds SELECT organization_id, id, 'number', '133010', 'register it', false, now() "
                "FROM instances"
            )
        )
    assert [(row.access_token[:6], row.messaging_limit) for row in rows] == [("enc:1:", 250)]

    shown = await ran("cloud", "holds", "shop", data_dir=tmp_path, **engines)
    assert "133010" in shown.output
    assert "somebody acts" in shown.output
    released = await ran("cloud", "release", "shop", data_dir=tmp_path, **engines)
    assert "1 holds ended" in released.output
    unknown = await ran("cloud", "holds", "nobody", data_dir=tmp_path, **engines)
    assert (unknown.code, "no such instance: 'nobody'" in unknown.errors) == (2, True)
    await database.close()


async def test_a_token_without_a_key_is_refused_with_the_remedy(redis_url, database_url, prefix, tmp_path):
    database = Database(database_url)
    await Organizations(database).create("Acme")
    await database.close()
    ended = await ran(
        *("cloud", "connect", "shop", "--organization", "Acme", "--phone-number-id", "10"),
        data_dir=tmp_path,
        REDIS_URL=redis_url,
        DATABASE_URL=database_url,
        BERRANTE_QUEUE_PREFIX=prefix,
        WHATSAPP_ACCESS_TOKEN="EAAtoken",
        WHATSAPP_APP_SECRET="a",
        WHATSAPP_VERIFY_TOKEN="v",
    )
    assert ended.code == 2
    assert "set BERRANTE_ENCRYPTION_KEY" in ended.errors
    assert "EAAtoken" not in ended.errors


def test_a_key_is_made() -> None:
    made = _runner.invoke(app, ["encryption-key"])
    assert made.exit_code == 0
    assert Cipher.parse(made.output).current


async def test_the_stand_in_runs_by_command_and_goes_wrong_to_order(tmp_path: Path) -> None:
    async with running("fakes", "graph", "--port", "0", data_dir=tmp_path) as command:
        output = await until(lambda: command.output if "_fake/ledger" in command.output else "", timeout_s=30)
        url = output.split("listens on ")[1].split(";")[0]
        headers = {"Authorization": "Bearer fake-token"}
        message = {"messaging_product": "whatsapp", "to": "5511999990001", "type": "text", "text": {"body": "Hi"}}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            sent = await client.post("/v24.0/100/messages", json=message)
            assert sent.status_code == 200
            assert (await client.post("/_fake/fail", json={"code": 131048})).status_code == 200
            refused = await client.post("/v24.0/100/messages", json=message)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, 131048)
            wrong = await client.post("/_fake/fail", json={"fault": "sunspots"})
            assert wrong.status_code == 422
            await client.post("/_fake/tokens", json={"fake-token": False})
            expired = await client.post("/v24.0/100/messages", json=message)
            assert expired.json()["error"]["code"] == 190
            ledger = (await client.get("/_fake/ledger")).json()
        assert [seen["content"]["body"] for chat in ledger["chats"] for seen in chat["seen"]] == ["Hi"]
        command.process.terminate()
        ended = await command.ended()
    assert ended.code == 0


async def test_the_stand_in_calls_a_webhook_until_it_is_taken(fake, tmp_path: Path) -> None:
    calls: list[dict] = []

    async def app_(scope, receive, send) -> None:
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        calls.append(json.loads(body))
        status = 503 if len(calls) < 3 else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    fake.webhooks._client = httpx.AsyncClient(transport=httpx.ASGITransport(app_))
    fake.webhooks.url = "http://web/webhooks/whatsapp/shop"
    fake.write("106540352242922", sender="5511999990001", text="Oi")
    async with asyncio.timeout(20):
        await fake.webhooks.flush()
    await fake.webhooks._client.aclose()
    assert (len(calls), fake.webhooks.refused, fake.webhooks.delivered) == (3, 2, 1)
    assert calls[0] == calls[2]


@pytest.mark.parametrize("group", ["cloud", "fakes"])
def test_the_groups_explain_themselves(group: str) -> None:
    result = _runner.invoke(app, [group, "--help"])
    assert result.exit_code == 0
