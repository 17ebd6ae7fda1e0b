"""Knows, gives away and removes the files of sockets that were bound in folders of tenants.

Root touches only what it made: the path may lead elsewhere by now, and another socket may
have the name.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from emperor.brain.socket_owners import change_owner
from emperor.config.resolve import open_folder
from emperor.config.settings import SocketMode


class FileId(NamedTuple):
    """What a file is, wherever it is moved."""

    device: int
    inode: int


UNSEEN = FileId(0, 0)
"""No file: what was there could not be looked at."""


def identify(path: str) -> FileId | None:
    """Return which socket is at `path`; None = none that can be reached."""
    with contextlib.suppress(OSError), _folder(path) as folder_fd:
        return _socket_at(folder_fd, os.path.basename(path))
    return None


def remove(path: str, file: FileId) -> None:
    """Remove the socket at `path` if it is `file`."""
    name = os.path.basename(path)
    with contextlib.suppress(OSError), _folder(path) as folder_fd:
        if _socket_at(folder_fd, name) == file:
            os.unlink(name, dir_fd=folder_fd)


def give(path: str, file: FileId, access: SocketMode, uid: int, gid: int) -> None:
    """Let the socket at `path` be whose `access` says, if it is `file`.

    `uid` and `gid` are the vassal's: they have it where `access` names nobody.
    """
    name = os.path.basename(path)
    with contextlib.suppress(OSError), _folder(path) as folder_fd:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            status = os.fstat(fd)
            if FileId(status.st_dev, status.st_ino) != file:
                return
            change_owner(fd, access, uid, gid)
            os.chmod(f"/proc/self/fd/{fd}", access.mode)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _folder(path: str) -> Iterator[int]:
    fd = open_folder(os.path.dirname(path))
    try:
        yield fd
    finally:
        os.close(fd)


def _socket_at(folder_fd: int, name: str) -> FileId | None:
    status = os.lstat(name, dir_fd=folder_fd)
    if not stat.S_ISSOCK(status.st_mode):
        return None
    return FileId(status.st_dev, status.st_ino)
