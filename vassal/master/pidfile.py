"""Keeps the file that has the master's pid in it, as the vassal's user and never as root.

The folder is the tenant's: nothing in it is opened that could make the master wait, and the
file appears whole. A file that cannot be written stops nothing.
"""

import contextlib
import os
from collections.abc import Callable

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PidFile:
    """At most one file; `complain` is told its path, and why it cannot be written; so is who
    asks for the `problem`."""

    def __init__(self, complain: Callable[[str, str], None]) -> None:
        self._complain = complain
        self._path = ""
        self._content = b""
        self.problem = ""

    def keep(self, path: str, pid: int) -> None:
        """Let `path` be the file from now on, "" = none; an earlier one goes."""
        self.problem = ""
        if path != self._path:
            self.remove()
        if not path:
            return
        self._path, self._content = path, b"%d\n" % pid
        if _content_of(path) == self._content:
            return  # as whoever may write in its folder left it, where this user may not
        new = f"{path}.{pid}.new"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            fd = os.open(new, _CREATE, 0o644)
            try:
                os.write(fd, self._content)
            finally:
                os.close(fd)
            os.rename(new, path)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            self.problem = f"{path}: {why}"
            self._complain(path, why)
            with contextlib.suppress(OSError):
                os.unlink(new)

    def remove(self) -> None:
        """Remove the file, unless it is another's by now: a successor writes its own."""
        path, self._path = self._path, ""
        if not path:
            return
        if _content_of(path) == self._content:
            with contextlib.suppress(OSError):
                os.unlink(path)


def in_output(emit: Callable[[str], None]) -> Callable[[str, str], None]:
    """Return the complaint of a master, as a line of its output."""
    return lambda path, error: emit(f"event=pidfile_not_written path={path!r} error={error!r}")


def _content_of(path: str) -> bytes | None:
    """Return how a file begins, None = nothing that can be read without waiting."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return None
    try:
        return os.read(fd, 64)
    except OSError:
        return None
    finally:
        os.close(fd)
