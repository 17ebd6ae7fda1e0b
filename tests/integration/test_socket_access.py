"""Whose the sockets' files are, and who may connect, before and after a reload."""

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from tests.support.emperor import Emperor
from tests.support.need import need_root
from tests.support.wait import wait_until

Access = tuple[str, str, int]

OURS = '[socket]\nuser = "%s"\ngroup = "%s"\nmode = "%o"\n'
UWSGIS = "chown-socket = %s:%s\nchmod-socket = %o\n"


@pytest.fixture(autouse=True)
def only_root_gives_sockets_away() -> None:
    need_root()


def access_of(path: Path) -> Access:
    status = path.lstat()
    assert stat.S_ISSOCK(status.st_mode)
    user, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    return user, group, stat.S_IMODE(status.st_mode)


def put(one: Emperor, dialect: str, socket: Path, access: Access) -> None:
    """Write the vassal's file anew, by rename."""
    if dialect == "toml":
        text = (
            f'app = "hello:application"\ndirectory = "{one.apps}"\nuser = "nobody"\n'
            f'listen = ["unix://{socket}"]\n' + OURS % access
        )
    else:
        text = (
            f"[uwsgi]\nchdir = {one.apps}\nmodule = hello\nuid = nobody\nmaster = true\n"
            f"socket = {socket}\n" + UWSGIS % access
        )
    new = one.base / "new"
    new.write_text(text)
    new.rename(one.vassals / f"blog.{dialect}")


@pytest.mark.parametrize("dialect", ["toml", "ini"])
def test_socket_is_given_to_whom_the_file_says_and_a_reload_keeps_it_so(
    emperor: Emperor, dialect: str
) -> None:
    emperor.app("hello")
    socket = emperor.base / "blog.sock"
    wanted = ("games", "www-data", 0o640)
    put(emperor, dialect, socket, wanted)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert access_of(socket) == wanted
    inode = socket.lstat().st_ino
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.wait_state("blog", "ready")["generation"] == 2, what="a reload")
    assert access_of(socket) == wanted
    assert socket.lstat().st_ino == inode  # nobody was refused meanwhile


@pytest.mark.parametrize("dialect", ["toml", "ini"])
def test_access_that_was_edited_counts_from_the_reload_on(emperor: Emperor, dialect: str) -> None:
    emperor.app("hello")
    socket = emperor.base / "blog.sock"
    put(emperor, dialect, socket, ("nobody", "www-data", 0o666))
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert access_of(socket) == ("nobody", "www-data", 0o666)
    for access in (("games", "www-data", 0o600), ("games", "games", 0o660)):
        put(emperor, dialect, socket, access)
        wait_until(lambda access=access: access_of(socket) == access, what=str(access))
    emperor.wait_state("blog", "ready")


def test_socket_of_a_file_with_another_owner_is_that_ones(emperor: Emperor) -> None:
    emperor.app("hello")
    file, socket = emperor.vassals / "blog.toml", emperor.base / "blog.sock"
    emperor.base.chmod(0o777)
    text = (
        f'app = "hello:application"\ndirectory = "{emperor.apps}"\nlisten = ["unix://{socket}"]\n'
    )
    file.write_text(text)
    os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert access_of(socket)[0] == "nobody"
    os.chown(file, pwd.getpwnam("games").pw_uid, -1)
    wait_until(lambda: emperor.vassal("blog")["user"] == "games", what="the new owner's")
    wait_until(lambda: access_of(socket)[0] == "games", what="the socket is the new owner's")
