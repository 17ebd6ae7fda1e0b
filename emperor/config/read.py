"""Reads one vassal file, whatever its owner made of it. Never blocks, never raises for it.

The name is resolved step by step, and a symbolic link is followed only when root or the
emperor's own user made it: otherwise a tenant could put anybody's file under its name.
What is opened is what was looked at, so its owner can be trusted.
"""

import errno
import hashlib
import os
import stat
from contextlib import ExitStack
from typing import NamedTuple

FILE_BYTES_MAX = 64 * 1024
"""A large vassal file has 4 KiB."""

HOPS_MAX = 40  # as the kernel: more links are ELOOP
PARTS_MAX = 1000

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


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


Found = Content | Changing | Missing | Unreadable

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class _RefusedError(Exception):
    def __init__(self, reason: str, owner_uid: int) -> None:
        super().__init__(reason)
        self.found = Unreadable(reason, owner_uid)


def read_file(directory: str, file_name: str) -> Found:
    """Return what is in a file of a watched directory, or why it cannot be had."""
    with ExitStack() as stack:
        try:
            at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Missing()
        except OSError as error:
            return _failed(error, 0)
        stack.callback(os.close, at)
        return read_at(at, file_name)


def read_at(directory_fd: int, file_name: str) -> Found:
    """The same for a directory that the caller holds open."""
    with ExitStack() as stack:
        try:
            found = _resolve(directory_fd, file_name)
        except _RefusedError as error:
            return error.found
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
        return _read(fd)


def _resolve(directory_fd: int, name: str) -> int:
    """Return an O_PATH descriptor of what `name` leads to; the caller owns it."""
    trusted = (0, os.geteuid())
    at = os.dup(directory_fd)
    left = [name]
    hops = 0
    try:
        while left:
            part = left.pop()
            step = os.open(part, _PATH_ONLY, dir_fd=at)
            status = os.fstat(step)
            if not stat.S_ISLNK(status.st_mode):
                os.close(at)
                at = step
                continue
            try:
                target = os.readlink("", dir_fd=step)
            finally:
                os.close(step)
            hops += 1
            if status.st_uid not in trusted:
                raise _RefusedError(
                    f"is reached by a symbolic link of uid {status.st_uid}; "
                    "write the file itself, or let root make the link",
                    status.st_uid,
                )
            if hops > HOPS_MAX or len(left) > PARTS_MAX:
                raise _RefusedError("is a symbolic link to itself; correct the link", status.st_uid)
            if target.startswith("/"):
                root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                os.close(at)
                at = root
            left += [part for part in reversed(target.split("/")) if part]
    except BaseException:
        os.close(at)
        raise
    return at


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


def _read(fd: int) -> Found:
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
    if not data.strip():
        return Unreadable("is empty; write app and listen", after.st_uid)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable(f"is not UTF-8 in line {line}; save it as UTF-8", after.st_uid)
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
