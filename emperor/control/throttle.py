"""Decides how long a request has to wait for its turn. Pure: the caller does the waiting.

A tenant in a loop around `emperor status` must not keep the brain from its work. The
answer is delayed, not refused: a client that waits sends less, and costs nothing.
"""

PER_SECOND = 20.0
BURST = 40


class Throttle:
    """Remembers, for each uid, when its next request is free. Seconds, monotonic."""

    def __init__(self, per_second: float = PER_SECOND, burst: int = BURST) -> None:
        self._interval_s = 1.0 / per_second
        self._credit_s = burst / per_second
        self._next_at: dict[int, float] = {}

    def delay(self, uid: int, now: float) -> float:
        """Count a request of `uid` at `now`; return how many seconds it must wait."""
        earliest = now - self._credit_s
        self._next_at = {u: at for u, at in self._next_at.items() if at > earliest}
        at = max(self._next_at.get(uid, 0.0), earliest) + self._interval_s
        self._next_at[uid] = at
        return max(0.0, at - now)
