"""Reads one vassal file, whatever its owner made of it. Never blocks, never raises for it.

A symbolic link of a tenant is not followed (`resolve`): it could put anybody's file under its
name. What is opened is what was looked at, so its owner can be trusted.
"""

import errno
import hashlib
import os
import stat
from contextlib import ExitStack
from typing import NamedTuple

from emperor.config.resolve import LinkRefusedError, resolve

FILE_BYTES_MAX = 64 * 1024
"""A large vassal file has 4 KiB."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Content(NamedTuple):
    """A file that was read while nobody wrote. `digest` is its SHA-256."""

    text: str
    owner_uid: int
    gid: int
    links: int
    mtime_ns: int
    ino: int
    digest: str


class Changing(NamedTuple):
    """Somebody is writing: look again soon."""


class Missing(NamedTuple):
    """There is no such file."""


class Unreadable(NamedTuple):
    """A file that cannot be used; `reason` says why, and what to do."""

    reason: str
    owner_uid: int
    line: int = 1


Found = Content | Changing | Missing | Unreadable

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_file(directory: str, file_name: str, may_be_empty: bool = False) -> Found:
    """Return what is in a file of a watched directory, or why it cannot be had."""
    return look_into(directory, file_name, may_be_empty)[0]


def look_into(
    directory: str, file_name: str, may_be_empty: bool = False
) -> tuple[Found, tuple[int, int] | None]:
    """The same, with device and inode of the directory that was looked into, if there is one."""
    with ExitStack() as stack:
        try:
            at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Missing(), None
        except OSError as error:
            return _failed(error, 0), None
        stack.callback(os.close, at)
        status = os.fstat(at)
        return _read_at(at, file_name, may_be_empty), (status.st_dev, status.st_ino)


def _read_at(directory_fd: int, file_name: str, may_be_empty: bool) -> Found:
    with ExitStack() as stack:
        try:
            found = resolve(directory_fd, [file_name])
        except LinkRefusedError as refused:
            return _link_refused(refused)
        except (FileNotFoundError, NotADirectoryError):
            return _missing_or_dangling(directory_fd, file_name)
        except OSError as error:
            return _failed(error, 0)
        stack.callback(os.close, found)
        status = os.fstat(found)
        refusal = _refusal(status)
        if refusal:
            return Unreadable(refusal, status.st_uid)
        try:
            # Opens the very file that was looked at; O_NONBLOCK would save us from a FIFO.
            fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return _failed(error, status.st_uid)
        stack.callback(os.close, fd)
        return _read(fd, may_be_empty)


def _link_refused(refused: LinkRefusedError) -> Found:
    uid = refused.owner_uid
    if refused.is_loop:
        return Unreadable("is a symbolic link to itself; correct the link", uid)
    return Unreadable(
        f"is reached by a symbolic link of uid {uid}; "
        "write the file itself, or let root make the link",
        uid,
    )


def _missing_or_dangling(directory_fd: int, name: str) -> Found:
    try:
        status = os.lstat(name, dir_fd=directory_fd)
    except OSError:
        return Missing()
    if stat.S_ISLNK(status.st_mode):
        return Unreadable("is a symbolic link to nothing; correct the link", status.st_uid)
    return Changing()  # it came just now


def _refusal(status: os.stat_result) -> str:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        return f"is {_KINDS.get(kind, 'no file')}; write a regular file"
    if status.st_size > FILE_BYTES_MAX:
        return f"has {status.st_size} bytes; write at most {FILE_BYTES_MAX}"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody; run chmod o-w on it"
    return ""


def _read(fd: int, may_be_empty: bool) -> Found:
    before = os.fstat(fd)
    data = b""
    while len(data) <= FILE_BYTES_MAX:
        more = os.read(fd, FILE_BYTES_MAX + 1 - len(data))
        if not more:
            break
        data += more
    after = os.fstat(fd)
    if _stamp(before) != _stamp(after) or len(data) != after.st_size:
        return Changing()
    if not data.strip() and not may_be_empty:
        return Unreadable("is empty; write app and listen", after.st_uid)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable(f"is not UTF-8 in line {line}; save it as UTF-8", after.st_uid, line)
    return Content(
        text=text,
        owner_uid=after.st_uid,
        gid=after.st_gid,
        links=after.st_nlink,
        mtime_ns=after.st_mtime_ns,
        ino=after.st_ino,
        digest=hashlib.sha256(data).hexdigest(),
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _failed(error: OSError, owner_uid: int) -> Found:
    if error.errno in _OUT_OF_RESOURCES:
        return Changing()  # our fault, not the file's: look again soon
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return Unreadable(f"cannot be read: {os.strerror(error.errno or 0)} ({name})", owner_uid)
