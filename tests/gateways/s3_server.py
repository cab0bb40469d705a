"""A server that speaks S3 and checks signatures (Moto, in a process and an environment of its own)."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_PYTHON = Path(sys.prefix) / "s3" / "bin" / "python"
_POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
#: What is asked before there is a key; from then on, the server refuses what is not signed.
_UNSIGNED = (
    {"Action": "CreateUser", "UserName": "shop"},
    {"Action": "CreateAccessKey", "UserName": "shop"},
    {"Action": "PutUserPolicy", "UserName": "shop", "PolicyName": "all", "PolicyDocument": _POLICY},
)


@dataclass(frozen=True, kw_only=True)
class S3Server:
    url: str
    access_key: str
    secret_key: str


@contextmanager
def s3_server(bucket: str) -> Iterator[S3Server]:
    """Run a server that has the bucket, and a key that may do everything with it."""
    command = [str(_PYTHON), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(len(_UNSIGNED) + 1)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while (found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", said)) is None:
                line = process.stderr.readline()
                assert line, f"the server ended: {said}"
                said += line
            yield _prepared(found[1], bucket)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _prepared(url: str, bucket: str) -> S3Server:
    keys = ""
    for order in _UNSIGNED:
        answer = httpx.post(url, data={**order, "Version": "2010-05-08"}, headers=_of("iam"), timeout=60)
        assert answer.is_success, answer.text
        keys += answer.text
    made = httpx.put(f"{url}/{bucket}", headers=_of("s3"), timeout=60)
    assert made.is_success, made.text
    access_key, secret_key = (
        re.search(f"<{name}>(.+?)</{name}>", keys)[1]  # type: ignore[index]
        for name in ("AccessKeyId", "SecretAccessKey")
    )
    return S3Server(url=url, access_key=access_key, secret_key=secret_key)


def _of(service: str) -> dict[str, str]:
    scope = f"nobody/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"}
