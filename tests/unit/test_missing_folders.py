"""Folders that a file names and nobody has made are told by their key."""

from pathlib import Path

from emperor.brain.release_links import missing_folders
from emperor.config.settings import VassalSettings
from limits.mounts import PrivateRoot, Show


def root_with(*paths: str) -> PrivateRoot:
    return PrivateRoot(mounts=tuple(Show(path=path, source=path) for path in paths))


def settings_of(directory: str, *pythonpath: str) -> VassalSettings:
    return VassalSettings(
        name="blog", app="a:b", directory=directory, pythonpath=pythonpath, listen=()
    )


def test_folder_that_does_not_exist_is_told_by_its_key(tmp_path: Path) -> None:
    there, gone, lib = str(tmp_path), str(tmp_path / "gone"), str(tmp_path / "lib")
    root = root_with(there, gone, lib)
    assert missing_folders(settings_of(there), root, "f") == []
    assert [str(one) for one in missing_folders(settings_of(gone, there, lib), root, "f")] == [
        f"f:1: directory: {gone} does not exist; create it, or correct the path",
        f"f:1: pythonpath: {lib} does not exist; create it, or correct the path",
    ]


def test_folder_that_is_only_inside_is_not_looked_for_on_the_host() -> None:
    assert missing_folders(settings_of("/app"), root_with("/srv"), "f") == []
    assert missing_folders(settings_of("/app"), None, "f") == []
