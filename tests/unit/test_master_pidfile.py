"""The file with the master's pid, in a folder that is the tenant's."""

import os
from pathlib import Path

import pytest

from emperor.config.problems import Invalid
from emperor.config.serving_keys import file_path, process_name
from vassal.master.pidfile import PidFile, in_output


def test_the_file_is_written_moved_and_removed(tmp_path: Path) -> None:
    said: list[str] = []
    one = PidFile(in_output(said.append))
    first, second = tmp_path / "a.pid", tmp_path / "b.pid"
    one.keep(str(first), 123)
    one.keep(str(first), 123)
    assert first.read_text() == "123\n"
    assert first.stat().st_mode & 0o777 == 0o644
    one.keep(str(second), 123)
    assert (first.exists(), second.read_text()) == (False, "123\n")
    one.keep("", 123)
    assert (os.listdir(tmp_path), said) == ([], [])


def test_a_successors_file_stays(tmp_path: Path) -> None:
    old, new = PidFile(print), PidFile(print)
    path = tmp_path / "a.pid"
    old.keep(str(path), 1)
    new.keep(str(path), 2)
    old.remove()
    assert path.read_text() == "2\n"
    new.remove()
    assert not path.exists()


def test_traps_in_the_folder_neither_stop_the_master_nor_are_written_through(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    one = PidFile(in_output(said.append))
    path, other = tmp_path / "a.pid", tmp_path / "other"
    other.write_text("theirs")
    path.symlink_to(other)
    (tmp_path / "a.pid.7.new").symlink_to(other)
    one.keep(str(path), 7)
    assert (path.is_symlink(), path.read_text(), other.read_text()) == (False, "7\n", "theirs")
    path.unlink()
    os.mkfifo(path)
    one.remove()
    assert path.is_fifo()
    one.keep(str(tmp_path / "none" / "a.pid"), 7)
    assert said == [
        f"event=pidfile_not_written path='{tmp_path}/none/a.pid' error='No such file or directory'"
    ]


def test_wrong_names_are_explained() -> None:
    with pytest.raises(Invalid, match=r'"run/" is a folder; write "run/blog\.pid"'):
        file_path("run/")
    with pytest.raises(Invalid, match="is not a name; write up to 64"):
        process_name("x" * 65)
