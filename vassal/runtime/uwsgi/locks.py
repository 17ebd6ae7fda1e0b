"""Locks that all processes of a vassal share, and that die with whoever holds them."""

from __future__ import annotations

import _thread
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict


_FLOCK = struct.Struct("@hhqqi")  # type, whence, start, length, pid


class Locks:
    """Numbered locks, not reentrant. Made in the mold, before any worker is forked.

    Between processes each is a byte of a memory file, locked as POSIX has it: the kernel
    unlocks it when its holder ends, however that comes. Between threads of one process such a
    lock is none, so a mutex stands before it.
    """

    def __init__(self) -> None:
        self._fd = os.memfd_create("emperord-locks", os.MFD_CLOEXEC)
        self._mutexes: Dict[int, _thread.LockType] = {}
        # What the parent's threads hold is theirs.
        os.register_at_fork(after_in_child=self._mutexes.clear)

    def acquire(self, number: int) -> None:
        """Wait until the lock is free, and take it."""
        self._mutex(number).acquire()
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, number)
        except BaseException:
            self._mutex(number).release()
            raise

    def release(self, number: int) -> None:
        """Let go of the lock; nothing if no thread of this process has it."""
        mutex = self._mutex(number)
        if mutex.locked():
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)
            mutex.release()

    def is_held(self, number: int) -> bool:
        """Return whether anybody has the lock."""
        if self._mutex(number).locked():
            return True
        # Asked, not tried: to try is to have it for a moment, and to give it back would take it
        # from another thread of this process that got it meanwhile.
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_GETLK, wanted)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def _mutex(self, number: int) -> _thread.LockType:
        return self._mutexes.setdefault(number, _thread.allocate_lock())
