"""The vassal's output pipe: read by the master, written by mold and workers."""

import os
import time
from collections import deque
from collections.abc import Callable

from vassal.loop import Loop
from vassal.master.lines import LineBuffer, RateLimit, escaped, sanitize
from vassal.master.sinks import InheritSink, Sink, open_sink
from vassal.messages import LogSettings

CHUNK_BYTES = 64 * 1024
CHUNKS_PER_TURN = 4
TAIL_LINES = 30
TAIL_LINE_CHARS = 500


class Output:
    """Reads the pipe, writes the log, and remembers the last lines for a failure report.

    Owns both ends of the pipe. The pipe is always read, whatever the log can take: a
    full disk or a flood costs lines, never the tenant's progress or harakiri's time.
    """

    def __init__(self, loop: Loop, vassal: str) -> None:
        self._vassal = vassal
        self._read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_fd, False)
        self._buffer = LineBuffer()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._sink: Sink = InheritSink(vassal)
        self._settings: LogSettings | None = None
        self._rate = RateLimit(1000.0, time.monotonic())
        self._unreported = 0  # dropped lines that the log does not tell of yet
        self.dropped = 0
        loop.watch(self._read_fd, self._on_readable)

    def configure(self, settings: LogSettings) -> str | None:
        """Send lines to another place from now on; return the problem when that is impossible."""
        if settings == self._settings:
            return None
        self._unreported += self._rate.take_dropped()
        self._rate = RateLimit(settings.lines_per_second, time.monotonic())
        try:
            sink = open_sink(settings.target, self._vassal, settings.max_bytes, settings.keep)
        except OSError as error:
            return f"log {settings.target}: {error.strerror}; using the emperor's own log"
        self._sink.close()
        self._sink, self._settings = sink, settings
        return None

    def emit(self, line: str) -> None:
        """Write a line of the master's own. What it quotes may be a tenant's word."""
        line = escaped(line)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._tail.append(line[:TAIL_LINE_CHARS])
        self._write(f"{stamp} {line}")

    def tail(self) -> str:
        """Return the last lines, as safe text."""
        return "\n".join(self._tail)

    def forget_tail(self) -> None:
        """Start a new tail: what came before belongs to an earlier generation."""
        self._tail.clear()

    def drain(self) -> None:
        """Read what is in the pipe now, without waiting."""
        self._on_readable()

    def reopen(self) -> None:
        """Open the log anew; the old one stays when that fails."""
        self._renew(self._sink.reopen, "log_not_reopened")

    def rotate(self) -> None:
        """Begin a new log, and keep so many of the old ones as were asked for."""
        self._renew(self._sink.rotate, "log_not_rotated")

    def _renew(self, renew: Callable[[], None], failed: str) -> None:
        self.drain()  # what was said before is in the file that goes
        try:
            renew()
        except OSError as error:
            self.emit(f"event={failed} error={error.strerror!r}")

    def close(self) -> None:
        """Close the pipe and the log."""
        os.close(self._read_fd)
        os.close(self.write_fd)
        self._sink.close()

    def _on_readable(self) -> None:
        for _ in range(CHUNKS_PER_TURN):
            try:
                data = os.read(self._read_fd, CHUNK_BYTES)
            except BlockingIOError:
                return
            now = time.monotonic()
            for raw in self._buffer.feed(data):
                self._line(raw, now)
            if len(data) < CHUNK_BYTES:
                return

    def _line(self, raw: bytes, now: float) -> None:
        if not self._rate.admit(now):
            self.dropped += 1
            return
        line = sanitize(raw)
        self._tail.append(line[:TAIL_LINE_CHARS])
        self._write(line)

    def _write(self, line: str) -> None:
        self._unreported += self._rate.take_dropped()
        if self._unreported:
            notice = f"event=log_lines_dropped lines={self._unreported}"
            if self._sink.write(notice):
                self._unreported = 0
        if not self._sink.write(line):
            self._unreported += 1
            self.dropped += 1
