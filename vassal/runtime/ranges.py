"""What of a file a request asks for: its condition and its range (RFC 9110). Pure but for
gmtime()."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Tuple

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_DIGITS_MAX = 18


def is_unchanged(environ: Mapping[str, Any], modified: float) -> bool:
    """Return whether the client has the file as it is."""
    since = environ.get("HTTP_IF_MODIFIED_SINCE")
    if since is None or "HTTP_IF_NONE_MATCH" in environ:  # which counts instead, and we have none
        return False
    then = _moment(since)
    return then is not None and tuple(time.gmtime(int(modified))[:6]) <= then


def _moment(text: str) -> Tuple[int, ...] | None:
    """Return year to second of an HTTP date in its usual form, which clients send back."""
    words = text.strip().partition(";")[0].split(" ")  # "; length=…" is from another century
    if len(words) != 6 or words[2] not in _MONTHS or words[5] != "GMT":
        return None
    clock = words[4].split(":")
    numbers = [words[3], words[1], *clock]
    if len(clock) != 3 or not all(
        word.isascii() and word.isdigit() and len(word) <= 4 for word in numbers
    ):
        return None
    year, day, hour, minute, second = map(int, numbers)
    return year, _MONTHS.index(words[2]) + 1, day, hour, minute, second


def part_of(environ: Mapping[str, Any], size: int, modified: str) -> Tuple[int, int] | None:
    """Return (start, count) of the range that is asked for; None = all, (0, 0) = there is none.

    Several ranges, and what is malformed, count as none: so RFC 9110, 14.2 allows.
    """
    asked = environ.get("HTTP_RANGE")
    if asked is None or environ["REQUEST_METHOD"] != "GET":
        return None
    if environ.get("HTTP_IF_RANGE", modified) != modified:
        return None
    unit, _, ranges = asked.partition("=")
    first, dash, last = ranges.strip().partition("-")
    numbers = [word for word in (first, last) if word]
    if unit.strip().lower() != "bytes" or not dash or not numbers:
        return None
    if not all(word.isascii() and word.isdigit() and len(word) <= _DIGITS_MAX for word in numbers):
        return None
    if not first:
        count = min(int(last), size)
        return (size - count, count) if count else (0, 0)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return 0, 0
    end = min(int(last), size - 1) if last else size - 1
    return start, end - start + 1
