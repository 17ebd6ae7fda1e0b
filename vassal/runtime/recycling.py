"""Decides when a worker has served long enough. Pure but for reading its own size."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import WorkerSettings

ANSWER_S = 30.0
"""How long a worker that asked to be replaced waits for the master before it stops itself."""

LIFETIME_JITTER = 0.1  # so that workers born together do not go together


def draw(fraction: float, jitter: int) -> int:
    """Return a number from 0 to `jitter`, both included; `fraction` is from [0, 1)."""
    return int(fraction * (jitter + 1))


def random_fraction() -> float:
    """Return a number from [0, 1): the same seed must not follow workers through the fork."""
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)


class Recycling:
    """The limits of one worker, jitter drawn. Times are monotonic seconds."""

    def __init__(self, settings: WorkerSettings, now: float, fraction: float):
        self.max_requests = 0
        if settings.max_requests:
            self.max_requests = settings.max_requests + draw(fraction, settings.max_requests_jitter)
        self.retire_at: float | None = None
        if settings.max_worker_lifetime_s:
            self.retire_at = now + settings.max_worker_lifetime_s * (1 + LIFETIME_JITTER * fraction)
        self._rss_bytes_max = settings.reload_on_rss_bytes
        self._statm = -1
        self._page_bytes = 0
        if self._rss_bytes_max:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            self._page_bytes = os.sysconf("SC_PAGESIZE")

    @property
    def counts(self) -> bool:
        """Whether anything has to be checked after each request."""
        return bool(self.max_requests or self._rss_bytes_max)

    def reason(self, requests: int) -> str | None:
        """Return why the worker should retire after `requests` requests; None = it should not."""
        if self.max_requests and requests >= self.max_requests:
            return "max_requests"
        if self._rss_bytes_max:
            resident_pages = int(os.pread(self._statm, 64, 0).split()[1])
            if resident_pages * self._page_bytes >= self._rss_bytes_max:
                return "rss"
        return None

    def forget(self) -> None:
        """Drop every limit: it is known already that the worker goes."""
        self.retire_at = None
        self.max_requests = self._rss_bytes_max = 0
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1
