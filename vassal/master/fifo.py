"""Keeps a named pipe through which somebody tells a process things, and reads it piece by piece.

It is made, never found: what is read is a pipe of this process's own making, put in its place
by a rename. Nothing that somebody may miss is replaced by it, and nobody who writes all the
time costs more than a few reads a second.
"""

import contextlib
import os
import stat
from collections.abc import Callable

READ_MAX = 64
"""Letters that are read at once; the rest waits in the pipe."""

STRAY_BYTES_MAX = 16
"""A file of this size is what `echo r > blog.fifo` left behind while nobody served."""

_FLAGS = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
Identity = tuple[int, int]


class Fifo:
    """At most one pipe. `emit` is told when it cannot be made, and so is who asks for the
    `problem`; `watch` and `unwatch` get its
    descriptor when there is something to wait for."""

    def __init__(
        self,
        emit: Callable[[str], None],
        watch: Callable[[int], object],
        unwatch: Callable[[int], object],
    ) -> None:
        self._emit = emit
        self._watch = watch
        self._unwatch = unwatch
        self._fd = -1
        self._path = ""
        self._made: Identity | None = None
        self.problem = ""

    def keep(self, path: str) -> None:
        """Let the pipe be at `path` from now on, "" = none. One that is there still stays."""
        if path == self._path and self._is_in_place():
            return
        self.close()
        self.problem = ""
        if not path:
            return
        try:
            self._make(path)
        except OSError as error:
            self.problem = f"{path}: {error.strerror}"
            self._emit(f"event=fifo_not_made path={path!r} error={error.strerror!r}")

    def read(self) -> str:
        """Return the next letters, "" = none."""
        try:
            return os.read(self._fd, READ_MAX).decode("latin-1") if self._fd >= 0 else ""
        except BlockingIOError:
            return ""

    def rest(self) -> None:
        """Wait for no more letters until `wake`."""
        if self._fd >= 0:
            self._unwatch(self._fd)

    def wake(self) -> None:
        """Wait for letters again."""
        if self._fd >= 0:
            self._watch(self._fd)

    def close(self) -> None:
        """Close the pipe, and remove it if it is still the one that was made here."""
        if self._fd < 0:
            return
        if self._is_in_place():
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._unwatch(self._fd)
        os.close(self._fd)
        self._fd, self._path, self._made = -1, "", None

    def _make(self, path: str) -> None:
        _check_replaceable(path)
        new = f"{path}.{os.urandom(4).hex()}.new"
        os.mkfifo(new, 0o600)
        try:
            # Open for writing too: without a writer it would be at its end, again and again.
            fd = os.open(new, _FLAGS)
            try:
                status = os.fstat(fd)
                if not stat.S_ISFIFO(status.st_mode) or status.st_uid != os.geteuid():
                    raise OSError(17, "something else is at its place")
                os.rename(new, path)
            except OSError:
                os.close(fd)
                raise
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        self._fd, self._path, self._made = fd, path, (status.st_dev, status.st_ino)
        self._watch(fd)

    def _is_in_place(self) -> bool:
        return self._made is not None and _identity(self._path) == self._made


def _check_replaceable(path: str) -> None:
    """Raise OSError if what is at `path` may be something that somebody needs."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    is_stray = stat.S_ISREG(status.st_mode) and status.st_size <= STRAY_BYTES_MAX
    if not (stat.S_ISFIFO(status.st_mode) or is_stray):
        raise OSError(17, "something else is there: remove it, or choose another path")


def _identity(path: str) -> Identity | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
