"""The sidecar's packages are there after ``make install``, or one line says why they are not."""

from pathlib import Path

import pytest

from berrante.gateways.baileys.__main__ import main
from berrante.gateways.baileys.errors import SidecarUninstalled
from berrante.gateways.baileys.installation import Installed

ROOT = Path(__file__).parents[3]


def test_without_npm_a_line_says_what_is_missing_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(folder: Path) -> Installed:
        raise SidecarUninstalled(folder, reason="npm error code ECONNREFUSED\nnpm error network")

    assert main([str(tmp_path)], unreachable) == 1

    first, second = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in first
    assert "ECONNREFUSED npm error network" in first
    assert "make assets" in second


def test_make_install_brings_the_sidecars_packages_and_again_when_their_lock_file_changes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    rule = makefile.split("$(VENV)/installed:")[1].split("\n\n")[0]

    assert "sidecar/package-lock.json" in rule.splitlines()[0]
    assert "-m berrante.gateways.baileys" in rule
