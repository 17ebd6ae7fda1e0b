"""The watcher: directories of vassal files and single files, whatever they lie on."""

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from emperor.config.settings import WatchMode
from emperor.watch.choose import (
    BlindMounts,
    Mount,
    choose,
    filesystem_of,
    is_blind,
    lead,
    mount_behind,
    read_mounts,
)
from emperor.watch.debounce import Debounce
from emperor.watch.events import Degraded, FileChanged, Rescan, WatchEvent, path_of
from emperor.watch.tracker import Tracker
from limits.mounts import above

if TYPE_CHECKING:
    from emperor.watch.polling import Poller

CHECK_EVERY_S = 10.0


class Watcher:
    """Calls `callback(event)` from the event loop, milliseconds after a change.

    First there is a Rescan for every directory. A directory need not exist: Rescan says
    when it comes. Directories and files are reported under the absolute paths that they
    were given as. Bursts are coalesced. A single file, or a link among the vassals, that leads to
    where somebody else has to answer is reported, and not watched: who is told looks there.
    """

    def __init__(
        self,
        directories: Iterable[str],
        callback: Callable[[WatchEvent], None],
        *,
        mode: WatchMode = WatchMode.AUTO,
        poll_interval_s: float = 1.0,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._directories = tuple(dict.fromkeys(os.path.abspath(path) for path in directories))
        self._callback = callback
        self._mode = mode
        self._poll_interval_s = poll_interval_s
        self._check_every_s = check_every_s
        self._files: frozenset[str] = frozenset()
        self._placed: dict[str, tuple[bool, Mount]] = {}
        self._debounce = Debounce()
        self._timer: asyncio.TimerHandle | None = None
        self._checker: asyncio.TimerHandle | None = None
        self._poller: Poller | None = None
        self.tracker: Tracker | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._mounts = read_mounts()
        self._blind = BlindMounts()
        if self._mode is not WatchMode.POLL:
            try:
                self.tracker = Tracker(self._note, self._give_up, self._refuse)
            except OSError as error:
                self._note(Degraded("inotify", f"polling instead: {error.strerror}"))
        self._place_directories()
        self._schedule_check()
        files, self._files = self._files, frozenset()
        self.set_files(files)

    def add_file(self, path: str) -> None:
        """Report changes of this file, too."""
        self.set_files({*self._files, path})

    def set_files(self, paths: Iterable[str]) -> None:
        """Report changes of these single files, and no longer of others. Safe to repeat."""
        wanted = frozenset(os.path.abspath(path) for path in paths)
        if self._checker is not None:  # else `start` does it
            for path in self._files - wanted:
                self._forget(FileChanged(path))
            for path in wanted - self._files:
                watch = self.tracker.watch if self.tracker is not None else self._poll
                watch(FileChanged(path))
        self._files = wanted

    async def close(self) -> None:
        """Stop watching."""
        for handle in (self._timer, self._checker):
            if handle is not None:
                handle.cancel()
        self._blind.close()
        if self.tracker is not None:
            self.tracker.close()
        if self._poller is not None:
            self._poller.close()

    # ── inotify or polling ───────────────────────────────────────────────────────────

    def _place_directories(self) -> None:
        """Watch every directory as its file system needs, and rescan where that is new."""
        for directory in self._directories:
            mount = mount_behind(directory, self._mounts)
            choice = choose(self._mode, mount.filesystem)
            polled = choice.poll or self.tracker is None
            # On another mount whoever looks at it may still hang in the one before.
            if self._placed.get(directory) == (polled, mount):
                continue
            self._placed[directory] = polled, mount
            event = Rescan(directory)
            self._forget(event)
            self._note(event)
            if choice.warning:
                self._note(Degraded(directory, choice.warning))
            if polled:
                self._poll(event)
            elif self.tracker is not None:
                self.tracker.watch(event)

    def _refuse(self, event: WatchEvent, path: str) -> bool:
        if not isinstance(event, Rescan):
            blind = self._blind.now()
            if blind and any(place in blind for place in (path, *above(path))):
                return True
        return self._mode is WatchMode.AUTO and is_blind(filesystem_of(path, self._mounts))

    def _give_up(self, event: WatchEvent, error: OSError | None) -> None:
        if not isinstance(event, Rescan) and lead(path_of(event), self._blind.now()).blind:
            self._note(event)
            return
        if error is not None:
            reason = f"cannot be watched with inotify ({error.strerror}), polling instead"
            self._note(Degraded(path_of(event), reason))
        self._poll(event)

    def _poll(self, event: WatchEvent) -> None:
        if self._poller is None:
            # Few hosts need watchdog, and a brain that was killed is missed.
            from emperor.watch.polling import Poller

            self._poller = Poller(self._note, self._poll_interval_s)
        self._poller.watch(event)

    def _forget(self, event: WatchEvent) -> None:
        for backend in (self.tracker, self._poller):
            if backend is not None:
                backend.forget(event)

    def _schedule_check(self) -> None:
        self._checker = self._loop.call_later(self._check_every_s, self._check)

    def _check(self) -> None:
        """Look for what raises no event at all: mounts, renamed ancestors."""
        self._schedule_check()
        mounts = read_mounts()
        if mounts != self._mounts:
            self._mounts = mounts
            self._place_directories()
        if self.tracker is not None:
            self.tracker.check()

    # ── reports ──────────────────────────────────────────────────────────────────────

    def _note(self, event: WatchEvent, settle: bool = False) -> None:
        due = self._debounce.add(event, self._loop.time(), settle=settle)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._report)

    def _report(self) -> None:
        self._timer = None
        for event in self._debounce.take_due(self._loop.time()):
            # Each in a turn of its own: one that fails shall not swallow the others.
            self._loop.call_soon(self._callback, event)
        due = self._debounce.next_due()
        if due is not None:
            self._timer = self._loop.call_at(due, self._report)
