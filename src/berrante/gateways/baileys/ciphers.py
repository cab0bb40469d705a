"""How WhatsApp's clients encrypt files: AES-256-CBC and ten bytes of HMAC, under keys drawn from one."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from berrante.gateways.protocol import MediaKind

_MAC: Final = 10
_BLOCK: Final = 16
_NAMES: Final = {
    MediaKind.IMAGE: b"Image",
    MediaKind.STICKER: b"Image",
    MediaKind.VIDEO: b"Video",
    MediaKind.AUDIO: b"Audio",
    MediaKind.DOCUMENT: b"Document",
}


class NotTheFile(Exception):
    """The bytes are not those that were encrypted under the key."""


@dataclass(frozen=True, slots=True)
class _Keys:
    iv: bytes
    cipher: bytes
    mac: bytes


def encrypted(data: bytes, key: bytes, kind: MediaKind) -> bytes:
    """Return what is uploaded."""
    keys, padder = _keys(key, kind), PKCS7(_BLOCK * 8).padder()
    encryptor = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).encryptor()
    body = encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()
    return body + _mac(keys, body)


def decrypted(data: bytes, key: bytes, kind: MediaKind) -> bytes:
    """Return the file; raises ``NotTheFile``.

    >>> decrypted(encrypted(b"a picture", bytes(32), MediaKind.IMAGE), bytes(32), MediaKind.IMAGE)
    b'a picture'
    """
    keys, body = _keys(key, kind), data[:-_MAC]
    if not body or len(body) % _BLOCK or not hmac.compare_digest(_mac(keys, body), data[-_MAC:]):
        raise NotTheFile
    decryptor = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).decryptor()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    try:
        return unpadder.update(decryptor.update(body) + decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:  # its sender's own fault: the signature is right
        raise NotTheFile from error


def _keys(key: bytes, kind: MediaKind) -> _Keys:
    info = b"WhatsApp " + _NAMES[kind] + b" Keys"
    drawn = HKDF(algorithm=SHA256(), length=112, salt=None, info=info).derive(key)
    return _Keys(drawn[:16], drawn[16:48], drawn[48:80])


def _mac(keys: _Keys, body: bytes) -> bytes:
    return hmac.new(keys.mac, keys.iv + body, hashlib.sha256).digest()[:_MAC]
