"""Tells which app's counters changed: one descriptor for all of them, and no polling.

cgroupfs says IN_MODIFY when memory.events, pids.events or cgroup.events count on.
"""

from typing import NamedTuple

from inotify_simple import INotify, flags

from limits.cgroups.names import WORKLOAD

EVENTS = "cgroup.events"  # populated, frozen
MEMORY = "memory.events"
PIDS = "pids.events"

_WATCHED = ((EVENTS, ""), (MEMORY, f"{WORKLOAD}/"), (PIDS, f"{WORKLOAD}/"))


class Change(NamedTuple):
    """`file` (EVENTS, MEMORY or PIDS) of the app at `path` says something new."""

    path: str
    file: str


class CgroupWatch:
    """Watches apps' cgroups below `root`. Add `fileno()` to a loop and call `read()`."""

    def __init__(self, root: str) -> None:
        """Raise OSError when there are too many inotify instances (EMFILE)."""
        self._root = root
        self._inotify = INotify(nonblocking=True)
        self._changes: dict[int, Change] = {}

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return int(self._inotify.fileno())

    def add(self, path: str) -> None:
        """Watch the app from now on; what happened before is for the caller to read.

        A file that this host lacks is not watched. Raises OSError (ENOSPC: too many).
        """
        for file, below in _WATCHED:
            try:
                watch = self._inotify.add_watch(
                    f"{self._root}/{path}/{below}{file}", int(flags.MODIFY)
                )
            except FileNotFoundError:
                continue
            self._changes[watch] = Change(path, file)

    def discard(self, path: str) -> None:
        """Stop watching the app, if it is watched."""
        for watch in [number for number, one in self._changes.items() if one.path == path]:
            del self._changes[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError:
                pass  # the cgroup went, and the kernel has removed the watch itself

    def read(self) -> list[Change]:
        """Return what changed since the last call, each once; all there is after an overflow."""
        found: dict[Change, None] = {}
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                found.update(dict.fromkeys(self._changes.values()))
            elif event.mask & flags.IGNORED:
                self._changes.pop(event.wd, None)
            elif change := self._changes.get(event.wd):
                found[change] = None
        return list(found)

    def close(self) -> None:
        """Stop watching everything."""
        self._inotify.close()
        self._changes.clear()
