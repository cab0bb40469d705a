"""One attempt over real sockets: where it goes, what it carries, what is kept of the answer."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from berrante.messaging.endpoints.sending import Answer, Sender
from tests.messaging.receiver import Receiver, receiving


class Names:
    """A name server that says one thing after the other, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def _post(receiver: Receiver, sender: Sender | None = None, *, host: str = "127.0.0.1") -> Answer:
    sender = sender or Sender(allow_loopback=True)
    return await sender.post(f"http://{host}:{receiver.port}/hooks?a=b", body=b'{"a": 1}', headers={"X-Own": "1"})


async def test_the_bytes_and_headers_arrive_under_the_name_at_the_checked_address() -> None:
    names = Names(["127.0.0.1"])
    async with receiving() as receiver:
        answer = await _post(receiver, Sender(allow_loopback=True, resolve=names), host="hooks.example.com")
        (request,) = receiver.requests
    assert (answer.status, answer.body, answer.error) == (200, "ok", None)
    assert (request.method, request.path, request.body) == ("POST", "/hooks?a=b", b'{"a": 1}')
    assert request.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert request.headers["x-own"] == "1"
    assert request.headers["user-agent"].startswith("berrante/")
    assert names.asked == [("hooks.example.com", receiver.port)]


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["127.0.0.1", "10.0.0.1"]],
)
async def test_a_name_that_leads_inside_is_not_called(addresses: list[str]) -> None:
    async with receiving() as receiver:
        answer = await _post(receiver, Sender(allow_loopback=True, resolve=Names(addresses)), host="evil.example.com")
        assert receiver.requests == []
    assert answer.status is None
    assert "no public address" in str(answer.error)


async def test_loopback_is_refused_unless_it_is_allowed() -> None:
    async with receiving() as receiver:
        sender = Sender(resolve=Names(["127.0.0.1"]))
        answer = await sender.post(f"https://evil.example.com:{receiver.port}/", body=b"{}", headers={})
        assert receiver.requests == []
    assert "127.0.0.1" in str(answer.error)


async def test_a_name_that_changes_after_the_check_is_called_where_it_was_checked() -> None:
    # DNS rebinding: the second look-up would lead elsewhere, so there must be none.
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with receiving() as receiver:
        answer = await _post(receiver, Sender(allow_loopback=True, resolve=names), host="rebind.example.com")
        assert answer.error is None
        assert len(receiver.requests) == 1
        again = await _post(receiver, Sender(allow_loopback=True, resolve=names), host="rebind.example.com")
        assert "10.0.0.1" in str(again.error)
        assert len(receiver.requests) == 1
    assert len(names.asked) == 2


async def test_numbers_that_the_system_reads_as_an_address_are_checked_too() -> None:
    answer = await Sender().post("https://2130706433/", body=b"{}", headers={})
    assert "127.0.0.1" in str(answer.error)


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with receiving() as receiver:
        sender = Sender(allow_loopback=True, resolve=Names(["127.0.0.2", "127.0.0.1"]))
        answer = await _post(receiver, sender, host="two.example.com")
    assert answer.error is None


async def test_a_redirect_is_a_failure_and_not_followed() -> None:
    async with receiving() as receiver, receiving() as other:
        receiver.answers.append(f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode())
        answer = await _post(receiver)
        assert other.requests == []
    assert answer.status == 302
    assert "redirects are not followed" in str(answer.error)


async def test_of_a_huge_answer_one_kilobyte_is_kept_and_the_rest_not_read() -> None:
    async with receiving() as receiver:
        receiver.answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 3_000_000)
        answer = await _post(receiver)
    assert (answer.status, answer.error) == (200, None)
    assert answer.body == "x" * 1_024


async def test_an_answer_may_be_any_bytes() -> None:
    async with receiving() as receiver:
        receiver.answers.append(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\n\x00\xff\xfea")
        answer = await _post(receiver)
    assert answer.body == "���a"
    assert answer.error == "answered 500"


async def test_a_silent_endpoint_is_left_after_the_time_out() -> None:
    async with receiving() as receiver:
        receiver.answers.append(asyncio.Event())
        answer = await _post(receiver, Sender(allow_loopback=True, within_s=1))
        assert len(receiver.requests) == 1
    assert "within 1 s" in str(answer.error)


async def test_an_answer_that_is_cut_off_is_a_failure() -> None:
    async with receiving() as receiver:
        receiver.answers.append(b"HTTP/1.1 200 OK\r\n")
        answer = await _post(receiver)
    assert "RemoteProtocolError" in str(answer.error)


async def test_a_name_server_that_is_silent_is_left_too() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        return await asyncio.Event().wait() and []

    answer = await Sender(resolve=silent, within_s=0.05).post("https://x.example.com/", body=b"{}", headers={})
    assert "within 0.05 s" in str(answer.error)


async def test_a_name_that_cannot_be_looked_up_is_a_failure() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise UnicodeError("label empty or too long")

    answer = await Sender(resolve=unknown).post("https://x.example.com/", body=b"{}", headers={})
    assert answer.error == "UnicodeError: label empty or too long"
    nowhere = await Sender(resolve=Names([])).post("https://x.example.com/", body=b"{}", headers={})
    assert nowhere.error == "x.example.com has no address"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with receiving() as receiver:
        assert (await _post(receiver)).error is None


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for one name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_the_certificate_is_checked_for_the_name_though_the_connection_goes_to_an_address(tmp_path: Path) -> None:
    server, trust = _certificate(tmp_path, "hooks.example.com")
    asked: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked.append(name)
    sender = Sender(allow_loopback=True, resolve=Names(["127.0.0.1"]), trust=trust)
    async with receiving(server) as receiver:
        good = await sender.post(f"https://hooks.example.com:{receiver.port}/", body=b"{}", headers={})
        bad = await sender.post(f"https://other.example.com:{receiver.port}/", body=b"{}", headers={})
        assert len(receiver.requests) == 1
    assert good.error is None
    assert "CERTIFICATE_VERIFY_FAILED" in str(bad.error)
    assert asked == ["hooks.example.com", "other.example.com"]
