import pytest

from berrante.engine import IncompatibleScripts
from berrante.engine.wire import scripts


def test_the_installed_lua_is_what_was_tested() -> None:
    assert scripts.digest() == scripts.TESTED_DIGEST


def test_other_lua_stops_the_start_and_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "moveToActive-11.lua").write_text("return 'changed'")
    monkeypatch.setattr(scripts, "_commands", lambda: tmp_path)
    scripts.check_compatible.cache_clear()
    try:
        with pytest.raises(IncompatibleScripts, match=r"install bullmq==3\.4\.4"):
            scripts.check_compatible()
    finally:
        scripts.check_compatible.cache_clear()


def test_joined_scripts_run_one_after_the_other_with_their_own_keys() -> None:
    joined = scripts.both("failAndBury", "moveToFinished-14", "addStandardJob-9")
    assert joined.source.count(b"local function") > 2
    assert b"slice(KEYS, 1, 14)" in joined.source
    assert b"slice(KEYS, 15, #KEYS)" in joined.source
