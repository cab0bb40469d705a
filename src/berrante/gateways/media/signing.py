"""Signs a request to S3: AWS' "Signature Version 4", in the headers of one request whose body is known."""

import hashlib
import hmac
from datetime import datetime
from typing import Final

import httpx

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def signed(
    request: httpx.Request, *, payload_sha256: str, region: str, access_key: str, secret_key: str, at: datetime
) -> None:
    """Give the request the headers that prove who asks; ``at`` is in UTC.

    Its path must be of letters, digits and ``-._~/`` alone, which are written the same in the signature, and it must
    have no query. All ``x-amz-*`` headers are signed: S3 refuses a request with one that is not.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    request.headers["x-amz-date"] = stamp
    request.headers["x-amz-content-sha256"] = payload_sha256
    told = {"host": request.url.netloc.decode()}
    told |= {name: value.strip() for name, value in request.headers.items() if name.startswith("x-amz-")}
    names = ";".join(sorted(told))
    headers = "".join(f"{name}:{told[name]}\n" for name in sorted(told))
    canonical = f"{request.method}\n{request.url.path}\n\n{headers}\n{names}\n{payload_sha256}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    signature = hmac.digest(key, text.encode(), hashlib.sha256).hex()
    request.headers["Authorization"] = (
        f"{_ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
