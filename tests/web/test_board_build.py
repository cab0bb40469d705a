"""The build brings the interface's files whole or not at all, and only from what the lock file names."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path: Path, build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose npm brings one file."""
    (tmp_path / "frontend").mkdir()
    for name in ("package.json", "package-lock.json", "NOTICE"):
        (tmp_path / "frontend" / name).write_text(name)
    (tmp_path / build.TARGET).parent.mkdir(parents=True)

    def npm_ci(folder: str) -> None:
        package = Path(folder, "node_modules", build.PACKAGE)
        (package / "dist").mkdir(parents=True)
        (package / "dist/index.ejs").write_text("page")
        (package / "package.json").write_text('{"version": "1.2.3"}')

    monkeypatch.setattr(build, "_npm_ci", npm_ci)
    return tmp_path


def test_files_are_brought_once_per_lock_file(build: ModuleType, clone: Path) -> None:
    assert build.fetch(clone) is True
    target = clone / build.TARGET
    assert (target / "index.ejs").read_text() == "page"
    assert (target / "version.txt").read_text() == "1.2.3\n"
    assert (target / "NOTICE.txt").is_file()
    assert build.fetch(clone) is False
    (clone / "frontend/package-lock.json").write_text("another")
    (target / "of-the-old-version.js").touch()
    assert build.fetch(clone) is True
    assert not (target / "of-the-old-version.js").exists()
    assert [path.name for path in target.parent.iterdir()] == ["static"]


def test_without_a_registry_an_editable_install_goes_on_and_a_wheel_does_not(
    build: ModuleType, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.fetch(clone)
    (clone / "frontend/package-lock.json").write_text("another")

    def unreachable(folder: str) -> None:
        raise build.Unreachable("no registry")

    class App:
        warned = ""

        def display_warning(self, text: str) -> None:
            self.warned += text

    monkeypatch.setattr(build, "_npm_ci", unreachable)
    app = App()
    hook = build.BrowserFiles(str(clone), {}, None, None, "", "wheel", app)
    data: dict[str, list[str]] = {"artifacts": []}
    hook.initialize("editable", data)
    assert "make assets" in app.warned
    with pytest.raises(build.Unreachable):
        hook.initialize("standard", data)
    assert (clone / build.TARGET / "index.ejs").is_file()  # what was there stays


def test_locks_pin_by_digest_and_name_no_address() -> None:
    for folder in ("frontend", "tests/contract/board"):
        text = (ROOT / folder / "package-lock.json").read_text()
        packages = {name: one for name, one in json.loads(text)["packages"].items() if name}
        assert packages
        assert all(one["integrity"].startswith("sha512-") for one in packages.values())
        assert '"resolved"' not in text


def test_the_contract_test_compares_with_the_same_version() -> None:
    ours, theirs = [
        json.loads((ROOT / folder / "package.json").read_text())["dependencies"]["@bull-board/ui"]
        for folder in ("frontend", "tests/contract/board")
    ]
    assert ours == theirs
