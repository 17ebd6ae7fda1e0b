"""The vassal files: reads them when they may have changed, and turns them into wishes.

A file whose content and owner did not change does nothing. A file with problems changes
nothing about what runs; its problems are remembered for status.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from emperor.brain.adoption import path_in_memo
from emperor.brain.entry import Entry
from emperor.brain.far_files import FarFiles
from emperor.brain.fleet import Fleet
from emperor.brain.heirs import Heirs
from emperor.brain.history import History, Version
from emperor.brain.homes import Home, Homes
from emperor.brain.later import Later
from emperor.brain.patience import Patience, Silence
from emperor.brain.reads import Key, Reads
from emperor.brain.roll import Publish
from emperor.brain.strays import Strays
from emperor.brain.touch_files import TouchFiles
from emperor.brain.version_reader import Refusal, VersionReader
from emperor.brain.versions import Versions
from emperor.config.file_names import (
    file_names,
    speaks_uwsgi,
    vassal_name,
)
from emperor.config.identity import UNKNOWN_UID
from emperor.config.read import Changing, Content, Missing, Unreadable, look_into
from emperor.config.settings import EmperorSettings
from emperor.status import NotPossible
from emperor.touches import Touch, touches
from emperor.watch.scan import misnamed, scan
from vassal.messages import Failure, HeldMaster

RETRY_CHANGING_S = 0.05
RENAME_PATIENCE_S = 1.0
SLOW_S = 0.05
"""Where something may not answer, a file that takes longer is waited for beside the next ones."""

TURN_S = 0.01
"""So long files are read in a row."""

T = TypeVar("T")
ANOTHER = (
    "is not the directory in which all vassals' files were (is something not mounted, or mounted "
    "over it?); vassals whose files are not in it run on until they are there again, or until "
    "emperor stop NAME"
)


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
        self._entries: dict[str, Entry] = {}
        self._heirs = Heirs(fleet, self._entries, history)
        self._touch_files = TouchFiles(patience)
        self._far_files = FarFiles(patience, settings.poll_interval, self._on_far_file)
        self._far_links: set[str] = set()
        self._later = Later(self.on_changed)
        self._rescans: dict[str, float] = {}  # which directories are being read, and since when
        self._reads = Reads(self._read_key, self._on_calm)
        self._read_level = "info"
        self._to_reload: set[str] = set()  # as soon as their files were read

    async def close(self) -> None:
        """Stop reading."""
        self._later.close()
        self._far_files.close()
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
        await self._read_each(
            (directory, file_name)
            for directory, _, file_name in parts
            if directory in self._settings.directories
        )
        for directory in self._settings.directories:
            await self._rescan(directory)
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

    def on_touched(self, path: str) -> None:
        """A file may have been touched: do what those want who name it."""
        self._on_touches(path, self._touch_files.touched(path))

    def _on_far_file(self, path: str, is_first: bool) -> None:
        """A file that nobody here could tell of has changed, or was never looked at before."""
        if not is_first:
            self._on_touches(path, self._touch_files.who_wants(path))
        if path in self._far_links:
            directory, _, file_name = path.rpartition("/")
            self.on_changed(directory, file_name)

    def _on_touches(self, path: str, wanted: Iterable[tuple[str, Touch]]) -> None:
        for name, touch in wanted:
            if name in self._fleet.wishes:
                self._publish("info", "touched", name, {"path": path, "for": touch.value})
                self._on_touch(name, touch)

    def _on_touch(self, name: str, touch: Touch) -> None:
        if touch is Touch.RELOAD:
            self._to_reload.add(name)
            entry = self._entries[name]
            self._reconsider(name)
            self._reads.begin((entry.directory, entry.file_name))
        else:
            self._fleet.renew_log(name, rotate=touch is Touch.ROTATE)

    async def refresh(self, name: str) -> None:
        """Read one vassal's file now."""
        entry = self._entries.get(name)
        if entry is None:
            return
        self._reconsider(name)
        await self._read(entry.directory, entry.file_name)

    def _reconsider(self, name: str) -> None:
        """Take the file for another one at its next reading.

        What it says may mean something else by now: what it includes, where a release's link
        leads, which interpreter and user there are.
        """
        self._enter(name, msgspec.structs.replace(self._entries[name], digest=""))

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
        version = self._versions.go_back(name, _version_of(entry))
        self._reconsider(name)
        await self._read(entry.directory, entry.file_name)
        return version

    def presume(self, name: str, path: str) -> None:
        """A vassal runs of which no file was read: its file may be there all the same.

        A file that cannot be read now, for want of descriptors or a network, was not
        removed: what runs goes on until the file can be read, or is known to be gone.
        """
        directory, _, file_name = path.rpartition("/")
        if name in self._entries or directory not in self._settings.directories:
            return
        if not self._patience.is_foreign(path) and not self._homes.is_another(directory):
            try:
                os.lstat(path)
            except FileNotFoundError:
                if os.path.isdir(directory):
                    return
            except OSError:
                pass
        self._homes.presume(name, directory)
        presumed = Entry(directory=directory, file_name=file_name, owner_uid=UNKNOWN_UID)
        self._enter(name, presumed)
        self._versions.announce(name)
        self._publish("warning", "file_presumed", name, {"path": path})
        self._reads.begin((directory, file_name))

    @property
    def has_all_files(self) -> bool:
        """Whether every directory and all in it could be read, and each is what it was for the
        brain before."""
        return not self._unanswered and not any(
            directory in self._strays or self._homes.is_another(directory)
            for directory in self._settings.directories
        )

    # ── what is known ────────────────────────────────────────────────────────────────

    def files_to_watch(self) -> set[str]:
        """Return every path that some vassal wants to be touched at, but those that are looked at
        from here, as nobody else could tell of them."""
        self._far_files.set({**dict.fromkeys(self._far_links, 0), **self._touch_files.far()})
        return self._touch_files.near()

    def path_of(self, name: str) -> str:
        """Return the path of a vassal's file, "" for one that has none any more."""
        entry = self._entries.get(name)
        return f"{entry.directory}/{entry.file_name}" if entry else ""

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
        """Do what a touch asked for, now that the file was read; refused, what was good before."""
        name = vassal_name(key[1])
        if name in self._to_reload:
            self._to_reload.discard(name)
            if name in self._fleet.wishes:
                self._reload(name)

    async def _rescan(self, directory: str) -> None:
        self._unanswered.discard((directory, ""))
        try:
            names = await self._ask(directory, lambda: scan(directory))
            strange = await self._ask(directory, lambda: misnamed(directory))
            status = await self._ask(directory, lambda: os.stat(directory))
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
        known = {e.file_name for e in self._entries.values() if e.directory == directory}
        self._rescans[directory] = time.monotonic()
        # Those that are there first: what a file that is gone gives up they may take over.
        in_order = sorted(known | set(names), key=lambda one: (one not in there, one))
        try:
            await self._read_each((directory, file_name) for file_name in in_order)
        finally:
            del self._rescans[directory]
        if not self._homes.lost(directory):
            self._strays.forget(directory)

    async def _read_each(self, files: Iterable[tuple[str, str]]) -> None:
        slow: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        for directory, file_name in files:
            if self._patience.is_needed:
                # What takes its time keeps no other file waiting.
                task = asyncio.create_task(self._read(directory, file_name))
                done, late = await asyncio.wait([task], timeout=SLOW_S)
                slow |= late
                await asyncio.gather(*done)  # what it raised is raised here
            else:
                await self._read(directory, file_name)
            if time.monotonic() - began > TURN_S:
                # A thousand files must not keep the control API waiting.
                await asyncio.sleep(0)
                began = time.monotonic()
        await asyncio.gather(*slow)

    async def _ask(self, path: str, call: Callable[[], T]) -> T:
        """Look at a path that is the provider's choice; raise Silence."""
        return await self._patience.look((path,), 0, call)

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
            elif self._strays.may_be_more_misnamed:
                strange = await self._ask(directory, lambda: misnamed(directory))
                self._strays.tell_misnamed(directory, strange)
        except Silence as error:
            # That says nothing about the file: what is known of it stays.
            self._unanswered.add(key)
            self._strays.note_unreadable(path, error)

    async def _look(self, name: str, directory: str, file_name: str) -> None:
        path = f"{directory}/{file_name}"
        if self._patience.is_foreign(path) and not self._patience.is_foreign(directory):
            self._far_links.add(path)
        if self._is_anothers(name, directory, file_name):
            there = await self._ask(path, Path(path).exists)
            if self._is_anothers(name, directory, file_name):  # that one has not gone meanwhile
                if there:
                    self._strays.note_second(name, path, self.path_of(name))
                else:
                    self._strays.forget(path)
                return
        found, home = await self._ask(path, lambda: look_into(directory, file_name))
        home = self._home(directory, home) if home is not None else None
        if home is not None and isinstance(found, Content | Unreadable):
            self._homes.found(name, directory, home)
        if isinstance(found, Changing):
            await asyncio.sleep(RETRY_CHANGING_S)
            self._reads.begin((directory, file_name))
        elif isinstance(found, Missing):
            await self._on_missing(name, directory, file_name, home)
        elif isinstance(found, Unreadable):
            entry = Entry(directory=directory, file_name=file_name, owner_uid=found.owner_uid)
            self._refuse(name, entry, (f"{path}: {found.reason}",))
        else:
            await self._take(name, directory, file_name, found)

    def _is_anothers(self, name: str, directory: str, file_name: str) -> bool:
        """Return whether the vassal is described by another file."""
        known = self._entries.get(name)
        return known is not None and (known.directory, known.file_name) != (directory, file_name)

    async def _on_missing(
        self, name: str, directory: str, file_name: str, home: Home | None
    ) -> None:
        """A file is gone: removed, or it has another name now under which it goes on."""
        path = f"{directory}/{file_name}"
        if home is None:
            self._strays.note_unreadable(directory, FileNotFoundError())
            return
        if self._homes.is_lost(name, home):
            await self._on_lost(name, directory, file_name, home)
            return
        gone_at = self._rescans.get(directory, time.monotonic())
        entry = self._entries.get(name)
        if entry is not None:
            self._reader.forget(name)  # whoever comes is not one too many beside it
            self._reconsider(name)
            await self._reads.let_others(RENAME_PATIENCE_S)
            if self._is_anothers(name, directory, file_name):
                return
            if await self._ask(path, lambda: os.path.lexists(path)):
                self._reads.begin((directory, file_name))
                return
            if await self._is_replaced(name, path):
                return
            heir = self._heirs.of_gone(name, entry, gone_at)
            if heir is not None and name in self._entries:  # it may be read twice at a time
                await self._hand_over(name, heir, path)
                return
        self._drop(name, path)

    async def _hand_over(self, name: str, heir: str, path: str) -> None:
        """The file was renamed: what serves goes on until `heir` does, with all that has served."""
        self._forget_entry(name, path)
        self._fleet.rename(name, heir)
        await self._inherit(name, heir)

    async def _inherit(self, name: str, heir: str) -> None:
        """What served of `name` is what served of `heir`: to go back to, or in its place."""
        self._versions.rename(name, heir)
        entry = self._entries[heir]
        if self._versions.is_pinned(heir):
            await self.refresh(heir)
        elif entry.problems:
            self._note_problems(heir, entry.problems)
            await self._versions.fall_back(heir, self.path_of(heir), _version_of(entry))

    async def presume_all(
        self, masters: Sequence[HeldMaster], keys: Mapping[str, Set[str]]
    ) -> None:
        """These run, and hold these addresses by their names: of those that have no file it may be
        there all the same, or have another name by now."""
        taken = {held.vassal for held in masters}
        for held in masters:
            name = self._fleet.renames.name_of(held.token, held.vassal)
            if name not in self._fleet.wishes:
                self.presume(name, path_in_memo(held.memo))
            if name not in self._fleet.wishes:
                name = self._heirs.of_left(held, keys, taken) or name
                self._fleet.renames.note(held.token, name, held.vassal)
        for held in masters:
            name = self._fleet.renames.name_of(held.token, held.vassal)
            if name != held.vassal and held.vassal not in self._entries:
                await self._inherit(held.vassal, name)

    def _home(self, directory: str, home: Home) -> Home:
        """Return what tells a directory from another one at its path."""
        # Some that others serve number their folders anew all the time.
        return (home[0], 0) if self._patience.is_foreign(directory) else home

    async def _on_lost(self, name: str, directory: str, file_name: str, home: Home) -> None:
        """A vassal's file was in another directory than is there now: it runs on."""
        self._homes.see(directory, home)
        if await self._is_replaced(name, f"{directory}/{file_name}"):
            return
        self._strays.note_unreadable(directory, OSError(errno.ESTALE, ANOTHER))
        await self._versions.use_what_served(name, f"{directory}/{file_name}")

    async def _is_replaced(self, name: str, path: str) -> bool:
        """Let another file describe the vassal of one that is gone; return whether one does."""
        other = await self._other_file(name)
        if other is not None:
            self._publish("info", "file_replaced", name, {"path": path, "by": "/".join(other)})
            await self._move(name, *other)
        return other is not None

    async def _other_file(self, name: str) -> tuple[str, str] | None:
        """Return directory and name of another file that describes `name`, if there is one."""
        for directory in self._settings.directories:
            for file_name in file_names(name):
                path = f"{directory}/{file_name}"
                if not self._settings.takes(directory, file_name):
                    continue
                if await self._ask(path, partial(os.path.lexists, path)):
                    return directory, file_name
        return None

    async def _move(self, name: str, directory: str, file_name: str) -> None:
        """From now on the vassal is described by this file; what runs goes on, or is replaced."""
        known = self._entries[name]
        moved = Entry(directory=directory, file_name=file_name, owner_uid=known.owner_uid)
        self._enter(name, moved)
        self._strays.forget(f"{directory}/{file_name}")
        await self._look(name, directory, file_name)

    def _drop(self, name: str, path: str) -> None:
        self._strays.forget(path)
        if name in self._entries:
            self._forget_entry(name, path)
            self._versions.drop(name)

    def _forget_entry(self, name: str, path: str) -> None:
        del self._entries[name]
        self._touch_files.want(name, 0, frozenset())
        self._far_links.discard(path)
        self._later.forget(name)
        self._unanswered = {key for key in self._unanswered if "/".join(key) != path}
        self._publish("info", "file_removed", name, {"path": path})
        self._homes.forget(name)
        self._versions.forget_unproven(name)

    async def _take(self, name: str, directory: str, file_name: str, found: Content) -> None:
        """Turn a file's content into a wish, unless it is the content we know."""
        known = self._entries.get(name)
        digest = f"{found.digest}:{found.owner_uid}:{found.gid}"
        touched = known is not None and _is_touched(known, file_name, found)
        if known is not None and known.digest == digest and not known.problems and not touched:
            return
        path = f"{directory}/{file_name}"
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
            if spec.is_silence:
                self._unanswered.add((directory, file_name))
            if spec.may_pass:
                self._later.again(name, directory, file_name)
            if known is not None and known.owner_uid not in (UNKNOWN_UID, found.owner_uid):
                self._versions.evict(name)
            self._refuse(name, entry, spec.lines)
            await self._versions.fall_back(name, path, version)
            return
        entry = msgspec.structs.replace(
            entry, mtime_ns=found.mtime_ns, touches=touches(spec.settings)
        )
        self._later.forget(name)
        self._enter(name, entry)
        self._publish(self._read_level, "file_read", name, {"path": path})
        self._fleet.forget_problems(name)
        self._versions.adopt(name, spec, effective)
        if touched:
            self._reload(name)

    def _enter(self, name: str, entry: Entry) -> None:
        known = self._entries.get(name)
        since = known.since if known is not None else time.monotonic()
        self._entries[name] = msgspec.structs.replace(entry, since=since)
        self._touch_files.want(name, entry.owner_uid, entry.touches)

    def _reload(self, name: str) -> None:
        wish = self._fleet.wishes[name]
        serial = wish.reload_serial + 1
        self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=serial))

    def _refuse(self, name: str, entry: Entry, lines: tuple[str, ...]) -> None:
        """Remember what is wrong with a file; what runs of it goes on running."""
        known = self._entries.get(name)
        if known is not None and known.problems == lines:
            return
        touched_at = known.touches if known else frozenset()
        self._enter(name, msgspec.structs.replace(entry, problems=lines, touches=touched_at))
        for line in lines:
            self._publish("error", "file_refused", name, {"error": line})
        self._versions.announce(name)
        self._note_problems(name, lines)

    def _note_problems(self, name: str, lines: tuple[str, ...]) -> None:
        failure = Failure(kind="config", message="\n".join(lines), at=time.time())
        self._fleet.note_failure(name, failure)


def _version_of(entry: Entry) -> Version:
    """Return the version that the file has now, as far as it is to be told from others."""
    path = f"{entry.directory}/{entry.file_name}"
    return Version(
        text="", owner_uid=entry.owner_uid, gid=0, digest=entry.digest, path=path, ino=entry.ino
    )


def _is_touched(known: Entry, file_name: str, found: Content) -> bool:
    """Return whether a file was touched whose dialect says that this means reload.

    What it includes may have changed as well, which its own content does not tell.
    """
    return speaks_uwsgi(file_name) and known.mtime_ns not in (0, found.mtime_ns)
