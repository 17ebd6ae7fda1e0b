"""The vassal files: reads them when they may have changed, and turns them into wishes.

A file whose content and owner did not change does nothing. A file with problems changes
nothing about what runs; its problems are remembered for status. What becomes of a vassal whose
file is gone is decided by `absences`, what of one that wants files to be touched by `touching`.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Set
from pathlib import Path

import msgspec

from emperor.brain.absences import Absences
from emperor.brain.entries import Entries, Entry
from emperor.brain.fleet import Fleet
from emperor.brain.heirs import Heirs, file_of
from emperor.brain.history import History, Version
from emperor.brain.homes import Home, Homes
from emperor.brain.later import Later
from emperor.brain.pacing import read_each
from emperor.brain.patience import Patience, Silence
from emperor.brain.reads import Key, Reads
from emperor.brain.roll import Publish
from emperor.brain.strays import Strays
from emperor.brain.touch_memory import TouchMemory
from emperor.brain.touching import Touching
from emperor.brain.version_reader import Refusal, VersionReader
from emperor.brain.versions import Versions
from emperor.config.file_names import speaks_uwsgi, vassal_name
from emperor.config.identity import UNKNOWN_UID
from emperor.config.read import Changing, Content, Missing, Unreadable, look_into
from emperor.config.settings import EmperorSettings
from emperor.status import NotPossible
from emperor.touches import touches
from emperor.watch.scan import misnamed, scan

RETRY_CHANGING_S = 0.05


class Catalog:
    """All vassal files of all directories; tells the fleet what they ask for.

    `chosen` is called when `choices` may be others.
    """

    def __init__(
        self,
        settings: EmperorSettings,
        reader: VersionReader,
        fleet: Fleet,
        publish: Publish,
        stopped: frozenset[str],
        history: History,
        patience: Patience,
        homes: Homes,
        scanned: Callable[[], None],
        chosen: Callable[[], None],
        touch_memory: TouchMemory,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._fleet = fleet
        self._publish = publish
        self._patience = patience
        self._homes = homes
        self._scanned = scanned
        self._unanswered: set[Key] = set()
        self._strays = Strays(settings.directories, publish, chosen)
        self._versions = Versions(reader, fleet, history, publish, stopped)
        self.touching = Touching(
            fleet,
            publish,
            patience,
            settings.poll_interval,
            self._read_anew,
            lambda path: self.on_changed(*path.rsplit("/", 1)),
            touch_memory,
        )
        self._entries = Entries(self.touching.want)
        self._later = Later(self.on_changed)
        self._rescans: dict[str, float] = {}  # which directories are being read, and since when
        self._reads = Reads(self._read_key, self._on_calm)
        self._read_level = "info"
        self.absences = Absences(
            settings,
            fleet,
            self._entries,
            self._versions,
            Heirs(fleet, self._entries, history),
            homes,
            self._strays,
            self._reads,
            patience,
            publish,
            self._look,
            self.refresh,
            self._forget,
        )

    async def close(self) -> None:
        """Stop reading."""
        self._later.close()
        self.touching.close()
        self._reads.close()
        await self._reader.close()

    # ── reasons to read ──────────────────────────────────────────────────────────────

    async def rescan_all(self, first: Iterable[str] = ()) -> None:
        """Read every file of every directory, as a new brain does, and drop those that are gone.

        Of two files that describe one vassal the one that is among the paths `first` counts.
        """
        began = time.monotonic()
        self._read_level = "debug"  # ten thousand lines would hide what else happens
        parts = (path.rpartition("/") for path in first)
        begun = [
            (directory, file_name)
            for directory, _, file_name in parts
            if directory in self._settings.directories
        ]
        await self._read_each(dict.fromkeys(begun))
        for directory in self._settings.directories:
            await self._rescan(directory, frozenset(begun))
        self._read_level = "info"
        fields = {"count": len(self._entries), "took_s": time.monotonic() - began}
        self._publish("info", "files_read", None, fields)

    def on_rescan(self, directory: str) -> None:
        """A directory's events may have been lost: read all of it."""
        self._reads.begin((directory, ""))

    def on_changed(self, directory: str, file_name: str) -> None:
        """A file came, changed or went: read it."""
        self._reads.begin((directory, file_name))

    def on_answer(self) -> None:
        """What was silent has answered: read what could not be read for its sake."""
        for key in tuple(self._unanswered):
            self._reads.begin(key)

    async def refresh(self, name: str) -> None:
        """Read one vassal's file now."""
        entry = self._entries.get(name)
        if entry is None:
            return
        self._entries.reconsider(name)
        await self._read(entry.directory, entry.file_name)

    def _read_anew(self, name: str) -> None:
        """Read one vassal's file soon."""
        entry = self._entries[name]
        self._entries.reconsider(name)
        self._reads.begin((entry.directory, entry.file_name))

    # ── what served ──────────────────────────────────────────────────────────────────

    def on_served(self, name: str) -> None:
        """What is wanted of the vassal serves."""
        self._versions.on_served(name)

    def rolled_back_to(self, name: str) -> float | None:
        """Return when the version first served that a person went back to; None = no one did."""
        return self._versions.rolled_back_to(name)

    async def roll_back(self, name: str) -> Version:
        """Go back to the last version that served before the one in effect, and return it.

        The file stays as it is; another content of it counts again. From there once more
        leads back to the file's own. Raises NotPossible.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise NotPossible(f"{name} has no file any more")
        version = self._versions.go_back(name, entry.version)
        self._entries.reconsider(name)
        await self._read(entry.directory, entry.file_name)
        return version

    # ── what is known ────────────────────────────────────────────────────────────────

    @property
    def has_all_files(self) -> bool:
        """Whether every directory and all in it could be read, and each is what it was for the
        brain before."""
        return not self._unanswered and not any(
            directory in self._strays or self._homes.is_another(directory)
            for directory in self._settings.directories
        )

    def unseen_stopped(self) -> Set[str]:
        """Return who had been stopped before this brain and whose directory is not there yet: the
        next brain has to know it as well. When all files were seen, it is forgotten of the rest."""
        if self.has_all_files:
            self._versions.forget_unseen()
        return self._versions.unseen_stopped

    def path_of(self, name: str) -> str:
        """Return the path of a vassal's file, "" for one that has none any more."""
        return self._entries.path_of(name)

    @property
    def choices(self) -> dict[str, str]:
        """Return, with its vassal, each file that is used where there are several."""
        names = self._strays.vassals_of_several & self._entries.keys()
        return {self.path_of(name): name for name in names}

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
        return self._strays.problems

    # ── reading ──────────────────────────────────────────────────────────────────────

    async def _read_key(self, key: Key) -> None:
        directory, file_name = key
        if file_name:
            await self._read(directory, file_name)
        else:
            await self._rescan(directory)
            self._scanned()

    def _on_calm(self, key: Key) -> None:
        name = vassal_name(key[1])
        if name is not None:
            self.touching.on_read(name)

    async def _rescan(self, directory: str, read: Set[Key] = frozenset()) -> None:
        """Read all of a directory, but files that were read just now."""
        self._unanswered.discard((directory, ""))
        try:
            names = await self._patience.look_at(directory, lambda: scan(directory))
            strange = await self._patience.look_at(directory, lambda: misnamed(directory))
            status = await self._patience.look_at(directory, lambda: os.stat(directory))
        except OSError as error:
            # That says nothing about its files. One that was moved away by mistake, or is not
            # mounted, is no reason to end all sites at once: what was removed is when it is back.
            if isinstance(error, Silence):
                self._unanswered.add((directory, ""))
            self._strays.note_unreadable(directory, error)
            return
        self._homes.see(directory, self._home(directory, (status.st_dev, status.st_ino)))
        self._strays.tell_misnamed(directory, strange)
        there = frozenset(names)
        known = self._entries.file_names_in(directory)
        self._rescans[directory] = time.monotonic()
        # Those that are there first: what a file that is gone gives up they may take over.
        in_order = sorted(known | set(names), key=lambda one: (one not in there, one))
        try:
            keys = ((directory, file_name) for file_name in in_order)
            await self._read_each(key for key in keys if key not in read)
        finally:
            del self._rescans[directory]
        if not self._homes.lost(directory):
            self._strays.forget(directory)

    async def _read_each(self, files: Iterable[Key]) -> None:
        await read_each(files, self._read, self._patience)

    async def _read(self, directory: str, file_name: str) -> None:
        if not self._settings.takes(directory, file_name):
            return
        key, path = (directory, file_name), f"{directory}/{file_name}"
        if key in self._unanswered:
            self._unanswered.discard(key)
            self._strays.forget(path)
        name = vassal_name(file_name)
        try:
            if name is not None:
                await self._look(name, directory, file_name)
            elif self._strays.may_be_misnamed(path):
                strange = await self._patience.look_at(directory, lambda: misnamed(directory))
                self._strays.tell_misnamed(directory, strange)
        except Silence as error:
            # That says nothing about the file: what is known of it stays.
            self._unanswered.add(key)
            self._strays.note_unreadable(path, error)

    async def _look(self, name: str, directory: str, file_name: str) -> None:
        path = f"{directory}/{file_name}"
        if self._patience.is_foreign(path) and not self._patience.is_foreign(directory):
            self.touching.note_link(path)
        if self._entries.has_another(name, path):
            there = await self._patience.look_at(path, Path(path).exists)
            if self._entries.has_another(name, path):  # that one has not gone meanwhile
                if there:
                    self._strays.note_second(name, path, self.path_of(name))
                else:
                    self._strays.forget(path)
                return
        found, home = await self._patience.look_at(path, lambda: look_into(directory, file_name))
        home = self._home(directory, home) if home is not None else None
        if home is not None and isinstance(found, Content | Unreadable):
            self._homes.found(name, directory, home)
        if isinstance(found, Changing):
            await asyncio.sleep(RETRY_CHANGING_S)
            self._reads.begin((directory, file_name))
        elif isinstance(found, Missing):
            scanned_at = self._rescans.get(directory)
            await self.absences.on_missing(name, directory, file_name, home, scanned_at)
        elif isinstance(found, Unreadable):
            entry = Entry(directory=directory, file_name=file_name, owner_uid=found.owner_uid)
            self._refuse(name, entry, (f"{path}: {found.reason}",))
        else:
            await self._take(name, directory, file_name, found)

    def _home(self, directory: str, home: Home) -> Home:
        """Return what tells a directory from another one at its path."""
        # Some that others serve number their folders anew all the time.
        return (home[0], 0) if self._patience.is_foreign(directory) else home

    def _forget(self, name: str, path: str) -> None:
        """The vassal has no file any more."""
        self._entries.forget(name)
        self.touching.forget_file(path)
        self._later.forget(name)
        self._unanswered = {key for key in self._unanswered if "/".join(key) != path}
        self._publish("info", "file_removed", name, {"path": path})
        self._homes.forget(name)
        self._versions.forget_unproven(name)

    async def _take(self, name: str, directory: str, file_name: str, found: Content) -> None:
        """Turn a file's content into a wish, unless it is the content we know."""
        known = self._entries.get(name)
        digest = f"{found.digest}:{found.owner_uid}:{found.gid}"
        path = f"{directory}/{file_name}"
        # What it includes may have changed as well, which its own content does not tell.
        touched_before_ns = self.touching.own_before(path) if speaks_uwsgi(file_name) else 0
        touched = touched_before_ns not in (0, found.mtime_ns)
        if known is not None and known.digest == digest and not known.problems and not touched:
            return
        version = Version(
            text=found.text,
            owner_uid=found.owner_uid,
            gid=found.gid,
            digest=digest,
            path=path,
            ino=found.ino,
        )
        effective = self._versions.effective(name, version)
        entry = Entry(
            directory=directory,
            file_name=file_name,
            owner_uid=found.owner_uid,
            digest=digest,
            ino=found.ino,
        )
        spec = await self._versions.interpret(name, path, effective)
        if isinstance(spec, Refusal):
            # Who has got the place of one that is gone already is refused for another reason.
            is_new = known is None and not self._versions.has_place(name)
            if is_new and spec.may_pass and not spec.is_silence:
                key = (directory, file_name)
                if self.absences.newcomers.put_off(found.owner_uid, key, file_of(entry)):
                    return
            if spec.is_silence:
                self._unanswered.add((directory, file_name))
            if spec.may_pass:
                self._later.again(name, directory, file_name)
            if known is not None and known.owner_uid not in (UNKNOWN_UID, found.owner_uid):
                self._versions.evict(name)
            self._refuse(name, entry, spec.lines)
            await self._versions.fall_back(name, path, version)
            return
        entry = msgspec.structs.replace(entry, touches=touches(spec.settings))
        self._later.forget(name)
        self._entries.enter(name, entry)
        self._publish(self._read_level, "file_read", name, {"path": path})
        self._fleet.forget_problems(name)
        self._versions.adopt(name, spec, effective)
        if speaks_uwsgi(file_name):
            self.touching.read_own(name, path, found.mtime_ns, touched)

    def _refuse(self, name: str, entry: Entry, lines: tuple[str, ...]) -> None:
        """Remember what is wrong with a file; what runs of it goes on running."""
        known = self._entries.get(name)
        touched_at = known.touches if known else frozenset()
        self._entries.enter(
            name, msgspec.structs.replace(entry, problems=lines, touches=touched_at)
        )
        if known is not None and known.problems == lines:
            return
        for line in lines:
            self._publish("error", "file_refused", name, {"error": line})
        self._versions.announce(name)
        self._fleet.note_problems(name, lines)
