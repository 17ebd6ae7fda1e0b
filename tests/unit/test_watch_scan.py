import os

import pytest

from emperor.watch.scan import TooManyFiles, misnamed, scan


def test_scan_lists_vassal_files_of_every_type_and_nothing_else(tmp_path):
    for name in ("b.toml", "a.toml", ".a.toml.swp", "a.toml~", "readme.md"):
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "link.toml").symlink_to("nowhere")

    assert scan(str(tmp_path)) == ["a.toml", "b.toml", "fifo.toml", "link.toml"]


def test_scan_refuses_more_vassals_than_its_bound(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.toml").write_text("")

    assert len(scan(str(tmp_path), files_max=4)) == 4
    with pytest.raises(TooManyFiles, match="more than 3 files"):
        scan(str(tmp_path), files_max=3)


def test_scan_refuses_more_entries_than_its_bound(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("")

    with pytest.raises(TooManyFiles, match="more than 3 files"):
        scan(str(tmp_path), entries_max=3)


def test_scan_of_a_missing_directory_is_an_error_and_not_an_empty_list(tmp_path):
    with pytest.raises(FileNotFoundError):
        scan(str(tmp_path / "gone"))


def test_files_that_would_be_vassals_under_another_name_are_known(tmp_path):
    for name in ("blog.ini", "my shop.ini", "a&b.yaml", ".hidden.ini", "#x.toml", "notes.txt"):
        (tmp_path / name).touch()
    assert misnamed(str(tmp_path)) == ["a&b.yaml", "my shop.ini"]
