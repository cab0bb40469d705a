"""Meta's signature under a webhook."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.gateways.cloud import digest_in, verify_signature

# HMAC-SHA256 test case 2 of RFC 4231: a vector that this code did not make.
KEY = "Jefe"
BODY = b"what do ya want for nothing?"
DIGEST = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_the_vector_of_rfc_4231_verifies():
    assert verify_signature(KEY, BODY, f"sha256={DIGEST}")


def test_hexadecimal_may_be_in_upper_case():
    assert verify_signature(KEY, BODY, f"sha256={DIGEST.upper()}")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        DIGEST,
        f"sha1={DIGEST[:40]}",
        f"SHA256={DIGEST}",
        f"sha256={DIGEST[:-1]}",
        f"sha256={DIGEST}0",
        f"sha256={DIGEST}\n",
        f" sha256={DIGEST}",
        f"sha256={'é' * 64}",
        f"sha256={'٣' * 64}",
    ],
)
def test_a_header_of_another_form_carries_no_digest_and_verifies_nothing(header):
    assert digest_in(header) is None
    assert not verify_signature(KEY, BODY, header)


def test_another_secret_body_or_digest_does_not_verify():
    assert not verify_signature("jefe", BODY, f"sha256={DIGEST}")
    assert not verify_signature(KEY, BODY + b" ", f"sha256={DIGEST}")
    assert not verify_signature(KEY, BODY, f"sha256={'0' * 64}")


def test_an_empty_secret_verifies_nothing_not_even_what_was_signed_with_it():
    # HMAC-SHA256 of no bytes under an empty key.
    known = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    assert not verify_signature("", b"", f"sha256={known}")


@given(body=st.binary(min_size=1, max_size=200), position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_breaks_the_signature(body, position, bit):
    header = "sha256=" + hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert verify_signature(KEY, body, header)
    changed = bytearray(body)
    changed[position % len(body)] ^= 1 << bit
    assert not verify_signature(KEY, bytes(changed), header)
