"""What a cache counts, in memory that the master reads. Written with the cache's lock held.

The tenant can write to it: what is read is a tenant's word.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    from .scoreboard import Memory

ITEMS, HITS, MISSES, FULL, CHANGED_MS = range(5)
"""`FULL`: how often there was no room. `CHANGED_MS`: when it was last written, CLOCK_MONOTONIC."""

_ROW = struct.Struct("@5Q")
_FIELD = struct.Struct("@Q")
_MASK = (1 << 64) - 1


def bytes_for(caches: int) -> int:
    """Return the bytes that the counts of so many caches take."""
    return caches * _ROW.size


class CacheCounts:
    """The counts of one cache, which lie at `at`."""

    def __init__(self, memory: Memory, at: int):
        self._memory = memory
        self._at = at

    def add(self, field: int, by: int = 1) -> None:
        """Change one of the counts."""
        at = self._at + field * _FIELD.size
        _FIELD.pack_into(self._memory, at, _FIELD.unpack_from(self._memory, at)[0] + by & _MASK)

    def put(self, field: int, value: int) -> None:
        """Set one of the counts."""
        _FIELD.pack_into(self._memory, self._at + field * _FIELD.size, value)

    def read(self) -> Tuple[int, int, int, int, int]:
        """Return all of them, in the order of the names above."""
        return _ROW.unpack_from(self._memory, self._at)
