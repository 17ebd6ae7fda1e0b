"""Writes the emperor's own log: one event per line, `key=value`, subject first.

    vassal=shop event=worker_killed level=warning slot=3 reason=harakiri uri=/report

A log must not stop what it reports on: nothing here raises, and a reader that does not
read costs lines (they are counted), not time. Standard library only, nothing buffered,
no lock: safe after a fork and in the smallest process.
"""

import errno
import os
import select
import stat
import time

LEVELS = {"error": 3, "warning": 4, "info": 6, "debug": 7}
"""Names and syslog priorities. `error` = a person must act."""

LINE_BYTES_MAX = 4096
"""PIPE_BUF: such a write to a pipe is whole or not at all, and lines never mix."""

HEAD_BYTES = 32  # the time or the priority, and the newline
VALUE_BYTES_MAX = 2000
NAME_BYTES_MAX = 200

WAIT_MS = 50
"""How long a line waits for a full pipe. After one was lost the next ones do not wait."""

_NOT_BARE = frozenset(' "=\\')
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def format_event(level: str, event: str, fields: dict[str, object]) -> str:
    """Return the line for one event, without time, priority and newline.

    Values that need it are quoted as JSON strings are. None means: leave the key out.
    Fields that do not fit into a line are left out, and `cut=yes` says so.
    """
    parts = [f"event={quote(event, NAME_BYTES_MAX)}", f"level={level}"]
    if fields.get("vassal") is not None:
        parts.insert(0, f"vassal={quote(text_of(fields['vassal']), NAME_BYTES_MAX)}")
    room = LINE_BYTES_MAX - HEAD_BYTES - len(" cut=yes") - _bytes(" ".join(parts))
    for key, value in fields.items():
        if key == "vassal" or value is None:
            continue
        part = f"{_key(key)}={quote(text_of(value))}"
        room -= 1 + _bytes(part)
        if room < 0:
            parts.append("cut=yes")
            break
        parts.append(part)
    return " ".join(parts)


def quote(text: str, bytes_max: int = VALUE_BYTES_MAX) -> str:
    """Return `text` as it stands if it is one plain word, else as a JSON string.

    Only printable characters come out, so no value can forge a line, or steer the
    terminal it is read on. A longer text ends in "…".
    """
    if (
        text
        and len(text) <= bytes_max  # first: the other tests read all of it
        and text.isprintable()
        and _NOT_BARE.isdisjoint(text)
        and _bytes(text) <= bytes_max
    ):
        return text
    pieces = []
    for char in text:
        piece = _escaped(char)
        bytes_max -= _bytes(piece)
        if bytes_max < 0:
            pieces.append("…")
            break
        pieces.append(piece)
    return f'"{"".join(pieces)}"'


def timestamp(unix_time: float) -> str:
    """Return e.g. 2026-11-24T04:31:00.123Z."""
    milliseconds = int(unix_time * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def names_journal(journal_stream: str | None, device: int, inode: int) -> bool:
    """Return whether $JOURNAL_STREAM means this file; see systemd.exec(5)."""
    return journal_stream == f"{device}:{inode}"


class Log:
    """The log on descriptor `fd`, which stays the caller's.

    Lines begin with the time, or in the journal with their priority. `level` names the
    least important level that is written.
    """

    def __init__(self, fd: int = 2, level: str = "info") -> None:
        self._fd = fd
        self._priority_max = LEVELS[level]
        self._dropped = 0
        self._torn = False
        self._is_pipe = False
        self._is_journal = False
        try:
            found = os.fstat(fd)
        except OSError:
            return
        self._is_pipe = stat.S_ISFIFO(found.st_mode)
        stream = os.environ.get("JOURNAL_STREAM")
        self._is_journal = names_journal(stream, found.st_dev, found.st_ino)

    def error(self, event: str, /, **fields: object) -> None:
        """Write an event that a person must act on."""
        self._log("error", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write an event that was dealt with but should not have been."""
        self._log("warning", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Write an event of ordinary life."""
        self._log("info", event, fields)

    def debug(self, event: str, /, **fields: object) -> None:
        """Write an event for whoever looks for a fault in the emperor."""
        self._log("debug", event, fields)

    def _log(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] > self._priority_max:
            return
        loss: dict[str, object] = {"count": self._dropped}
        if self._dropped and self._write("warning", "log_lines_dropped", loss, wait_ms=0):
            self._dropped = 0
        if self._dropped or not self._write(level, event, fields, WAIT_MS):
            self._dropped += 1

    def _write(self, level: str, event: str, fields: dict[str, object], wait_ms: int) -> bool:
        head = f"<{LEVELS[level]}>" if self._is_journal else timestamp(time.time()) + " "
        line = f"{head}{format_event(level, event, fields)}\n".encode()
        try:
            return self._put(line, wait_ms)
        except OSError:
            return False  # EPIPE, ENOSPC, EIO, EBADF: there is nowhere to say so

    def _put(self, line: bytes, wait_ms: int) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(wait_ms):
            return False
        if self._torn:
            line = b"\n" + line
        written = self._write_now(line)
        # A disk that fills up takes half a line. The next one begins on its own.
        self._torn = written < len(line)
        return not self._torn

    def _write_now(self, line: bytes) -> int:
        if self._is_pipe:
            # Another process may have filled the shared pipe since poll().
            try:
                return os.pwritev(self._fd, [line], -1, os.RWF_NOWAIT)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ESPIPE):
                    raise  # these three: a kernel before 6.4
        return os.write(self._fd, line)


def text_of(value: object) -> str:
    """Return a field's value as the log has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    try:
        return str(value)
    except Exception:  # a log call must not fail for what it was given
        return f"<{type(value).__name__} without text>"


def _key(key: str) -> str:
    """Return `key` as one word that is none of our own."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in key[:64])
    return f"{plain}_" if plain in ("", "event", "level", "vassal", "cut") else plain


def _escaped(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
