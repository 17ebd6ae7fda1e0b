"""Reads and writes the small files of cgroupfs, and says what failed where."""

import errno as errnos
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from limits import kernel_files

# How long the kernel may be busy with a cgroup whose processes have just gone.
_BUSY_TRIES = 5
_BUSY_WAIT_S = 0.01


@dataclass(frozen=True)
class Failed:
    """`text` could not be written to the file at `path`; `keys` are the directives meant."""

    path: str
    text: str
    errno: int
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = errnos.errorcode.get(self.errno, str(self.errno))
        return f"{self.path}: write {self.text!r}: {os.strerror(self.errno)} ({name})"


def read(path: str) -> str | None:
    """Return the file's text, None if there is no such file or its cgroup has gone."""
    try:
        return kernel_files.read(path)
    except OSError as error:
        if error.errno in (errnos.ENOENT, errnos.ENODEV, errnos.EOPNOTSUPP):
            return None
        raise


def write(path: str, text: str) -> None:
    """Write the text in one call, as cgroupfs wants it; raise OSError."""
    # O_NONBLOCK: newer kernels then set memory.max without waiting until it is kept.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.write(fd, text.encode("ascii") or b"\n")
    finally:
        os.close(fd)


def try_write(path: str, text: str, keys: tuple[str, ...] = ()) -> Failed | None:
    """Write the text, a few times if the kernel is busy; return what failed in the end."""
    for left in reversed(range(_BUSY_TRIES)):
        try:
            write(path, text)
            return None
        except OSError as error:
            if error.errno != errnos.EBUSY or not left:
                return Failed(path, text, error.errno or 0, keys)
            time.sleep(_BUSY_WAIT_S)
    return None


def enable(directory: str, controllers: Iterable[str]) -> list[Failed]:
    """Hand the controllers down to the children of `directory`; return what failed.

    One per write: together, one that cannot would take the others with it.
    """
    path = f"{directory}/cgroup.subtree_control"
    present = set((read(path) or "").split())
    failures = [try_write(path, f"+{name}") for name in sorted(set(controllers) - present)]
    return [failure for failure in failures if failure is not None]


def make(directory: str) -> None:
    """Make the cgroup unless it is there."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        pass


def procs(directory: str) -> list[int]:
    """Return the processes that are in this cgroup itself, [] if it has gone."""
    text = read(f"{directory}/cgroup.procs") or ""
    # 0: a process of a PID namespace that is not below ours.
    return [pid for pid in map(int, text.split()) if pid]


def children(directory: str) -> list[str]:
    """Return the names of the cgroups in this one, [] if it has gone."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
