"""Opens what a path leads to, step by step, whatever tenants make of it meanwhile.

A symbolic link is followed only when root or the emperor's own user made it: otherwise a
tenant could have root read, make or remove what it could not reach itself.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable

from limits.mounts import above

HOPS_MAX = 40  # as the kernel: more links are ELOOP
PARTS_MAX = 1000

PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class LinkRefusedError(Exception):
    """A symbolic link of `owner_uid` is on the way; `is_loop`: it leads to itself."""

    def __init__(self, owner_uid: int, is_loop: bool) -> None:
        super().__init__(owner_uid, is_loop)
        self.owner_uid = owner_uid
        self.is_loop = is_loop


def resolve(directory_fd: int, parts: Iterable[str]) -> int:
    """Return an O_PATH descriptor of what `parts` lead to; the caller owns it.

    Raises OSError, and LinkRefusedError.
    """
    trusted = (0, os.geteuid())
    at = os.dup(directory_fd)
    left = _backwards(parts)
    hops = 0
    try:
        while left:
            step = os.open(left.pop(), PATH_ONLY, dir_fd=at)
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
                raise LinkRefusedError(status.st_uid, is_loop=False)
            if hops > HOPS_MAX or len(left) > PARTS_MAX:
                raise LinkRefusedError(status.st_uid, is_loop=True)
            if target.startswith("/"):
                root = os.open("/", _FOLDER)
                os.close(at)
                at = root
            left += _backwards(target.split("/"))
    except BaseException:
        os.close(at)
        raise
    return at


def open_folder(path: str) -> int:
    """Return an O_PATH descriptor of the folder at an absolute path; the caller owns it.

    Raises OSError: PermissionError for a link that is not followed.
    """
    root = os.open("/", _FOLDER)
    try:
        fd = resolve(root, path.split("/"))
    except LinkRefusedError as refused:
        raise PermissionError(
            1, f"a symbolic link of uid {refused.owner_uid} is on the way: write the true path"
        ) from refused
    finally:
        os.close(root)
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotADirectoryError(20, f"{path} is no folder")
    return fd


def weak_spot(folder: str, may_change: Callable[[os.stat_result], bool]) -> str | None:
    """Return the first folder, from this one upwards, in which somebody else could put something
    in the way of what is made at this path; None = there is none.

    `may_change` judges a folder by its mode. Raises OSError.
    """
    os.close(open_folder(folder))  # no link of somebody else's is on the way
    real = os.path.realpath(folder)
    for path in (real, *above(real)):
        status = os.stat(path)
        # In a sticky folder nobody moves what is root's.
        is_safe = bool(status.st_mode & stat.S_ISVTX) or not may_change(status)
        if status.st_uid not in (0, os.geteuid()) or not is_safe:
            return path
    return None


def is_shared(status: os.stat_result) -> bool:
    """Return whether others than the owner may write."""
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def problem_with_place(path: str, what: str) -> str:
    """Return why root should not make its `what` at `path`, "" = it may.

    Where others may rename one of the folders on the way, they could put theirs in its place: read
    or swallow what admins write, or have them signal another process.
    """
    folder = os.path.dirname(path)
    try:
        weak = weak_spot(folder, is_shared)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if weak is not None:
        return f"{weak} is not the emperor's alone: choose a folder of its own for the {what}"
    return ""


def why_not_made(path: str, what: str) -> str:
    """Return why this process will not make its `what` at `path`, as far as can be known before;
    "" = it will."""
    problem = problem_with_place(path, what)
    folder = os.path.dirname(path)
    if not problem and not os.access(folder, os.W_OK | os.X_OK):
        problem = f"{folder}: {os.strerror(errno.EACCES)}"
    if not problem and os.path.isdir(path):
        problem = f"{path}: {os.strerror(errno.EISDIR)}"
    return problem


def _backwards(parts: Iterable[str]) -> list[str]:
    return [part for part in parts if part][::-1]
