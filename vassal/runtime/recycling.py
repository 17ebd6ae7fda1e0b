"""Decides when a worker has served long enough. Pure but for reading sizes."""

from __future__ import annotations

import os
import time

from .held_memory import HeldMemory
from .scoreboard import memory_max

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scoreboard import Memory
    from .settings import WorkerSettings

ANSWER_S = 30.0
"""How long a worker that asked to be replaced waits for the master before it stops itself."""

LIFETIME_JITTER = 0.1  # so that workers born together do not go together


NEAR, ASK, LEAVE = 0.70, (0.78, 0.85), (0.88, 0.93)
"""Parts of memory_max. From NEAR on growth is followed by a look. Who has grown asks to be replaced
at a mark of its own from the range ASK, and at one from LEAVE waits for that no more."""

LOOK_S = 0.02
LOOKS_FROM_NEAR = 512
"""One each time that this part of memory_max was taken."""
GROWN_BYTES = 4 * 1024 * 1024


def draw(fraction: float, jitter: int) -> int:
    """Return a number from 0 to `jitter`, both included; `fraction` is from [0, 1)."""
    return int(fraction * (jitter + 1))


def random_fraction() -> float:
    """Return a number from [0, 1): the same seed must not follow workers through the fork."""
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)


def mark(between: tuple[float, float], fraction: float) -> float:
    """Return a worker's own mark; `fraction` is from [0, 1)."""
    lowest, highest = between
    return lowest + (highest - lowest) * fraction


class MemoryWatch:
    """Tells when a worker that has grown should go, before the cgroup's limit is reached.

    Without it the kernel kills one of the workers in the middle of a request. Each worker
    has marks of its own, so that they do not all go at the same moment; one that has not
    grown stays, because another in its place would be as large. Borrows the descriptors of
    `cgroup`; `fraction` is from [0, 1).
    """

    def __init__(self, cgroup: HeldMemory, memory: Memory, fraction: float):
        self._cgroup = cgroup
        self._memory = memory
        self._fraction = fraction
        self._mark = mark(ASK, fraction)
        self._again_at = 0.0
        self._again_from: float | None = None  # bytes in use; None = time alone counts
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page_bytes = os.sysconf("SC_PAGESIZE")
        self._own_at_start = self._own_bytes()

    def _own_bytes(self) -> int:
        """Return what is in memory for this process alone."""
        _, resident, shared = os.pread(self._statm, 64, 0).split()[:3]
        return (int(resident) - int(shared)) * self._page_bytes

    def is_time(self, now: float) -> bool:
        """Return whether the worker should go now. Looks every LOOK_S, and near the limit, where
        a few requests may be all that is left, whenever more is in use."""
        if now < self._again_at and not self._is_more_in_use():
            return False
        self._again_at, self._again_from = now + LOOK_S, None
        limit = memory_max(self._memory)
        if not limit:
            return False
        used = self._cgroup.used()
        if used < limit * NEAR:
            return False
        if self._own_bytes() <= self._own_at_start + max(GROWN_BYTES, limit // 32):
            return False
        held = self._cgroup.held()
        if held >= limit * NEAR:
            self._again_from = used + limit / LOOKS_FROM_NEAR
        return held >= limit * self._mark

    def _is_more_in_use(self) -> bool:
        return self._again_from is not None and self._cgroup.used() >= self._again_from

    def wait_for_last_mark(self) -> None:
        """From now on it is time only when there is no room to wait for a successor."""
        self._mark = mark(LEAVE, self._fraction)
        self._again_at = 0.0

    def close(self) -> None:
        os.close(self._statm)


class Recycling:
    """The limits of one worker, jitter drawn. Times are monotonic seconds.

    `counts`: anything has to be checked after each request.
    """

    def __init__(self, settings: WorkerSettings, now: float, fraction: float, memory: Memory):
        self.max_requests = 0
        if settings.max_requests:
            self.max_requests = settings.max_requests + draw(fraction, settings.max_requests_jitter)
        self.retire_at: float | None = None
        if settings.max_worker_lifetime_s:
            self.retire_at = now + settings.max_worker_lifetime_s * (1 + LIFETIME_JITTER * fraction)
        self._rss_bytes_max = settings.reload_on_rss_bytes
        self._as_bytes_max = settings.reload_on_as_bytes
        self._statm = -1
        self._page_bytes = 0
        if self._rss_bytes_max or self._as_bytes_max:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            self._page_bytes = os.sysconf("SC_PAGESIZE")
        self._memory_watch: MemoryWatch | None = None
        if settings.memory_current_fd >= 0:
            cgroup = HeldMemory(settings.memory_current_fd, settings.memory_stat_fd)
            self._memory_watch = MemoryWatch(cgroup, memory, fraction)
        self.counts = bool(self.max_requests or self._statm >= 0 or self._memory_watch)

    def reason(self, requests: int) -> str | None:
        """Return why the worker should retire after `requests` requests; None = it should not."""
        if self.max_requests and requests >= self.max_requests:
            return "max_requests"
        if self._statm >= 0:
            pages, resident_pages = map(int, os.pread(self._statm, 64, 0).split()[:2])
            if 0 < self._rss_bytes_max <= resident_pages * self._page_bytes:
                return "rss"
            if 0 < self._as_bytes_max <= pages * self._page_bytes:
                return "as"
        if self._memory_watch is not None and self._memory_watch.is_time(time.monotonic()):
            return "memory_max"
        return None

    def await_successor(self) -> None:
        """Drop every limit but the last mark of memory: the worker has asked to be replaced."""
        self.retire_at = None
        self.max_requests = 0
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1
        if self._memory_watch is not None:
            self._memory_watch.wait_for_last_mark()
        self.counts = self._memory_watch is not None

    def forget(self) -> None:
        """Drop every limit: the worker goes already."""
        self.await_successor()
        self.counts = False
        if self._memory_watch is not None:
            self._memory_watch.close()
            self._memory_watch = None
