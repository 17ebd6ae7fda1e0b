"""Watches by looking again and again, where inotify is blind: watchdog's polling observer.

All looking is done in watchdog's threads, so that a network file system that hangs
never stops the event loop. The first look reports everything it finds.
"""

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import cast

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import ObservedWatch
from watchdog.observers.polling import PollingObserverVFS

from emperor.config.file_names import is_misnamed
from emperor.watch.events import Changed, Rescan, WatchEvent, is_vassal_file_name, path_of
from emperor.watch.scan import TooManyFiles, scan_with_misnamed

CLOSE_TIMEOUT_S = 0.5


@dataclass(frozen=True)
class _Found:
    """What watchdog needs of a directory entry; an absolute name stands for itself."""

    name: str


@dataclass
class _Source:
    """A made-up directory that watchdog polls: `list_paths` says what is in it."""

    list_paths: Callable[[], list[str]]
    report: Callable[[str], None]
    armed: bool = False
    last: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        # watchdog takes its first snapshot in our own thread, where nothing may block.
        if not self.armed:
            return []
        try:
            self.last = self.list_paths()
        except (FileNotFoundError, NotADirectoryError):
            self.last = []
        except (OSError, TooManyFiles):
            pass  # tells nothing about what is there: as before
        return self.last


class Poller:
    """Polls directories of vassals and single files; `emit(event)` is called in the loop."""

    def __init__(self, emit: Callable[[WatchEvent], None], interval_s: float) -> None:
        self._emit = emit
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._trusted = (0, os.geteuid())
        self._observer: PollingObserverVFS | None = None
        self._numbers = count()
        self._sources: dict[str, _Source] = {}
        self._watches: dict[WatchEvent, ObservedWatch] = {}
        self._files: dict[str, frozenset[WatchEvent]] = {}
        self._files_watch: ObservedWatch | None = None

    def watch(self, event: WatchEvent) -> None:
        """Poll the directory (Rescan) or the file that the event names."""
        if isinstance(event, Rescan):
            if event not in self._watches:
                self._watches[event] = self._poll_directory(event.directory)
            return
        path = path_of(event)
        # Replaced, never changed: a thread may be reading it.
        self._files = self._files | {path: self._files.get(path, frozenset()) | {event}}
        if self._files_watch is None:
            self._files_watch = self._schedule(lambda: list(self._files), self._report_file)

    def forget(self, event: WatchEvent) -> None:
        """Stop polling what the event names, if it is polled."""
        if isinstance(event, Rescan):
            watch = self._watches.pop(event, None)
            if watch is not None and self._observer is not None:
                # It waits for the thread, which may hang in the file system.
                _in_background(partial(self._observer.unschedule, watch))
            return
        path = path_of(event)
        left = self._files.get(path, frozenset()) - {event}
        others = {key: value for key, value in self._files.items() if key != path}
        self._files = others | ({path: left} if left else {})

    def close(self) -> None:
        """Stop all threads; one that hangs in a file system is left behind."""
        if self._observer is not None:
            _in_background(self._observer.stop).join(CLOSE_TIMEOUT_S)
            self._observer = None

    def _poll_directory(self, directory: str) -> ObservedWatch:
        def report(path: str) -> None:
            folder, _, name = path.rpartition("/")
            if folder == directory and (is_vassal_file_name(name) or is_misnamed(name)):
                self._emit(Changed(directory, name))

        def paths() -> list[str]:
            return [f"{directory}/{name}" for name in scan_with_misnamed(directory)]

        return self._schedule(paths, report)

    def _report_file(self, path: str) -> None:
        for event in self._files.get(path, ()):
            self._emit(event)

    def _schedule(
        self, list_paths: Callable[[], list[str]], report: Callable[[str], None]
    ) -> ObservedWatch:
        source = _Source(list_paths, report)
        root = f"emperor-source-{next(self._numbers)}"
        self._sources[root] = source
        if self._observer is None:
            self._observer = PollingObserverVFS(
                self._stat, self._list, polling_interval=self._interval_s
            )
            self._observer.start()
        watch = self._observer.schedule(_Handler(self._loop, source), root, recursive=False)
        source.armed = True
        return watch

    # ── called in watchdog's threads ─────────────────────────────────────────────────

    def _list(self, root: str | None) -> Iterator[os.DirEntry[str]]:
        found = [_Found(path) for path in self._sources[root or ""].paths()]
        return cast(Iterator[os.DirEntry[str]], iter(found))

    def _stat(self, path: str) -> os.stat_result:
        """Return a status whose mtime is the ctime: that changes with owner and mode too."""
        if path in self._sources:
            return os.stat_result((0o040000, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        status = os.lstat(path)
        # A tenant's link among vassals nobody follows: it could lead where nobody answers.
        if stat.S_ISLNK(status.st_mode) and (path in self._files or status.st_uid in self._trusted):
            with contextlib.suppress(OSError):  # a symlink to nothing is there, too
                status = os.stat(path)
        values = list(status[:10])
        values[8] = status.st_ctime_ns
        return os.stat_result(values)


class _Handler(FileSystemEventHandler):
    """Carries watchdog's events from its thread into the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: _Source) -> None:
        self._loop = loop
        self._report = source.report

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in {os.fsdecode(event.src_path), os.fsdecode(event.dest_path)} - {""}:
            try:
                self._loop.call_soon_threadsafe(self._report, path)
            except RuntimeError:
                return  # the loop is closed: nobody listens any more


def _in_background(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
