"""Reading a vassal file that its owner may have made into anything."""

import hashlib
import os
import socket
import stat

import pytest

from emperor.cli.files import file_problem
from emperor.config import read
from emperor.config.read import Changing, Content, Missing, Unreadable, read_file
from tests.support.need import need_root, need_user

TENANT = 12345


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "vassals"
    directory.mkdir()
    return directory


def reason(folder, name="blog.toml"):
    found = read_file(str(folder), name)
    assert isinstance(found, Unreadable), found
    return found.reason


def test_content_comes_with_what_identifies_it(folder):
    (folder / "blog.toml").write_text("app = 'ü'\n")
    status = (folder / "blog.toml").stat()

    found = read_file(str(folder), "blog.toml")

    assert found == Content(
        text="app = 'ü'\n",
        owner_uid=os.geteuid(),
        gid=status.st_gid,
        links=1,
        mtime_ns=status.st_mtime_ns,
        ino=status.st_ino,
        digest=hashlib.sha256("app = 'ü'\n".encode()).hexdigest(),
    )


def test_missing_file_and_missing_directory_are_missing(folder):
    assert read_file(str(folder), "blog.toml") == Missing()
    assert read_file(str(folder / "gone"), "blog.toml") == Missing()


def test_fifo_blocks_nobody(folder):
    os.mkfifo(folder / "blog.toml")
    assert reason(folder) == "is a FIFO; write a regular file"


def test_folder_socket_and_device_are_refused(folder):
    (folder / "a.toml").mkdir()
    assert reason(folder, "a.toml") == "is a folder; write a regular file"
    with socket.socket(socket.AF_UNIX) as unix:
        at = os.open(folder, os.O_PATH)
        unix.bind(f"/proc/self/fd/{at}/b.toml")
        os.close(at)
    assert reason(folder, "b.toml") == "is a socket; write a regular file"
    (folder / "c.toml").symlink_to("/dev/zero")
    assert reason(folder, "c.toml") == "is a device; write a regular file"


def test_huge_file_is_refused_without_reading_it(folder):
    with (folder / "blog.toml").open("wb") as file:
        file.truncate(2**40)
    assert reason(folder) == f"has {2**40} bytes; write at most 65536"


def test_largest_file_is_read(folder):
    (folder / "blog.toml").write_text("#" * 65536)
    assert isinstance(read_file(str(folder), "blog.toml"), Content)


def test_empty_file_is_not_a_vassal_yet(folder):
    (folder / "blog.toml").write_text(" \n\n")
    assert reason(folder) == "is empty; write app and listen"


def test_file_that_is_not_utf_8_names_the_line(folder):
    (folder / "blog.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert reason(folder) == "is not UTF-8 in line 2; save it as UTF-8"
    path = str(folder / "blog.toml")
    problem = file_problem(path, read_file(str(folder), "blog.toml"))
    assert str(problem).startswith(f"{path}:2: file: is not UTF-8")


def test_file_that_everybody_may_write_is_refused(folder):
    (folder / "blog.toml").write_text("a = 1")
    (folder / "blog.toml").chmod(0o666)
    assert reason(folder) == "can be written by everybody; run chmod o-w on it"


def test_file_that_is_written_meanwhile_is_looked_at_again(folder, monkeypatch):
    path = folder / "blog.toml"
    path.write_text("app = 1\n")
    real_read = os.read

    def read_while_somebody_writes(fd, size):
        data = real_read(fd, size)
        with path.open("a") as file:
            file.write("# more\n")
        return data

    monkeypatch.setattr(read.os, "read", read_while_somebody_writes)
    assert read_file(str(folder), "blog.toml") == Changing()


def test_own_symbolic_links_are_followed(folder, tmp_path):
    (tmp_path / "available").mkdir()
    (tmp_path / "available" / "blog.toml").write_text("a = 1")
    (tmp_path / "one").symlink_to("available/blog.toml")
    (folder / "blog.toml").symlink_to("../one")
    (folder / "absolute.toml").symlink_to(tmp_path / "one")
    for name in ("blog.toml", "absolute.toml"):
        found = read_file(str(folder), name)
        assert isinstance(found, Content)
        assert found.text == "a = 1"


def test_link_to_nothing_and_link_to_itself_are_explained(folder):
    (folder / "a.toml").symlink_to("nowhere")
    (folder / "b.toml").symlink_to("b.toml")
    (folder / "c.toml").symlink_to("a.toml/x")
    assert reason(folder, "a.toml") == "is a symbolic link to nothing; correct the link"
    assert reason(folder, "b.toml") == "is a symbolic link to itself; correct the link"
    assert reason(folder, "c.toml") == "is a symbolic link to nothing; correct the link"


def test_link_that_doubles_itself_ends(folder):
    (folder / "d").symlink_to("d/d/d/d")
    (folder / "blog.toml").symlink_to("d/x")
    assert reason(folder) == "is a symbolic link to itself; correct the link"


def test_link_of_a_tenant_is_refused(folder, tmp_path):
    need_root()
    (tmp_path / "secret.toml").write_text("a = 1")
    (folder / "blog.toml").symlink_to(tmp_path / "secret.toml")
    os.chown(folder / "blog.toml", TENANT, TENANT, follow_symlinks=False)
    found = read_file(str(folder), "blog.toml")
    assert found == Unreadable(
        f"is reached by a symbolic link of uid {TENANT}; "
        "write the file itself, or let root make the link",
        TENANT,
    )


def test_folder_on_the_way_that_a_tenant_has_linked_elsewhere_is_refused(folder, tmp_path):
    need_root()
    (tmp_path / "home").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "blog.toml").write_text("a = 1")
    (tmp_path / "home" / "config").symlink_to(tmp_path / "other")
    os.chown(tmp_path / "home" / "config", TENANT, TENANT, follow_symlinks=False)
    (folder / "blog.toml").symlink_to(tmp_path / "home" / "config" / "blog.toml")
    assert "symbolic link of uid 12345" in reason(folder)


def test_owner_is_that_of_the_target(folder, tmp_path):
    need_root()
    (tmp_path / "blog.toml").write_text("a = 1")
    os.chown(tmp_path / "blog.toml", TENANT, TENANT)
    (folder / "blog.toml").symlink_to(tmp_path / "blog.toml")
    found = read_file(str(folder), "blog.toml")
    assert isinstance(found, Content)
    assert found.owner_uid == TENANT


def test_file_that_the_emperor_may_not_read_is_explained(folder):
    need_user()
    (folder / "blog.toml").write_text("a = 1")
    (folder / "blog.toml").chmod(0)
    assert reason(folder) == "cannot be read: Permission denied (EACCES)"


def test_no_descriptor_is_left_open(folder, tmp_path):
    (folder / "good.toml").write_text("a = 1")
    (folder / "link.toml").symlink_to("/proc/self/../self/../nothing")
    (folder / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(folder / "fifo.toml", 0o600)
    before = set(os.listdir("/proc/self/fd"))
    for name in ("good.toml", "link.toml", "loop.toml", "fifo.toml", "missing.toml"):
        read_file(str(folder), name)
    assert set(os.listdir("/proc/self/fd")) == before
    assert stat.S_ISFIFO((folder / "fifo.toml").stat().st_mode)
