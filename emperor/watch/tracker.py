"""Knows what to watch with inotify so that no change of a file goes unseen.

A watched path may lead through symlinks, may not be there yet, may be swapped for
another: the entries that decide what it means are watched too (see `trail`), and looked
up again whenever one of them changes.
"""

import os
import stat
from collections.abc import Callable, Iterable

from emperor.config.file_names import is_misnamed
from emperor.watch.events import (
    Changed,
    FileChanged,
    Rescan,
    WatchEvent,
    is_vassal_file_name,
    path_of,
)
from emperor.watch.inotify import CREATED, Inotify, read_link
from emperor.watch.interests import Interests
from emperor.watch.trail import Trail, follow

ATTEMPTS = 10
"""How often a path may change under our feet before it is left to the next event."""

Identity = tuple[int, int]


class _RefusedError(Exception):
    """inotify shall not be used here."""


class Tracker:
    """Watches directories of vassals (Rescan, Changed) and single files (FileChanged).

    `emit(event, settle)` is called for every change. `refuse(event, path)` says that inotify
    shall not be used there, and nothing be looked at. `give_up(event, error)` is called when what
    the event stands for cannot be watched, and is not watched any more; None = it was refused.
    Raises OSError when made while there are too many inotify instances.
    """

    def __init__(
        self,
        emit: Callable[[WatchEvent, bool], None],
        give_up: Callable[[WatchEvent, OSError | None], None],
        refuse: Callable[[WatchEvent, str], bool],
    ) -> None:
        self._emit = emit
        self._give_up = give_up
        self._refuse = refuse
        self._interests = Interests()
        self._directories: dict[str, Identity | None] = {}  # as it was when last seen
        self.inotify = Inotify(self._entry_changed, self._directory_gone, self._overflown)

    def watch(self, event: Rescan | FileChanged) -> None:
        """Watch the directory or the file that the event names."""
        if isinstance(event, Rescan):
            self._directories[event.directory] = None
        self._track(event)

    def forget(self, event: WatchEvent) -> None:
        """Stop watching what the event names, with the links of a directory."""
        if isinstance(event, Rescan) and event.directory in self._directories:
            del self._directories[event.directory]
            for other in self._interests:
                if isinstance(other, Changed) and other.directory == event.directory:
                    self._depend(other, None)
            self._prune({event.directory})
        self._depend(event, None)

    def check(self) -> None:
        """Look for what raises no event: a directory mounted over, or a renamed ancestor."""
        for directory, seen in tuple(self._directories.items()):
            if _identity(directory) != seen:
                self._announce(Rescan(directory))

    def close(self) -> None:
        """Stop watching everything."""
        self.inotify.close()

    # ── what inotify says ────────────────────────────────────────────────────────────

    def _entry_changed(self, directory: str, name: str, mask: int) -> None:
        for event in self._interests.at(directory, name):
            self._announce(event)
        if directory not in self._directories:
            return
        event = Changed(directory, name)
        if is_vassal_file_name(name):
            being_written = self._look_at(event) and bool(mask & CREATED)
            self._emit(event, being_written)
        elif is_misnamed(name):  # whoever dropped it is told
            self._emit(event, False)

    def _directory_gone(self, directory: str) -> None:
        gone: set[WatchEvent] = set(self._interests.within(directory))
        if directory in self._directories:
            gone.add(Rescan(directory))
        for event in gone:
            self._announce(event)

    def _overflown(self) -> None:
        everything: list[WatchEvent] = [Rescan(directory) for directory in self._directories]
        everything += (event for event in self._interests if not isinstance(event, Rescan))
        for event in everything:
            self._announce(event)

    def _announce(self, event: WatchEvent) -> None:
        """Report the event, and look up anew what it depends on."""
        self._emit(event, False)
        if isinstance(event, Changed):
            self._look_at(event)
        else:
            self._track(event)

    # ── what to watch ────────────────────────────────────────────────────────────────

    def _look_at(self, event: Changed) -> bool:
        """Follow a vassal that is a symlink; return whether it is a plain file of one name."""
        try:
            status = os.lstat(f"{event.directory}/{event.name}")
        except OSError:
            status = None
        if status and stat.S_ISLNK(status.st_mode):
            self._track(event)
            return False
        self._depend(event, None)
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink == 1

    def _track(self, event: WatchEvent) -> None:
        """Watch every entry of the event's trail, and the directory itself."""
        tried: set[str] = set()
        try:
            trail = self._watch_trail(event, tried)
        except _RefusedError:
            self._drop(event, tried, None)
        except OSError as error:
            self._drop(event, tried, error)
        else:
            self._depend(event, trail)
            self._prune(tried)
            if isinstance(event, Rescan):
                self._follow_links(event.directory)

    def _drop(self, event: WatchEvent, tried: set[str], error: OSError | None) -> None:
        self.forget(event)
        self._prune(tried)
        self._give_up(event, error)

    def _watch_trail(self, event: WatchEvent, tried: set[str]) -> Trail:
        """Return the trail once all of it is watched and it did not change meanwhile."""
        path = path_of(event)

        def read(link: str) -> str | None:
            if self._refuse(event, link):
                raise _RefusedError
            return read_link(link)

        trail = follow(path, read)
        for _ in range(ATTEMPTS):
            directories = {entry.directory for entry in trail.entries}
            tried |= directories
            try:
                for directory in directories:
                    self._add(event, directory)
                if isinstance(event, Rescan):
                    self._watch_whole(event.directory)
            except (FileNotFoundError, NotADirectoryError):
                trail = follow(path, read)
                continue
            again = follow(path, read)
            if again == trail:
                break
            trail = again
        return trail

    def _watch_whole(self, directory: str) -> None:
        """Watch what is at `directory` now, and not what was there before."""
        self.inotify.discard(directory)
        self._directories[directory] = _identity(directory)
        if self._directories[directory] is not None:
            self._add(Rescan(directory), directory)

    def _add(self, event: WatchEvent, directory: str) -> None:
        if self._refuse(event, directory):
            raise _RefusedError
        self.inotify.add(directory)

    def _follow_links(self, directory: str) -> None:
        links = _links(directory)
        for event in self._interests:
            ours = isinstance(event, Changed) and event.directory == directory
            if ours and event not in links:
                self._depend(event, None)
        for event in links:
            self._track(event)

    def _depend(self, event: WatchEvent, trail: Trail | None) -> None:
        self._prune(self._interests.set(event, trail.entries if trail else ()))

    def _prune(self, directories: Iterable[str]) -> None:
        for directory in directories:
            if directory not in self._directories and not self._interests.needs(directory):
                self.inotify.discard(directory)


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _links(directory: str) -> frozenset[Changed]:
    """Return the vassals of a directory that are symlinks; none when it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return frozenset(
                Changed(directory, entry.name)
                for entry in entries
                if is_vassal_file_name(entry.name) and entry.is_symlink()
            )
    except OSError:
        return frozenset()
