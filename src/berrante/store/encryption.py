"""Secrets at rest: AES-256-GCM, with the key's id in each ciphertext so that keys can be changed.

EncryptionError
├── KeyMalformed   the configured key is none; a ValueError
├── KeyMissing     a secret has to be stored or read, and the key for it is not configured
└── SealBroken     a stored secret is not what was written there
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.exc import DontWrapMixin

_SETTING: Final = "BERRANTE_ENCRYPTION_KEY"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MARK: Final = "enc:1:"
_SEALED: Final = re.compile(r"enc:1:(?P<key>[0-9a-f]{8}):(?P<data>[A-Za-z0-9_-]+={0,2})")


class EncryptionError(DontWrapMixin, Exception):
    """Anything that keeps a secret from being stored or read; it leaves SQLAlchemy as it is."""

    code: ClassVar[str] = "encryption_error"


class KeyMalformed(EncryptionError, ValueError):
    """The configured key is no key."""

    code = "encryption_key_malformed"

    def __init__(self, problem: str) -> None:
        super().__init__(f"{_SETTING} {problem}: give one of `berrante encryption-key`, 32 random bytes in base64")


class KeyMissing(EncryptionError):
    """A secret has to be stored or read, and the key for it is not configured."""

    code = "encryption_key_missing"

    def __init__(self, what: str, key_id: str | None = None) -> None:
        of = f" (the one whose id is {key_id})" if key_id else ""
        super().__init__(f"{what} needs the encryption key{of}: set {_SETTING}, the same in all processes")
        self.key_id = key_id


class SealBroken(EncryptionError):
    """A stored secret is not what was written there: it was changed, cut, or moved from another column."""

    code = "seal_broken"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} cannot be read back: the stored value was changed; set it anew")


class Cipher:
    """Seals with its first key, and opens what any of its keys sealed.

    ``context`` says where the secret belongs (a column); a ciphertext that is moved elsewhere does not open.

    >>> cipher = Cipher([bytes(32)])
    >>> cipher.open(cipher.seal("hush", "cloud_numbers.access_token"), "cloud_numbers.access_token")
    'hush'
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise KeyMalformed(f"has no key of {_KEY_BYTES} bytes")
        self._ciphers = {_id(key): AESGCM(key) for key in keys}
        self.current = _id(keys[0])

    @classmethod
    def parse(cls, text: str) -> "Cipher":
        """Read keys in base64 or hexadecimal with commas between: the first seals, the others only open."""
        return cls([_key(part.strip()) for part in text.split(",") if part.strip()])

    def seal(self, plain: str, context: str) -> str:
        """Return the ciphertext; the same secret gives another one each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self.current].encrypt(nonce, plain.encode(), context.encode())
        return f"{_MARK}{self.current}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Return the secret; raises ``KeyMissing`` and ``SealBroken``."""
        match = _SEALED.fullmatch(sealed)
        if match is None:
            raise SealBroken(context)
        cipher = self._ciphers.get(match["key"])
        if cipher is None:
            raise KeyMissing(context, match["key"])
        try:
            data = base64.urlsafe_b64decode(match["data"])
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken(context) from error

    def is_current(self, stored: str) -> bool:
        """Tell whether the stored value is sealed, and with the key that seals now."""
        return stored.startswith(f"{_MARK}{self.current}:")


def is_sealed(stored: str) -> bool:
    """Tell whether a stored value is a ciphertext of ours and not a plain secret of earlier days."""
    return stored.startswith(_MARK)


def new_key() -> str:
    """Make a key, as the setting takes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _id(key: bytes) -> str:
    return hashlib.sha256(b"berrante key id:" + key).hexdigest()[:8]


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else _base64(text)
    except ValueError as error:
        raise KeyMalformed("is neither base64 nor hexadecimal") from error
    if len(key) != _KEY_BYTES:
        raise KeyMalformed(f"holds {len(key)} bytes and not {_KEY_BYTES}")
    return key


def _base64(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
