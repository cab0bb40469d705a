import os
from pathlib import Path

import pytest

from berrante.embedded import DataDir, DataDirInUse


def test_it_creates_the_folder_and_writes_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"

    with DataDir(folder) as data_dir:
        assert data_dir / "valkey" == folder / "valkey"
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_it_is_refused_while_held_and_free_afterwards(tmp_path: Path) -> None:
    with DataDir(tmp_path), pytest.raises(DataDirInUse), DataDir(tmp_path):
        pass

    with DataDir(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_file_that_nobody_holds_does_not_matter_whatever_pid_it_names(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{os.getppid()} and what follows from a longer past\n")

    with DataDir(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_relative_folder_is_the_one_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert DataDir(Path("data")).path == tmp_path / "data"
