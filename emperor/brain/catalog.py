"""The vassal files: reads them when they may have changed, and turns them into wishes.

A file whose content and owner did not change does nothing. A file with problems changes
nothing about what runs; its problems are remembered for status.
"""

import asyncio
import os
import time
from pathlib import Path

import msgspec

from emperor.brain import interpreter
from emperor.brain.fleet import Fleet
from emperor.brain.roll import Publish
from emperor.brain.specs import SpecMaker
from emperor.brain.wishes import Wish
from emperor.config.identity import owner_of
from emperor.config.parser_process import ParserProcess
from emperor.config.problems import ConfigError
from emperor.config.read import Changing, Content, Missing, Unreadable, read_file
from emperor.config.settings import EmperorSettings, VassalSettings
from emperor.config.vassal_file import load_vassal, vassal_name
from emperor.watch.scan import scan
from vassal.messages import Failure

RETRY_CHANGING_S = 0.05


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal file as it was read last. `problems` are the lines that status shows."""

    directory: str
    file_name: str
    owner_uid: int = 0
    digest: str = ""
    problems: tuple[str, ...] = ()
    touch_files: tuple[str, ...] = ()


class Catalog:
    """All vassal files of all directories; tells the fleet what they ask for."""

    def __init__(
        self,
        settings: EmperorSettings,
        specs: SpecMaker,
        fleet: Fleet,
        publish: Publish,
        stopped: frozenset[str],
    ) -> None:
        self._settings = settings
        self._specs = specs
        self._fleet = fleet
        self._publish = publish
        self._stopped = stopped
        self._entries: dict[str, Entry] = {}
        self._strays: dict[str, str] = {}
        self._parser = ParserProcess(settings)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, str]] = set()
        self._touched: dict[str, tuple[int, int]] = {}

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks.values():
            task.cancel()
        await self._parser.close()

    # ── reasons to read ──────────────────────────────────────────────────────────────

    async def rescan_all(self) -> None:
        """Read every file of every directory, and drop those that are gone."""
        for directory in self._settings.directories:
            await self._rescan(directory)

    def on_rescan(self, directory: str) -> None:
        """A directory's events may have been lost: read all of it."""
        self._in_background((directory, ""))

    def on_changed(self, directory: str, file_name: str) -> None:
        """A file came, changed or went: read it."""
        self._in_background((directory, file_name))

    def on_touched(self, path: str) -> None:
        """A `touch_reload` file may have been touched: reload those that name it."""
        stamp = _stamp(path)
        if self._touched.get(path, stamp) == stamp:
            return
        self._touched[path] = stamp
        for name, entry in self._entries.items():
            wish = self._fleet.wishes.get(name)
            if path in entry.touch_files and wish is not None:
                self._publish("info", "touched", name, {"path": path})
                serial = wish.reload_serial + 1
                self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=serial))

    async def refresh(self, name: str) -> None:
        """Read one vassal's file now."""
        entry = self._entries.get(name)
        if entry is not None:
            await self._read(entry.directory, entry.file_name)

    def presume(self, name: str, path: str) -> None:
        """A vassal runs of which no file was read: its file may be there all the same.

        A file that cannot be read now, for want of descriptors or a network, was not
        removed: what runs goes on until the file can be read, or is known to be gone.
        """
        directory, _, file_name = path.rpartition("/")
        if name in self._entries or directory not in self._settings.directories:
            return
        try:
            os.lstat(path)
        except FileNotFoundError:
            return
        except OSError:
            pass
        self._entries[name] = Entry(directory=directory, file_name=file_name)
        self._fleet.wish(name, Wish(run=name not in self._stopped))
        self._publish("warning", "file_presumed", name, {"path": path})
        self._in_background((directory, file_name))

    # ── what is known ────────────────────────────────────────────────────────────────

    def touch_files(self) -> set[str]:
        """Return every path that some vassal names in `touch_reload`."""
        found = {path for entry in self._entries.values() for path in entry.touch_files}
        for path in found - self._touched.keys():
            self._touched[path] = _stamp(path)
        return found

    def path_of(self, name: str) -> str:
        """Return the path of a vassal's file, "" for one that has none any more."""
        entry = self._entries.get(name)
        return f"{entry.directory}/{entry.file_name}" if entry else ""

    def owner_uid(self, name: str) -> int:
        """Return the uid that may steer the vassal: what it runs as, else its file's owner."""
        wish = self._fleet.wishes.get(name)
        if wish is not None and wish.spec is not None:
            return wish.spec.identity.uid
        entry = self._entries.get(name)
        return entry.owner_uid if entry else 0

    def problems_of(self, name: str) -> tuple[str, ...]:
        """Return what is wrong with a vassal's file as it is now."""
        entry = self._entries.get(name)
        return entry.problems if entry else ()

    def stray_problems(self) -> tuple[str, ...]:
        """Return the problems of files and directories that are no vassal's."""
        return tuple(self._strays[path] for path in sorted(self._strays))

    # ── reading ──────────────────────────────────────────────────────────────────────

    def _in_background(self, key: tuple[str, str]) -> None:
        """Read in a task of its own; a reason that comes meanwhile reads once more."""
        if key in self._tasks:
            self._again.add(key)
            return
        self._tasks[key] = asyncio.create_task(self._read_until_calm(key))

    async def _read_until_calm(self, key: tuple[str, str]) -> None:
        directory, file_name = key
        try:
            while True:
                self._again.discard(key)
                if file_name:
                    await self._read(directory, file_name)
                else:
                    await self._rescan(directory)
                if key not in self._again:
                    return
        finally:
            del self._tasks[key]

    async def _rescan(self, directory: str) -> None:
        try:
            names = tuple(scan(directory))
        except OSError as error:
            if self._strays.get(directory) is None:
                self._publish("error", "directory_unreadable", None, {"path": directory})
            self._strays[directory] = f"{directory}: {error.strerror}"
            names = ()
            if not isinstance(error, FileNotFoundError):
                return  # a directory that cannot be read says nothing about its files
        else:
            self._strays.pop(directory, None)
        known = {e.file_name for e in self._entries.values() if e.directory == directory}
        for file_name in sorted(known | set(names)):
            await self._read(directory, file_name)
            await asyncio.sleep(0)  # a thousand files must not keep the control API waiting

    async def _read(self, directory: str, file_name: str) -> None:
        name = vassal_name(file_name)
        if name is None:
            return
        path = f"{directory}/{file_name}"
        holder = self._entries.get(name)
        if holder is not None and holder.directory != directory:
            if Path(path).exists():
                self._strays[path] = f"{path}: {name} is described by {self.path_of(name)} already"
            else:
                self._strays.pop(path, None)
            return
        found = read_file(directory, file_name)
        if isinstance(found, Changing):
            await asyncio.sleep(RETRY_CHANGING_S)
            self._in_background((directory, file_name))
        elif isinstance(found, Missing):
            self._drop(name, path)
        elif isinstance(found, Unreadable):
            self._refuse(
                name, directory, file_name, found.owner_uid, "", (f"{path}: {found.reason}",)
            )
        else:
            await self._take(name, directory, file_name, found)

    def _drop(self, name: str, path: str) -> None:
        self._strays.pop(path, None)
        if self._entries.pop(name, None) is not None:
            self._publish("info", "file_removed", name, {"path": path})
            self._specs.forget(name)
            self._fleet.wish(name, None)

    async def _take(self, name: str, directory: str, file_name: str, found: Content) -> None:
        """Turn a file's content into a wish, unless it is the content we know."""
        known = self._entries.get(name)
        digest = f"{found.digest}:{found.owner_uid}"
        if known is not None and known.digest == digest and not known.problems:
            return
        settings = await self._parse(name, directory, file_name, found)
        if isinstance(settings, ConfigError):
            lines = tuple(map(str, settings.problems))
            self._refuse(name, directory, file_name, found.owner_uid, digest, lines)
            return
        path = f"{directory}/{file_name}"
        try:
            spec = self._specs.make(settings, found.owner_uid, path)
        except (ConfigError, interpreter.NoInterpreter, OSError) as error:
            problems = getattr(error, "problems", None)
            lines = tuple(map(str, problems)) if problems else (f"{path}: {error}",)
            self._refuse(name, directory, file_name, found.owner_uid, digest, lines)
            return
        self._entries[name] = Entry(
            directory=directory,
            file_name=file_name,
            owner_uid=found.owner_uid,
            digest=digest,
            touch_files=settings.touch_reload,
        )
        wish = self._fleet.wishes.get(name) or Wish(run=name not in self._stopped)
        self._publish("info", "file_read", name, {"path": path})
        self._fleet.wish(name, msgspec.structs.replace(wish, spec=spec))

    async def _parse(
        self, name: str, directory: str, file_name: str, found: Content
    ) -> VassalSettings | ConfigError:
        path = f"{directory}/{file_name}"
        owner = owner_of(found.owner_uid)
        if not owner.tenant:
            return load_vassal(name, found.text, path, directory, self._settings, owner)
        # A tenant's bytes are parsed by a process that has nothing to lose.
        return await self._parser.parse(name, found.text, path, directory, owner)

    def _refuse(
        self,
        name: str,
        directory: str,
        file_name: str,
        owner_uid: int,
        digest: str,
        lines: tuple[str, ...],
    ) -> None:
        """Remember what is wrong with a file; what runs of it goes on running."""
        known = self._entries.get(name)
        if known is not None and known.problems == lines:
            return
        self._entries[name] = Entry(
            directory=directory,
            file_name=file_name,
            owner_uid=owner_uid,
            digest=digest,
            problems=lines,
            touch_files=known.touch_files if known else (),
        )
        for line in lines:
            self._publish("error", "file_refused", name, {"error": line})
        if name not in self._fleet.wishes:
            self._fleet.wish(name, Wish(run=name not in self._stopped))
        failure = Failure(kind="config", message="\n".join(lines), at=time.time())
        self._fleet.note_failure(name, failure)


def _stamp(path: str) -> tuple[int, int]:
    """Return what a touch changes; (0, 0) for a file that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
