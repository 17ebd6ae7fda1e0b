"""What a path leads to when a tenant has had a hand in it."""

import os
import socket
from pathlib import Path

import pytest

from emperor.brain.socket_files import identify, remove
from emperor.config.resolve import LinkRefusedError, open_folder, resolve, weak_spot
from tests.support.need import need_root

TENANT = 12345


def opened(path: Path) -> Path:
    """Return where `open_folder` ends."""
    fd = open_folder(str(path))
    try:
        return Path(os.readlink(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


def bound(path: Path) -> None:
    """Leave the file of a socket at `path`."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def test_link_of_our_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "releases" / "42").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/42")
    assert opened(tmp_path / "current") == (tmp_path / "releases/42").resolve()


def test_link_of_a_tenant_is_not_followed(tmp_path: Path) -> None:
    need_root()
    (tmp_path / "link").symlink_to("/etc")
    os.lchown(tmp_path / "link", TENANT, TENANT)
    with pytest.raises(PermissionError, match=f"link of uid {TENANT} .*write the true path"):
        open_folder(str(tmp_path / "link"))


def test_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    at = os.open(tmp_path, os.O_PATH)
    with pytest.raises(LinkRefusedError) as caught:
        resolve(at, ["loop"])
    os.close(at)
    assert caught.value.is_loop


def test_folder_that_is_a_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        open_folder(str(tmp_path / "file"))


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for name in ("loop", "file", "missing", "."):
        try:
            os.close(open_folder(str(tmp_path / name)))
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_socket_that_was_bound_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    bound(path)
    file = identify(str(path))
    assert file is not None
    remove(str(path), file)
    assert not path.exists()


def test_another_socket_that_has_the_name_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    bound(path)
    file = identify(str(path))
    path.rename(tmp_path / "kept.sock")
    bound(path)
    assert file is not None
    remove(str(path), file)
    assert path.exists()


def test_socket_behind_a_folder_that_became_a_tenants_link_stays(tmp_path: Path) -> None:
    need_root()
    theirs, others = tmp_path / "theirs", tmp_path / "others"
    theirs.mkdir()
    others.mkdir()
    bound(theirs / "app.sock")
    file = identify(str(theirs / "app.sock"))
    os.link(theirs / "app.sock", others / "app.sock")
    (theirs / "app.sock").unlink()
    theirs.rmdir()
    theirs.symlink_to(others)
    os.lchown(theirs, TENANT, TENANT)
    assert file is not None
    remove(str(theirs / "app.sock"), file)
    assert (others / "app.sock").exists()


def test_what_is_no_socket_is_no_sockets_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert identify(str(tmp_path / "plain")) is None
    assert identify(str(tmp_path / "missing")) is None


def test_weak_spot_is_the_folder_that_somebody_else_can_change(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "own"
    folder.mkdir(parents=True)
    for path in (tmp_path, folder.parent, folder):
        path.chmod(0o755)
    assert weak_spot(str(folder), _is_open) is None
    folder.parent.chmod(0o777)
    assert weak_spot(str(folder), _is_open) == str(folder.parent)
    folder.parent.chmod(0o1777)
    assert weak_spot(str(folder), _is_open) is None
    with pytest.raises(FileNotFoundError):
        weak_spot(str(folder / "none"), _is_open)


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & 0o022)
