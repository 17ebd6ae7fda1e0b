"""Notices that no request comes any more. It wakes once in `idle_stop_s`, and never without it."""


class Idler:
    """Compares the number of requests from look to look. Times are monotonic seconds."""

    def __init__(self, idle_stop_s: float, now: float) -> None:
        self._idle_stop_s = idle_stop_s
        self._requests = 0
        self.look_at: float | None = now + idle_stop_s if idle_stop_s else None
        """When to look next; None = never."""

    def look(self, requests: int, is_busy: bool, now: float) -> bool:
        """Return whether there was no request since the last look; `requests` is their number."""
        is_idle = requests == self._requests and not is_busy
        self._requests = requests
        self.look_at = now + self._idle_stop_s
        return is_idle
