"""What makes a Redis unfit, and what is only worth a warning."""

from typing import Any

import pytest

from berrante.engine.policy.server_fitness import Weight, flaws, server_of

_WELL = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "role": "master",
    "used_memory": 10,
    "maxmemory": 0,
}


def test_a_server_as_it_should_be_has_no_flaw() -> None:
    assert flaws(server_of(_WELL)) == []


def test_what_a_server_does_not_tell_is_not_held_against_it() -> None:
    assert flaws(server_of({})) == []


@pytest.mark.parametrize(
    ("changed", "code", "weight"),
    [
        ({"redis_version": "6.2.14"}, "version", Weight.REFUSED),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, "version", Weight.REFUSED),
        ({"maxmemory_policy": "allkeys-lfu"}, "eviction_policy", Weight.REFUSED),
        ({"role": "slave"}, "replica", Weight.REFUSED),
        ({"aof_enabled": 0}, "append_file", Weight.WARNED),
        ({"rdb_last_bgsave_status": "err"}, "persistence", Weight.WARNED),
        ({"evicted_keys": 3}, "evicted", Weight.WARNED),
        ({"used_memory": 90, "maxmemory": 100}, "memory", Weight.WARNED),
    ],
)
def test_a_flaw_is_named_with_its_remedy(changed: dict[str, Any], code: str, weight: Weight) -> None:
    (flaw,) = flaws(server_of(_WELL | changed))
    assert (flaw.code, flaw.weight) == (code, weight)
    assert flaw.text
    assert flaw.remedy


@pytest.mark.parametrize("version", ["7.0.15", "7.4.1", "8.0.0", "unknown", "255.255.255"])
def test_fit_and_unknown_versions_pass(version: str) -> None:
    assert flaws(server_of(_WELL | {"redis_version": version})) == []
