"""Where a vassal's log lines go: a file with rotation, the journal, our own stderr, or nowhere.

A sink never blocks for long and never raises: what it cannot write it drops, and says
so by returning False. Serving goes on when a disk is full.
"""

import os
import select
import socket
import stat
import struct
from typing import Protocol

JOURNAL = "/run/systemd/journal/socket"


class Sink(Protocol):
    """A place for lines; each comes without its end."""

    def write(self, line: str) -> bool: ...

    def reopen(self) -> None: ...

    def rotate(self) -> None: ...

    def close(self) -> None: ...


class FileSink:
    """Appends to `path` and rotates it by size to path.1 … path.`keep`.

    Runs as the tenant, so that a path of the tenant's choice gives nothing away.
    """

    def __init__(self, path: str, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd, self._size = self._open()

    def write(self, line: str) -> bool:
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._max_bytes and self._size + len(data) > self._max_bytes and self._size:
                self.rotate()
            self._size += os.write(self._fd, data)
        except OSError:
            return False  # ENOSPC, EDQUOT, EIO, EFBIG: the next line is tried anew
        return True

    def reopen(self) -> None:
        """Follow a rotation from outside; on failure stay with the old file."""
        fd, size = self._open()
        os.close(self._fd)
        self._fd, self._size = fd, size

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> tuple[int, int]:
        try:
            fd = os.open(self._path, _FLAGS, 0o640)
        except PermissionError:
            # In a folder of its own: the vassal had another user before.
            self._move_away()
            fd = os.open(self._path, _FLAGS, 0o640)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise OSError(22, "not a regular file", self._path)
        return fd, status.st_size

    def rotate(self) -> None:
        """Begin a new file; raise OSError when that is impossible."""
        if self._keep:
            self._move_away()
        else:
            os.ftruncate(self._fd, 0)
        self.reopen()

    def _move_away(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            _rename(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        if self._keep:
            _rename(self._path, f"{self._path}.1")
        else:
            os.unlink(self._path)


_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class JournalSink:
    """Sends each line to systemd's journal in its native protocol."""

    def __init__(self, vassal: str) -> None:
        self._vassal = vassal
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.connect(JOURNAL)

    def write(self, line: str) -> bool:
        try:
            self._socket.send(journal_record(self._vassal, line))
        except OSError:
            return False
        return True

    def reopen(self) -> None:
        """Follow a restarted journal."""
        self._socket.connect(JOURNAL)

    def rotate(self) -> None:
        """Nothing to do: the journal does."""

    def close(self) -> None:
        self._socket.close()


class InheritSink:
    """Writes to our standard error, each line with the vassal's name before it; "" = as it is."""

    def __init__(self, vassal: str) -> None:
        self._prefix = f"vassal={vassal} " if vassal else ""

    def write(self, line: str) -> bool:
        data = (self._prefix + line).encode("utf-8", "backslashreplace") + b"\n"
        try:
            # A pipe that is ready takes at least PIPE_BUF bytes: this never waits for a
            # reader that stopped reading, and needs no O_NONBLOCK on a shared descriptor.
            ready = select.select([], [2], [], 0)[1]
            if not ready:
                return False
            os.write(2, data[: select.PIPE_BUF - 1] + b"\n" if len(data) > 4096 else data)
        except OSError:
            return False
        return True

    def reopen(self) -> None:
        """Nothing to do: the descriptor is not ours."""

    def rotate(self) -> None:
        """Nothing to do: the descriptor is not ours."""

    def close(self) -> None:
        """Nothing to do: the descriptor is not ours."""


class NoSink:
    """Writes nowhere: a tenant's lines are in its own log, or in none."""

    def write(self, line: str) -> bool:
        return False

    def reopen(self) -> None:
        """Nothing to do."""

    def rotate(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def open_sink(target: str, vassal: str, max_bytes: int, keep: int) -> Sink:
    """Return the sink for `target` ("journal", "" or a path); raise OSError."""
    if not target:
        return NoSink()
    if target == "journal":
        return JournalSink(vassal)
    return FileSink(target, max_bytes, keep)


def journal_record(vassal: str, line: str) -> bytes:
    """Return one datagram of the journal's native protocol."""
    message = line.encode("utf-8", "backslashreplace")
    return b"SYSLOG_IDENTIFIER=vassal-%s\nEMPEROR_VASSAL=%s\nPRIORITY=6\nMESSAGE\n%s%s\n" % (
        vassal.encode(),
        vassal.encode(),
        struct.pack("<Q", len(message)),
        message,
    )


def _rename(old: str, new: str) -> None:
    try:
        os.replace(old, new)
    except FileNotFoundError:
        pass
