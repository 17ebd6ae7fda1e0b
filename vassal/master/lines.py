"""Turns a vassal's output into safe log lines, at a bounded rate. Pure.

The bytes are a tenant's: control characters are escaped, so that no line can move the
cursor of the admin who reads it, or pretend to be two lines.
"""

from collections.abc import Iterator

from vassal.messages import GenerationFailed

LINE_BYTES_MAX = 8192
TRACEBACK_LINES_MAX = 200
TRACEBACK_HEAD = "Traceback (most recent call last):"
"""Says nothing, and where it stands in an emperor's log a fault of ours is looked for."""

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0)) if code != 9}
# Those that end a line, are not seen, or turn the order of what is shown around. Not the joiners:
# Persian is written with them.
_FORMAT = (0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070))
_ESCAPES |= {code: f"\\u{code:04x}" for code in (*_FORMAT, 0xFEFF, *range(0xFFF9, 0xFFFC))}


def sanitize(raw: bytes) -> str:
    """Return one line as text that is safe on any terminal; tabs stay."""
    return escaped(raw.decode("utf-8", "backslashreplace"))


def escaped(text: str) -> str:
    """Return `text` as one line without characters that steer a terminal; tabs stay."""
    return text.translate(_ESCAPES)


def story(failed: GenerationFailed) -> Iterator[str]:
    """Yield what the log says of a generation that was given up; the lines are not safe yet."""
    failure = failed.failure
    yield f"event=generation_failed generation={failed.number} reason={failure.kind} " + (
        f"message={failure.message!r}"
    )
    # What is raised is at the end.
    for line in failure.traceback.splitlines()[-TRACEBACK_LINES_MAX:]:
        if line != TRACEBACK_HEAD:
            yield f"generation={failed.number} traceback: {line}"


class LineBuffer:
    """Collects bytes into whole lines; a line longer than LINE_BYTES_MAX is cut into several."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their ends."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        while len(self._rest) > LINE_BYTES_MAX:
            lines.append(self._rest[:LINE_BYTES_MAX])
            self._rest = self._rest[LINE_BYTES_MAX:]
        return [piece for line in lines for piece in _cut(line.removesuffix(b"\r"))]

    def flush(self) -> list[bytes]:
        """Return the last line even though it has no end yet."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class RateLimit:
    """Lets `per_second` lines through on average, twice as many in a burst. Monotonic seconds."""

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._credit = 2.0 * per_second
        self._at = now
        self._dropped = 0

    def admit(self, now: float) -> bool:
        """Return whether one more line may pass; count it as dropped when not."""
        self._credit += (now - self._at) * self._per_second
        self._credit = min(self._credit, 2.0 * self._per_second)
        self._at = now
        if self._credit < 1.0:
            self._dropped += 1
            return False
        self._credit -= 1.0
        return True

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


def _cut(line: bytes) -> list[bytes]:
    if len(line) <= LINE_BYTES_MAX:
        return [line]
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)]
