"""A bounded table of values in memory that all workers share.

A hash table with chains. Only the entries count, which are marked as used when they are complete;
chains and the list of free entries follow from them, and are made anew when a worker was killed
in the middle of a change. So that loses one entry at most.
"""

from __future__ import annotations

import binascii
import mmap
import struct
import time

from ..cache_counts import CHANGED_MS, FULL, HITS, ITEMS, MISSES
from ..cache_options import CacheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Tuple

    from ..cache_counts import CacheCounts
    from ..cache_options import CacheWish
    from .locks import Locks

BYTES_MAX = 1 << 30
"""Of one cache; only what is used takes memory, and that counts as the vassal's."""

EXPIRES_S_MAX = 1 << 40
SWEEP_PAUSE_MS = 1000
"""Between two looks through a full cache for what has expired, which take time with its size."""

_TOP = struct.Struct("@IIIIQ")  # is being changed, free, entries ever used, hand, next sweep
_CHANGING_AT, _FREE_AT, _EVER_AT, _HAND_AT, _SWEEP_AT = 0, 4, 8, 12, 16
_LINK = struct.Struct("@I")  # the number of an entry, from 1; 0 = none
_ENTRY = struct.Struct("@IIIIIIQ")  # used, next, hash, length of key and value, asked, expiry
_USED_AT, _NEXT_AT, _ASKED_AT = 0, 4, 20
_TIME = struct.Struct("@Q")
_NUMBER = struct.Struct("@q")


class Cache:
    """One cache. `number` is the lock that guards it. One that purges is never full: what nobody
    has asked for lately makes room."""

    def __init__(self, wish: CacheWish, locks: Locks, number: int, counts: CacheCounts) -> None:
        self._items = items = wish.items
        self._block_bytes = block_bytes = wish.block_bytes
        self._key_bytes = key_bytes = wish.key_bytes
        self._locks = locks
        self._lock = number
        self._counts = counts
        self._purges = wish.purges
        self._entries_at = _TOP.size + -(-items // 2) * 2 * _LINK.size
        self._values_at = self._entries_at + items * _ENTRY.size
        size = self._values_at + items * (key_bytes + block_bytes)
        if size > BYTES_MAX:
            raise CacheError(
                "a cache of %d items takes %d bytes, and may take %d; write fewer items, or a"
                " smaller blocksize" % (items, size, BYTES_MAX)
            )
        self._memory = mmap.mmap(-1, size)

    def get(self, key: bytes) -> bytes | None:
        """Return the value, None = there is none, or it has expired."""

        def act() -> bytes | None:
            value = self._get(key)
            self._counts.add(MISSES if value is None else HITS)
            return value

        return self._locked(act)

    def exists(self, key: bytes) -> bool:
        """Return whether there is a value that has not expired."""

        def act() -> bool:
            entry = self._find(key)
            return entry != 0 and self._lives(entry, _now_ms())

        return self._locked(act)

    def put(self, key: bytes, value: bytes, expires_s: int, replace: bool) -> bool:
        """Store a value for so long, 0 = for ever; return whether it was stored.

        Not if it is too long, if the cache is full, or if it is there and not to be replaced.
        """
        if not key or len(key) > self._key_bytes or len(value) > self._block_bytes:
            return False
        return self._changed(lambda: self._put(key, value, expires_s, replace))

    def delete(self, key: bytes) -> bool:
        """Return whether there was a value to delete."""

        def act() -> bool:
            entry = self._find(key)
            if entry:
                self._drop(entry)
            return entry != 0

        return self._changed(act)

    def clear(self) -> bool:
        """Delete everything; return True."""

        def act() -> bool:
            self._forget_chains()
            self._write(_EVER_AT, 0)
            self._counts.put(ITEMS, 0)
            return True

        return self._changed(act)

    def keys(self) -> List[bytes]:
        """Return the keys of all values that have not expired."""

        def act() -> List[bytes]:
            now_ms = _now_ms()
            numbers = range(1, self._read(_EVER_AT) + 1)
            return [self._key(number) for number in numbers if self._lives(number, now_ms)]

        return self._locked(act)

    def change(self, key: bytes, by: Callable[[int], int], expires_s: int) -> bool:
        """Change a number, 0 if there is none; return whether it was stored."""

        def act() -> bool:
            before = self._get(key) or b""
            number = _NUMBER.unpack(before)[0] if len(before) == _NUMBER.size else 0
            changed = (by(number) + (1 << 63)) % (1 << 64) - (1 << 63)  # as a C integer does
            return self._put(key, _NUMBER.pack(changed), expires_s, True)

        if not key or len(key) > self._key_bytes:
            return False
        return self._changed(act)

    def number(self, key: bytes) -> int:
        """Return a number that was changed before; 0 = there is none."""
        value = self.get(key) or b""
        return int(_NUMBER.unpack(value)[0]) if len(value) == _NUMBER.size else 0

    # ── with the lock held ───────────────────────────────────────────────────────────

    def _locked(self, act: Callable[[], T]) -> T:
        self._locks.acquire(self._lock)
        try:
            if self._read(_CHANGING_AT):
                self._mend()
            return act()
        finally:
            self._locks.release(self._lock)

    def _changed(self, act: Callable[[], T]) -> T:
        def change() -> T:
            self._write(_CHANGING_AT, 1)
            result = act()
            self._write(_CHANGING_AT, 0)
            self._counts.put(CHANGED_MS, _now_ms())
            return result

        return self._locked(change)

    def _get(self, key: bytes) -> bytes | None:
        entry = self._find(key)
        if not entry or not self._lives(entry, _now_ms()):
            return None
        if self._purges:
            self._write(self._entry_at(entry) + _ASKED_AT, 1)
        at = self._value_at(entry) + self._key_bytes
        return self._memory[at : at + self._entry(entry)[4]]

    def _put(self, key: bytes, value: bytes, expires_s: int, replace: bool) -> bool:
        now_ms = _now_ms()
        entry = self._find(key)
        if entry and not replace and self._lives(entry, now_ms):
            return False
        known = entry != 0
        if entry:
            self._drop(entry)
        entry = self._room(now_ms)
        if not entry:
            self._counts.add(FULL)
            return False
        at = self._value_at(entry)
        self._memory[at : at + len(key)] = key
        at += self._key_bytes
        self._memory[at : at + len(value)] = value
        expires_ms = max(1, now_ms + min(expires_s, EXPIRES_S_MAX) * 1000) if expires_s else 0
        hashed = binascii.crc32(key)
        row = (0, 0, hashed, len(key), len(value), int(known), expires_ms)
        _ENTRY.pack_into(self._memory, self._entry_at(entry), *row)
        self._write(self._entry_at(entry) + _USED_AT, 1)
        self._chain(entry, hashed)
        self._counts.add(ITEMS)
        return True

    def _find(self, key: bytes) -> int:
        """Return the entry of a key, though it may have expired; 0 = there is none."""
        hashed = binascii.crc32(key)
        number = self._read(self._chain_at(hashed))
        while number:
            _, following, other, *_ = self._entry(number)
            if other == hashed and self._key(number) == key:
                return number
            number = following
        return 0

    def _drop(self, number: int) -> None:
        """Take an entry out of its chain, and put it to the free ones."""
        at = self._entry_at(number)
        self._write(at + _USED_AT, 0)
        _, following, hashed, *_ = self._entry(number)
        link_at = self._chain_at(hashed)
        while self._read(link_at) != number:
            link_at = self._entry_at(self._read(link_at)) + _NEXT_AT
        self._write(link_at, following)
        self._counts.add(ITEMS, -1)
        self._write(at + _NEXT_AT, self._read(_FREE_AT))
        self._write(_FREE_AT, number)

    def _room(self, now_ms: int) -> int:
        """Return an entry that nobody has, out of all chains; 0 = the cache is full."""
        ever = self._read(_EVER_AT)
        if not self._read(_FREE_AT) and ever < self._items:
            self._write(self._entry_at(ever + 1) + _USED_AT, 0)  # since clear() it may be 1
            self._write(_EVER_AT, ever + 1)
            return ever + 1
        if not self._read(_FREE_AT):
            self._sweep(now_ms)
        if not self._read(_FREE_AT) and self._purges:
            self._drop(self._forgotten())
        number = self._read(_FREE_AT)
        if number:
            self._write(_FREE_AT, self._entry(number)[1])
        return number

    def _forgotten(self) -> int:
        """Return the next entry of a full cache that was not asked for since the last time here.

        The hand of a clock goes over them: a list by their last use would have to be changed, and
        mended, with every read.
        """
        number = self._read(_HAND_AT)
        while True:
            number = number % self._items + 1
            asked_at = self._entry_at(number) + _ASKED_AT
            if not self._read(asked_at):
                self._write(_HAND_AT, number)
                return number
            self._write(asked_at, 0)

    def _sweep(self, now_ms: int) -> None:
        """Drop what has expired."""
        if _TIME.unpack_from(self._memory, _SWEEP_AT)[0] > now_ms:
            return
        for number in range(1, self._read(_EVER_AT) + 1):
            if self._entry(number)[0] and not self._lives(number, now_ms):
                self._drop(number)
        _TIME.pack_into(self._memory, _SWEEP_AT, now_ms + SWEEP_PAUSE_MS)

    def _mend(self) -> None:
        """Make chains and the list of free entries anew: whoever changed them was killed."""
        self._forget_chains()
        self._counts.put(ITEMS, 0)
        for number in range(1, self._read(_EVER_AT) + 1):
            used, _, hashed, *_ = self._entry(number)
            if used:
                self._chain(number, hashed)
                self._counts.add(ITEMS)
            else:
                self._write(self._entry_at(number) + _NEXT_AT, self._read(_FREE_AT))
                self._write(_FREE_AT, number)
        self._write(_CHANGING_AT, 0)

    def _forget_chains(self) -> None:
        size = self._items * _LINK.size
        self._memory[_TOP.size : _TOP.size + size] = bytes(size)
        self._write(_FREE_AT, 0)

    def _chain(self, number: int, hashed: int) -> None:
        chain_at = self._chain_at(hashed)
        self._write(self._entry_at(number) + _NEXT_AT, self._read(chain_at))
        self._write(chain_at, number)

    def _lives(self, number: int, now_ms: int) -> bool:
        """Return whether an entry is used, and has not expired."""
        used, *_, expires_ms = self._entry(number)
        return bool(used) and (not expires_ms or expires_ms > now_ms)

    def _entry(self, number: int) -> Tuple[int, int, int, int, int, int, int]:
        return _ENTRY.unpack_from(self._memory, self._entry_at(number))

    def _entry_at(self, number: int) -> int:
        return self._entries_at + (number - 1) * _ENTRY.size

    def _value_at(self, number: int) -> int:
        return self._values_at + (number - 1) * (self._key_bytes + self._block_bytes)

    def _chain_at(self, hashed: int) -> int:
        return _TOP.size + hashed % self._items * _LINK.size

    def _key(self, number: int) -> bytes:
        at = self._value_at(number)
        return self._memory[at : at + self._entry(number)[3]]

    def _read(self, at: int) -> int:
        number: int = _LINK.unpack_from(self._memory, at)[0]
        return number

    def _write(self, at: int, number: int) -> None:
        _LINK.pack_into(self._memory, at, number)


def _now_ms() -> int:
    """Return milliseconds of the clock that all processes share and nobody sets."""
    return time.monotonic_ns() // 1_000_000


if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")
