"""Requests by application, where a vassal has several: pairs behind the slots of the scoreboard.

Each thread counts for itself, and whoever gets its slot next counts on. Pure but for the shared
memory, which the tenant can write to: what is read is a tenant's word.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Tuple

    from .layout import Layout
    from .scoreboard import Memory

_PAIR = struct.Struct("@QQ")  # requests, exceptions
_MASK = (1 << 64) - 1


def names_of(app: str, mounts: Iterable[str]) -> List[str]:
    """Return the prefixes of a vassal's applications in the order of their numbers; "" is the
    one that has no prefix."""
    return ([""] if app else []) + sorted(mounts)


def bytes_for(slots: int, apps: int) -> int:
    """Return the bytes that the counts of so many applications take."""
    return slots * apps * _PAIR.size if apps > 1 else 0


class AppCounts:
    """The counts of several applications in memory that is laid out like this."""

    def __init__(self, memory: Memory, layout: Layout):
        self._memory = memory
        self._apps = layout.apps
        self._first = layout.apps_at

    def add(self, slot: int, app: object, failed: bool) -> None:
        """Count a request that application number `app` has answered; others are ignored."""
        if not isinstance(app, int) or not 0 <= app < self._apps:
            return
        at = self._at(slot, app)
        requests, exceptions = _PAIR.unpack_from(self._memory, at)
        _PAIR.pack_into(self._memory, at, requests + 1 & _MASK, exceptions + failed & _MASK)

    def read(self, slots: Iterable[int]) -> List[Tuple[int, int]]:
        """Return requests and exceptions of each application, of all these slots together."""
        numbers = list(slots)
        found = []
        for app in range(self._apps):
            pairs = [_PAIR.unpack_from(self._memory, self._at(slot, app)) for slot in numbers]
            found.append((sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)))
        return found

    def _at(self, slot: int, app: int) -> int:
        return self._first + (slot * self._apps + app) * _PAIR.size
