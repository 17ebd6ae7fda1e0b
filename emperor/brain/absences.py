"""What becomes of a vassal whose file is not where it was, or was never seen while it runs.

The file was removed, has another name, has given way to another one, or cannot be seen for now;
only in the first case the vassal ends.
"""

import errno
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from functools import partial

from emperor.brain.entries import Entries, Entry
from emperor.brain.fleet import Fleet
from emperor.brain.heirs import Heirs, file_of
from emperor.brain.homes import Home, Homes
from emperor.brain.memo import path_in_memo
from emperor.brain.newcomers import Newcomers
from emperor.brain.patience import Patience
from emperor.brain.reads import Reads
from emperor.brain.roll import Publish
from emperor.brain.strays import Strays
from emperor.brain.versions import Versions
from emperor.config.file_names import file_names
from emperor.config.identity import UNKNOWN_UID
from emperor.config.settings import EmperorSettings
from vassal.messages import HeldMaster

RENAME_PATIENCE_S = 1.0
MOVED_S = 0.1
"""The kernel tells of a file's old name and then of its new one: we may have read between."""

ANOTHER = (
    "is not the directory in which all vassals' files were (is something not mounted, or mounted "
    "over it?); vassals whose files are not in it run on until they are there again, or until "
    "emperor stop NAME"
)


class Absences:
    """Of all vassals of a fleet. `look(name, directory, file_name)` reads a vassal's file,
    `refresh(name)` the one that it has, whatever is known of it; `forget(name, path)` drops all
    that is known of one that is gone. What is awaited raises Silence."""

    def __init__(
        self,
        settings: EmperorSettings,
        fleet: Fleet,
        entries: Entries,
        versions: Versions,
        heirs: Heirs,
        homes: Homes,
        strays: Strays,
        reads: Reads,
        patience: Patience,
        publish: Publish,
        look: Callable[[str, str, str], Awaitable[None]],
        refresh: Callable[[str], Awaitable[None]],
        forget: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._entries = entries
        self._versions = versions
        self._heirs = heirs
        self._homes = homes
        self._strays = strays
        self._reads = reads
        self._patience = patience
        self._publish = publish
        self._look = look
        self._refresh = refresh
        self._forget = forget
        self.newcomers = Newcomers(reads.begin)

    # ── a file that is gone ──────────────────────────────────────────────────────────

    async def on_missing(
        self,
        name: str,
        directory: str,
        file_name: str,
        home: Home | None,
        scanned_at: float | None,
    ) -> None:
        """There is no such file in `directory`, which is `home`, None if that is not there
        either. That was told of; or it was seen when all of the directory was read, which began
        `scanned_at` a time in monotonic seconds."""
        path = f"{directory}/{file_name}"
        gone_at = time.monotonic() if scanned_at is None else scanned_at
        if home is None:
            self._strays.note_unreadable(directory, FileNotFoundError())
            return
        if self._homes.is_lost(name, home):
            await self._on_lost(name, directory, path, home)
            return
        entry = self._entries.get(name)
        if entry is None:
            self._drop(name, path)
            return
        self._entries.reconsider(name)
        with self.newcomers.undecided(entry.owner_uid):
            await self._reads.let_others(RENAME_PATIENCE_S, MOVED_S if scanned_at is None else 0.0)
            if self._entries.has_another(name, path):
                return
            if await self._patience.look_at(path, lambda: os.path.lexists(path)):
                self._reads.begin((directory, file_name))
                return
            if await self._is_replaced(name, path):
                return
            await self._make_room(name, entry, gone_at)
            back = await self._other_file(name)
            if self._entries.has_another(name, path):
                return
            if name not in self._entries:  # it may be read twice at a time
                self._drop(name, path)
            elif back is not None and self._versions.take_place(name, of=name):
                self._reads.begin((directory, file_name))
                return
            elif heir := self._heir_with_place(name, entry, gone_at):
                await self._hand_over(name, heir, path)
            else:
                self._drop(name, path)
            if back is not None:
                self._reads.begin(back)

    async def _make_room(self, name: str, entry: Entry, gone_at: float) -> None:
        """The file is gone: its place is that of its new name, if there is one; else who comes is
        not one too many."""
        renamed = self.newcomers.name_of(entry.owner_uid, file_of(entry))
        renamed = renamed or self._heirs.of_gone(name, entry, gone_at)
        self._versions.make_room(name)
        if renamed is not None:
            self._versions.take_place(renamed, of=name)
        if self.newcomers.read_again(entry.owner_uid):
            await self._reads.let_others(RENAME_PATIENCE_S)

    def _heir_with_place(self, name: str, entry: Entry, gone_at: float) -> str | None:
        """Return who goes on for the vassal: not beside somebody who has come in its place."""
        heir = self._heirs.of_gone(name, entry, gone_at)
        return heir if heir is not None and self._versions.take_place(heir, of=name) else None

    async def _on_lost(self, name: str, directory: str, path: str, home: Home) -> None:
        """A vassal's file was in another directory than is there now: it runs on."""
        self._homes.see(directory, home)
        if await self._is_replaced(name, path):
            return
        self._strays.note_unreadable(directory, OSError(errno.ESTALE, ANOTHER))
        await self._versions.use_what_served(name, path)

    def _drop(self, name: str, path: str) -> None:
        self._strays.forget(path)
        if name in self._entries:
            self._forget(name, path)
            self._versions.drop(name)
        else:
            self._versions.forget_unproven(name)  # it may have been given a place

    # ── another file of the same vassal ──────────────────────────────────────────────

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
                if await self._patience.look_at(path, partial(os.path.lexists, path)):
                    return directory, file_name
        return None

    async def _move(self, name: str, directory: str, file_name: str) -> None:
        """From now on the vassal is described by this file; what runs goes on, or is replaced."""
        known = self._entries.get(name)
        if known is not None:  # else somebody has looked meanwhile, and found none: it is a new one
            moved = Entry(directory=directory, file_name=file_name, owner_uid=known.owner_uid)
            self._entries.enter(name, moved)
            self._strays.forget(moved.path)
        await self._look(name, directory, file_name)

    # ── another name ─────────────────────────────────────────────────────────────────

    async def _hand_over(self, name: str, heir: str, path: str) -> None:
        """The file was renamed: what serves goes on until `heir` does, with all that has served."""
        self._forget(name, path)
        self._fleet.rename(name, heir)
        await self._inherit(name, heir)

    async def _inherit(self, name: str, heir: str) -> None:
        """What served of `name` is what served of `heir`: to go back to, or in its place."""
        self._versions.rename(name, heir)
        entry = self._entries[heir]
        if self._versions.is_pinned(heir):
            await self._refresh(heir)
        elif entry.problems:
            self._fleet.note_problems(heir, entry.problems)
            await self._versions.fall_back(heir, entry.path, entry.version)

    # ── what runs when the emperor starts ────────────────────────────────────────────

    async def presume_all(
        self, masters: Sequence[HeldMaster], keys: Mapping[str, Set[str]]
    ) -> None:
        """These run, and hold these addresses by their names: of those that have no file it may be
        there all the same, or have another name by now."""
        taken = {held.vassal for held in masters}
        for held in masters:
            name = self._fleet.renames.name_of(held.token, held.vassal)
            if name not in self._fleet.wishes:
                self._presume(name, path_in_memo(held.memo))
            if name not in self._fleet.wishes:
                name = self._heirs.of_left(held, keys, taken) or name
                self._fleet.renames.note(held.token, name, held.vassal)
        for held in masters:
            name = self._fleet.renames.name_of(held.token, held.vassal)
            if name != held.vassal and held.vassal not in self._entries:
                await self._inherit(held.vassal, name)

    def _presume(self, name: str, path: str) -> None:
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
        self._entries.enter(name, presumed)
        self._versions.announce(name)
        self._publish("warning", "file_presumed", name, {"path": path})
        self._reads.begin((directory, file_name))
