"""The vassal's log: what mold and workers print, what the master says, and the end of it."""

import time
from collections import deque
from collections.abc import Callable

from vassal.generation import LogSettings
from vassal.loop import Loop
from vassal.master.lines import escaped
from vassal.master.sinks import InheritSink
from vassal.master.stream import Stream

TAIL_LINES = 30
TAIL_LINE_CHARS = 500
STAMP_CHARS_MAX = 200
LOG_KEYS = ("log.target", "log.requests")


class Output(Stream):
    """The stream of all that is printed; beside it that of requests, where they go elsewhere.

    Remembers the last lines for a failure report.
    """

    def __init__(self, loop: Loop, vassal: str, is_alone: bool = False) -> None:
        super().__init__(loop, vassal, is_alone)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._settings: LogSettings | None = None
        self._date = ""
        self._requests: Stream | None = None

    @property
    def requests_fd(self) -> int | None:
        """Where lines about requests are written to; None = to all the others."""
        return None if self._requests is None else self._requests.write_fd

    @property
    def lines_dropped(self) -> int:
        """How many lines nobody will read."""
        return self.dropped + (0 if self._requests is None else self._requests.dropped)

    def configure(self, settings: LogSettings) -> dict[str, str]:
        """Send lines to other places from now on; return by key what of that is impossible."""
        if settings == self._settings:
            return {}
        self._date = settings.date
        problems = {}
        try:
            self.send_to(settings.target, settings)
        except OSError as error:
            instead = self._send_elsewhere(settings)
            problem = f"{settings.target}: {error.strerror}; lines go {instead}"
            problems["log.target"] = problem
            # Who looks for them in the file that they should be in learns it here, or in status.
            InheritSink(self._vassal).write(escaped(unavailable(problem)))
        try:
            self._send_requests(settings)
        except OSError as error:
            problem = f"{settings.requests}: {error.strerror}; requests are in the vassal's log"
            problems["log.requests"] = problem
        self._settings = settings if not problems else None
        return problems

    def _send_elsewhere(self, settings: LogSettings) -> str:
        """Choose another place, and return it for people: a tenant's lines must not get into the
        emperor's own log because it names a file that cannot be opened."""
        for target in (settings.own, "") if settings.own else ("inherit",):
            try:
                self.send_to(target, settings)
            except OSError:
                continue
            return {"": "nowhere", "inherit": "to the emperor's own log"}.get(
                target, f"to {target}"
            )
        return "where they went"

    def _send_requests(self, settings: LogSettings) -> None:
        """Open the other stream when it is asked for first: workers that are left write to it
        even when their successors do not."""
        if not settings.requests:
            return
        stream = self._requests or Stream(self._loop, self._vassal, self._is_alone)
        try:
            stream.send_to(settings.requests, settings)
        except OSError:
            if self._requests is None:
                self._loop.unwatch(stream.read_fd)
                stream.close()
            raise
        self._requests = stream

    def emit(self, line: str) -> None:
        """Write a line of the master's own. What it quotes may be a tenant's word."""
        line = escaped(line)
        self._tail.append(line[:TAIL_LINE_CHARS])
        self.write(self.own_line(line))

    def stamp(self) -> str:
        """Return the time of a line of our own, as the vassal's file wants it."""
        if not self._date:
            return super().stamp()
        return escaped(time.strftime(self._date)[:STAMP_CHARS_MAX])

    def tail(self) -> str:
        """Return the last lines, as safe text."""
        return "\n".join(self._tail)

    def forget_tail(self) -> None:
        """Start a new tail: what came before belongs to an earlier generation."""
        self._tail.clear()

    def drain(self) -> None:
        """Read what is in the pipes now, without waiting."""
        super().drain()
        if self._requests is not None:
            self._requests.drain()

    def reopen(self) -> None:
        """Open the files anew; an old one stays when that fails."""
        self._renew(Stream.reopen, "log_not_reopened")

    def rotate(self) -> None:
        """Begin new files, and keep so many of the old ones as were asked for."""
        self._renew(Stream.rotate, "log_not_rotated")

    def _renew(self, renew: Callable[[Stream], None], failed: str) -> None:
        for stream in (self, self._requests):
            if stream is None:
                continue
            try:
                renew(stream)
            except OSError as error:
                self.emit(f"event={failed} error={error.strerror!r}")

    def close(self) -> None:
        """Close the pipes and the files."""
        super().close()
        if self._requests is not None:
            self._requests.close()

    def _take(self, line: str) -> None:
        self._tail.append(line[:TAIL_LINE_CHARS])
        self.write(line)


def unavailable(problem: str) -> str:
    """Return the line that tells of a log which is not where it should be."""
    return f"event=log_unavailable error={problem!r}"
