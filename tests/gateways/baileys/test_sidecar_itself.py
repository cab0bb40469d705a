"""The sidecar's own tests and its linter, and that a wheel holds what it needs."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from berrante.gateways.baileys.installation import Installed

ROOT = Path(__file__).parents[3]
SIDECAR = ROOT / "sidecar"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--test", "test/*.test.js"), id="its tests pass"),
        pytest.param(("node_modules/eslint/bin/eslint.js", "--max-warnings", "0", "."), id="its linter is content"),
    ],
)
async def test_in_the_sidecar(installed: Installed, arguments: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        str(installed.node), *arguments, cwd=SIDECAR, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()


def test_a_wheel_holds_the_sidecar() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert set(wheel["force-include"]) == {"sidecar/src", "sidecar/package.json", "sidecar/package-lock.json"}


def test_the_sidecar_stays_small() -> None:
    lines = {file.name: len(file.read_text().splitlines()) for file in (SIDECAR / "src").iterdir()}

    assert sum(lines.values()) < 1_000, lines
