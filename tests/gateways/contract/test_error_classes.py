"""The contract's list of error classes, against the gateways' own tables."""

from berrante.gateways.baileys.refusals import MEANINGS, refused
from berrante.gateways.refusals import REFUSALS, refusal
from tests.gateways.contract.error_classes import CLASSES, key_of


def test_the_list_has_every_class() -> None:
    """Of Meta's table, and of WhatsApp Web's codes and states; who lacks a class says why."""
    meta, baileys = {key_of(refusal(code)) for code in REFUSALS}, {key_of(refused({"code": code})) for code in MEANINGS}

    assert {kind.key for kind in CLASSES if kind.meta} == meta
    assert {kind.key for kind in CLASSES if kind.baileys} == baileys
    assert [kind for kind in CLASSES if bool(kind.lacking) is bool(kind.meta and kind.baileys)] == []
