"""Where things lie in the memory that the master, the mold and the workers of a generation share:
the scoreboard, behind it the requests by application, behind those what caches count. Pure."""

from __future__ import annotations

from . import app_counts, cache_counts, scoreboard


class Layout:
    """`apps` and `caches` are how many there are of each."""

    def __init__(self, slots: int, apps: int, caches: int):
        self.slots = slots
        self.apps = apps
        self.caches = caches
        self.apps_at = scoreboard.size_for(slots)
        self.caches_at = self.apps_at + app_counts.bytes_for(slots, apps)
        self.size = self.caches_at + cache_counts.bytes_for(caches)

    def cache_at(self, number: int) -> int:
        """Return where the counts of a cache lie."""
        return self.caches_at + cache_counts.bytes_for(number)
