"""Bodies that are too large or too deep are refused before anything reads them, however they come."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Request

from berrante.app import Application
from berrante.web.app import create_app
from berrante.web.bodies import MAX_DEPTH, MAX_JSON, MAX_UPLOAD, depth_of
from tests.app.process import client_of
from tests.web.access import error

_JSON = {"Content-Type": "application/json"}


async def _in_pieces(size: int, piece: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, size, piece):
        yield b" " * min(piece, size - start)


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.x+json; charset=utf-8", None])
async def test_json_over_the_limit_is_413_with_and_without_a_length(
    application: Application, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    async with client_of(application) as client:
        announced = await client.post("/auth/login", content=b" " * (MAX_JSON + 1), headers=headers)
        streamed = await client.post("/auth/login", content=_in_pieces(MAX_JSON + 1), headers=headers)
        lied = await client.post(
            "/auth/login", content=_in_pieces(MAX_JSON + 1), headers=headers | {"Content-Length": "5"}
        )
        most = await client.post("/auth/login", content=_in_pieces(MAX_JSON), headers=headers)
    for answer in (announced, streamed, lied):
        assert error(answer) == (413, "body_too_large")
        assert answer.headers["X-Request-Id"] == answer.json()["error"]["request_id"]
    assert most.status_code == 422


async def test_an_upload_over_the_limit_is_413(application: Application) -> None:
    app = create_app(application)

    @app.post("/upload")
    async def upload(request: Request) -> int:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return size

    headers = {"Content-Type": "text/csv"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        announced = await client.post("/upload", headers=headers | {"Content-Length": str(MAX_UPLOAD + 1)})
        streamed = await client.post("/upload", content=_in_pieces(MAX_UPLOAD + 1, 2**20), headers=headers)
        most = await client.post("/upload", content=_in_pieces(MAX_UPLOAD, 2**20), headers=headers)
    for answer in (announced, streamed):
        assert error(answer) == (413, "body_too_large")
    assert most.json() == MAX_UPLOAD


async def test_json_that_is_nested_too_deep_is_400(application: Application) -> None:
    async with client_of(application) as client:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            deep = opening * (MAX_DEPTH + 1) + "1" + closing * (MAX_DEPTH + 1)
            assert error(await client.post("/auth/login", content=deep, headers=_JSON)) == (400, "too_deep")
            fit = opening * MAX_DEPTH + "1" + closing * MAX_DEPTH
            assert (await client.post("/auth/login", content=fit, headers=_JSON)).status_code == 422
        bomb = "[" * 100_000
        assert error(await client.post("/auth/login", content=bomb, headers=_JSON)) == (400, "too_deep")


def test_brackets_in_strings_are_no_depth() -> None:
    assert depth_of(b'{"a":"' + b"[" * 100 + b'"}') == 1
    assert depth_of(b'"\\\\"' + b"[[") == 2
    # A string without an end reaches to the end, and is searched once.
    assert depth_of(b'["' + b'\\"[' * 300_000) == 1


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b'{"email": "\\ud800", "password": "x"}', b"1" * 5_000, b"", b"null"]
)
async def test_what_cannot_be_read_is_a_clear_4xx(application: Application, body: bytes) -> None:
    async with client_of(application) as client:
        answer = await client.post("/auth/login", content=body, headers=_JSON)
    assert answer.status_code in {400, 401, 422}
    assert answer.json()["error"]["code"] in {"invalid", "bad_request", "login_failed"}
