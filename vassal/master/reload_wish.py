"""Remembers that workers want new code: what several want is one reload, and not too often. Pure.

Times are monotonic seconds.
"""

PAUSE_S = 1.0
"""A worker may ask as fast as it can; the emperor is asked so seldom."""


class ReloadWish:
    """Of one master. `at` is when the emperor is to be asked, None if no worker wants it."""

    def __init__(self) -> None:
        self._asked_at = -PAUSE_S
        self.at: float | None = None

    def note(self) -> None:
        """A worker wants new code."""
        if self.at is None:
            self.at = self._asked_at + PAUSE_S

    def is_due(self, now: float) -> bool:
        """Return whether to ask for it now, and count on its being asked."""
        if self.at is None or now < self.at:
            return False
        self._asked_at, self.at = now, None
        return True
