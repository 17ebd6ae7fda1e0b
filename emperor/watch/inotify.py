"""inotify on paths instead of watch numbers: a thin shell over inotify_simple.

One kernel watch per directory inode, however many paths lead to it. Decides nothing.
"""

import asyncio
import errno
import os
from collections.abc import Callable

from inotify_simple import INotify, flags

WATCHES_MAX = 16_384
"""Directories we watch at most; the kernel's own bound is fs.inotify.max_user_watches."""

CREATED = int(flags.CREATE)

_MASK = int(
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.CREATE
    | flags.DELETE
    | flags.ATTRIB
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)


class Inotify:
    """Calls back from the event loop for every change in the directories added.

    `on_entry(directory, name, mask)`: an entry changed; name "" = the directory itself.
    `on_gone(directory)`: it was removed, renamed or unmounted, and is no longer watched.
    `on_overflow()`: the kernel dropped events.
    """

    def __init__(
        self,
        on_entry: Callable[[str, str, int], None],
        on_gone: Callable[[str], None],
        on_overflow: Callable[[], None],
        watches_max: int = WATCHES_MAX,
    ) -> None:
        """Raise OSError when there are too many inotify instances (EMFILE)."""
        self._on_entry = on_entry
        self._on_gone = on_gone
        self._on_overflow = on_overflow
        self._watches_max = watches_max
        self._paths: dict[int, set[str]] = {}
        self._watches: dict[str, int] = {}
        self._inotify = INotify(nonblocking=True)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify.fileno(), self.read)

    def add(self, directory: str) -> None:
        """Watch the directory that the path leads to now; raise OSError (ENOSPC: too many)."""
        if directory in self._watches:
            return
        if len(self._watches) >= self._watches_max:
            raise OSError(errno.ENOSPC, f"more than {self._watches_max} directories")
        watch = self._inotify.add_watch(directory, _MASK)
        self._watches[directory] = watch
        self._paths.setdefault(watch, set()).add(directory)

    def discard(self, directory: str) -> None:
        """Stop watching the directory, if it is watched."""
        watch = self._watches.pop(directory, None)
        if watch is None:
            return
        paths = self._paths[watch]
        paths.discard(directory)
        if not paths:
            del self._paths[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                # The directory went, and the kernel has removed the watch itself.
                if error.errno != errno.EINVAL:
                    raise

    def directories(self) -> frozenset[str]:
        """Return the paths that are watched."""
        return frozenset(self._watches)

    def read(self) -> None:
        """Deliver everything that is queued."""
        for event in self._inotify.read(timeout=0):
            self.deliver(event.wd, event.mask, event.name)

    def deliver(self, watch: int, mask: int, name: str) -> None:
        """Call back for one event as the kernel gave it."""
        if mask & flags.Q_OVERFLOW:
            self._on_overflow()
            return
        for directory in tuple(self._paths.get(watch, ())):
            # MOVE_SELF: what is now at the path is something else, or nothing.
            if mask & (flags.IGNORED | flags.MOVE_SELF | flags.UNMOUNT):
                self.discard(directory)
                self._on_gone(directory)
            else:
                self._on_entry(directory, name, mask)

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()
        self._watches.clear()
        self._paths.clear()


def read_link(path: str) -> str | None:
    """Return a symlink's target, None for what is no symlink; raise OSError for nothing."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
