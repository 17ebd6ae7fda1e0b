"""Notices that a file of a loaded module has changed, where the vassal asks for that.

Without it nothing of this is loaded. Every worker looks, and all of them at the same moments: so
the master hears from them at once, and asks for one reload.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict


class SourceWatch:
    """The files of all modules as they were last seen. Times are monotonic seconds."""

    def __init__(self, every_s: float, now: float):
        self._every_s = every_s
        self._seen: Dict[str, int] = {}
        self.due = self._next(now)
        self.changed()

    def changed(self) -> str:
        """Look at all files; return one that has changed since the last look, "" = none has.

        A file that is gone has not changed: an editor may be about to put another in its place.
        """
        found = ""
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if type(path) is not str:
                continue
            try:
                modified = os.stat(path).st_mtime_ns
            except (OSError, ValueError):
                continue
            if self._seen.setdefault(path, modified) != modified:
                self._seen[path] = modified
                found = path
        return found

    def is_time(self, now: float) -> bool:
        """Return whether a look is due at `now`, and set when the next one is."""
        if now < self.due:
            return False
        self.due = self._next(now)
        return True

    def _next(self, now: float) -> float:
        return (now // self._every_s + 1) * self._every_s
