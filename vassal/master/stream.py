"""A pipe that a vassal writes lines into: read by its master, and written to a sink."""

import os
import time

from vassal.generation import LogSettings
from vassal.loop import Loop
from vassal.master.lines import LineBuffer, RateLimit, sanitize
from vassal.master.sinks import InheritSink, Sink, open_sink

CHUNK_BYTES = 64 * 1024
CHUNKS_PER_TURN = 4


class Stream:
    """Reads the pipe and writes its lines, made safe and at a bounded rate.

    Owns both ends of the pipe. It is always read, whatever the sink can take: a full disk
    or a flood costs lines, never the tenant's progress or harakiri's time. `is_alone`: nobody else
    writes to our standard error, where the application's lines are then as it wrote them.
    """

    def __init__(self, loop: Loop, vassal: str, is_alone: bool = False) -> None:
        self._loop = loop
        self._vassal = vassal
        self._is_alone = is_alone
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_fd, False)
        self._buffer = LineBuffer()
        self._sink: Sink = self._inherited()
        self._rate = RateLimit(1000.0, time.monotonic())
        self._unreported = 0  # dropped lines that the log does not tell of yet
        self.dropped = 0
        loop.watch(self.read_fd, self._on_readable)

    def send_to(self, target: str, settings: LogSettings) -> None:
        """Write to `target` from now on, in the manner of `settings`; raise OSError."""
        self._unreported += self._rate.take_dropped()
        self._rate = RateLimit(settings.lines_per_second, time.monotonic())
        if target == "inherit":
            sink: Sink = self._inherited()
        else:
            sink = open_sink(target, self._vassal, settings.max_bytes, settings.keep)
        self._sink.close()
        self._sink = sink

    def write(self, line: str) -> None:
        """Write a line that is safe, and before it how many were dropped."""
        self._unreported += self._rate.take_dropped()
        if self._unreported:
            notice = f"event=log_lines_dropped lines={self._unreported}"
            if self._sink.write(self.own_line(notice)):
                self._unreported = 0
        if not self._sink.write(line):
            self._unreported += 1
            self.dropped += 1

    def own_line(self, text: str) -> str:
        """Return a line of our own: dated, and with the vassal's name where none has it."""
        is_marked = self._is_alone and isinstance(self._sink, InheritSink)
        return f"vassal={self._vassal} " * is_marked + f"{self.stamp()} {text}"

    def _inherited(self) -> InheritSink:
        return InheritSink("" if self._is_alone else self._vassal)

    def stamp(self) -> str:
        """Return the time of a line of our own."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def drain(self) -> None:
        """Read what is in the pipe now, without waiting."""
        self._on_readable()

    def reopen(self) -> None:
        """Open the file anew, with all that was said before in the old one; raise OSError."""
        self.drain()
        self._sink.reopen()

    def rotate(self) -> None:
        """Begin a new file, with all that was said before in the old one; raise OSError."""
        self.drain()
        self._sink.rotate()

    def close(self) -> None:
        """Close the pipe and the sink."""
        os.close(self.read_fd)
        os.close(self.write_fd)
        self._sink.close()

    def _take(self, line: str) -> None:
        """Have a line that came out of the pipe."""
        self.write(line)

    def _on_readable(self) -> None:
        for _ in range(CHUNKS_PER_TURN):
            try:
                data = os.read(self.read_fd, CHUNK_BYTES)
            except BlockingIOError:
                return
            now = time.monotonic()
            for raw in self._buffer.feed(data):
                if self._rate.admit(now):
                    self._take(sanitize(raw))
                else:
                    self.dropped += 1
            if len(data) < CHUNK_BYTES:
                return
