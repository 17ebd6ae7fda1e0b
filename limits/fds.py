"""Closes every descriptor but an allow list."""

import errno
import os
from collections.abc import Iterable

from limits import syscalls

_FD_MAX = 2**31 - 1


def close_all_fds_except(keep: Iterable[int]) -> None:
    """Close all descriptors of this process that `keep` does not name.

    For a child right after its fork: Python objects that own a closed descriptor are not
    told. Numbers in `keep` that are not open are ignored.
    """
    kept = sorted({fd for fd in keep if fd >= 0})
    try:
        for first, last in gaps(kept):
            syscalls.close_range(first, last)
    except OSError as error:
        # Before Linux 5.9, or a seccomp filter older than the call (containers).
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        _close_one_by_one(frozenset(kept))


def gaps(kept: list[int]) -> list[tuple[int, int]]:
    """Return the ranges, ends included, between the sorted numbers in `kept`."""
    firsts = [0, *(fd + 1 for fd in kept)]
    lasts = [*(fd - 1 for fd in kept), _FD_MAX]
    return [(first, last) for first, last in zip(firsts, lasts, strict=True) if first <= last]


def _close_one_by_one(kept: frozenset[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            try:
                os.close(fd)
            except OSError as error:
                # The listing names its own descriptor, which is gone by now.
                if error.errno != errno.EBADF:
                    raise
