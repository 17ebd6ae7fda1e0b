"""Deadlines of many connections that all wait equally long. Pure: `now` is handed in.

As every wait of one queue has the same length, the order of starting is the order of
expiring, and nothing has to be sorted.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import OrderedDict
    from typing import Any, Hashable
else:
    from _collections import OrderedDict  # in C; a plain dict is slow at dropping its first key


class Deadlines:
    """A queue of keys, each due `after_s` monotonic seconds after it was started."""

    def __init__(self, after_s: float):
        self.after_s = after_s
        self._due: OrderedDict[Any, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def start(self, key: Hashable, now: float) -> None:
        """Make `key` due at `now + after_s`, and forget an earlier deadline of it."""
        self._due[key] = now + self.after_s
        self._due.move_to_end(key)

    def cancel(self, key: Hashable) -> None:
        """Forget `key`; unknown keys are ignored."""
        self._due.pop(key, None)

    def next_at(self) -> float | None:
        """Return when the first key is due; None when there is none."""
        for due in self._due.values():
            return due
        return None

    def expire(self, now: float) -> list[Any]:
        """Remove and return the keys that are due at `now`, the oldest first."""
        expired = []
        for key, due in self._due.items():
            if due > now:
                break
            expired.append(key)
        for key in expired:
            del self._due[key]
        return expired

    def oldest(self, count: int) -> list[Any]:
        """Return up to `count` keys, the first due first; they stay in the queue."""
        return [key for key, _ in zip(self._due, range(count))]

    def shorten(self, after_s: float, now: float) -> None:
        """Let no key be due later than `now + after_s`, nor any that is started later."""
        self.after_s = min(self.after_s, after_s)
        latest = now + after_s
        for key, due in self._due.items():
            if due > latest:
                self._due[key] = latest

    def __contains__(self, key: Hashable) -> bool:
        return key in self._due
