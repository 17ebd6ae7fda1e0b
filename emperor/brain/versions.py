"""Which version of a vassal's file is wanted: that of the file, the one that somebody went back
to, or what served last where the file is of no use."""

import time
from collections.abc import Set

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.fleet import Fleet
from emperor.brain.history import History, Pin, Version, choose_back
from emperor.brain.roll import Publish
from emperor.brain.version_reader import Refusal, VersionReader
from emperor.brain.wishes import EVICTED, Wish
from emperor.status import NotPossible


class Versions:
    """Tells the fleet what is wanted, and the history what of it served. `stopped` are the names
    of the vassals that were stopped by hand before this emperor began."""

    def __init__(
        self,
        reader: VersionReader,
        fleet: Fleet,
        history: History,
        publish: Publish,
        stopped: frozenset[str],
    ) -> None:
        self._reader = reader
        self._fleet = fleet
        self._history = history
        self._publish = publish
        self._stopped = set(stopped)
        self._unproven: dict[str, Version] = {}

    # ── what is wanted ───────────────────────────────────────────────────────────────

    def announce(self, name: str) -> None:
        """The vassal has a file, of which no version is known yet."""
        if name not in self._fleet.wishes:
            self._fleet.wish(name, self._first_wish(name))

    def _first_wish(self, name: str) -> Wish:
        """Return the wish for a file: that its vassal had been stopped counts once, and not for
        another one that gets the name later."""
        wish = Wish(run=name not in self._stopped)
        self._stopped.discard(name)
        return wish

    @property
    def unseen_stopped(self) -> Set[str]:
        """Who had been stopped before this brain, and has not been seen since."""
        return self._stopped

    def forget_unseen(self) -> None:
        """All files were seen: those of others are gone, and with them that they were stopped."""
        self._stopped.clear()

    def effective(self, name: str, of_file: Version) -> Version:
        """Return which version counts: a content that nobody went back from counts again."""
        pin = self._history.pin_of(name)
        if pin is None:
            return of_file
        if pin.instead_of != of_file.digest:
            self._history.unpin(name)
            return of_file
        return pin.version

    async def interpret(self, name: str, path: str, version: Version) -> Spec | Refusal:
        """Return what the file at `path` says if this version of it counts, which may have been
        written under another name, in other words."""
        spec = await self._reader.read(name, version.path or path, version)
        return spec if isinstance(spec, Refusal) else msgspec.structs.replace(spec, path=path)

    def adopt(self, name: str, spec: Spec, version: Version) -> None:
        """From now on this is what is wanted; whether it serves is to be seen."""
        self._unproven[name] = version
        wish = self._fleet.wishes.get(name) or self._first_wish(name)
        if wish.why_not == EVICTED:
            wish = Wish()
        self._fleet.wish(name, msgspec.structs.replace(wish, spec=spec))

    def evict(self, name: str) -> None:
        """What runs of a file does so in the name of an owner who does not have it any more."""
        self._history.forget(name)
        wish = self._fleet.wishes.get(name)
        if wish is not None and wish.run:
            evicted = msgspec.structs.replace(wish, spec=None, run=False, why_not=EVICTED)
            self._fleet.wish(name, evicted)
            self._fleet.refuse_clients(name)

    def make_room(self, name: str) -> None:
        """The file is gone: whoever comes is not one too many beside it."""
        self._reader.neighbours.make_room(name)

    def has_place(self, name: str) -> bool:
        """Return whether the vassal counts as one of its owner's, whatever its file says."""
        return self._reader.neighbours.has(name)

    def take_place(self, name: str, of: str) -> bool:
        """Let the vassal count as one of its owner's instead of `of`, which has made room; return
        False if somebody has come into that."""
        return self._reader.neighbours.take(name, of)

    def forget_unproven(self, name: str) -> None:
        """The file is gone: what was wanted last comes to nothing."""
        self._reader.forget(name)
        self._unproven.pop(name, None)

    def drop(self, name: str) -> None:
        """Nothing is wanted of the vassal any more."""
        self._history.forget(name)
        self._fleet.wish(name, None)

    # ── what served ──────────────────────────────────────────────────────────────────

    def on_served(self, name: str) -> None:
        """What is wanted of the vassal serves: its version is one to come back to."""
        version = self._unproven.pop(name, None)
        if version is not None:
            at = version.at or time.time()
            self._history.served(name, msgspec.structs.replace(version, at=at))

    def is_pinned(self, name: str) -> bool:
        """Return whether somebody went back to a version that served."""
        return self._history.pin_of(name) is not None

    def rolled_back_to(self, name: str) -> float | None:
        """Return when the version first served that a person went back to; None = no one did."""
        pin = self._history.pin_of(name)
        return pin.version.at if pin is not None else None

    def go_back(self, name: str, of_file: Version) -> Version:
        """Let the last version count that served before the one in effect, and return it.

        From there once more leads back to the file's own. Raises NotPossible.
        """
        pin = self._history.pin_of(name)
        in_effect = pin.version if pin is not None else of_file
        version = choose_back(self._history.versions(name), in_effect)
        if version is None:
            raise NotPossible(f"no other version of {name} has served: write the file anew")
        if version.is_same(of_file):
            self._history.unpin(name)
        else:
            self._history.pin(name, Pin(version=version, instead_of=of_file.digest))
        return version

    async def fall_back(self, name: str, path: str, refused: Version) -> None:
        """A file was broken while nobody looked: what served last of it serves again."""
        if self._has_spec(name):
            return
        last = choose_back(self._history.versions(name), refused)
        if last is not None and last.owner_uid == refused.owner_uid:
            await self._use_last_good(name, path, last)

    async def use_what_served(self, name: str, path: str) -> None:
        """An earlier brain read the file, which cannot be read now: without a spec nobody could
        start the vassal again."""
        wish, pin = self._fleet.wishes.get(name), self._history.pin_of(name)
        if wish is None or wish.spec is not None:
            return
        versions = [pin.version] if pin is not None else self._history.versions(name)
        if versions:
            await self._use_last_good(name, path, versions[0])

    async def _use_last_good(self, name: str, path: str, version: Version) -> None:
        spec = await self.interpret(name, path, version)
        if not isinstance(spec, Refusal):
            self._publish("warning", "last_good_used", name, {"path": path})
            self.adopt(name, spec, version)

    def _has_spec(self, name: str) -> bool:
        wish = self._fleet.wishes.get(name)
        return wish is not None and wish.spec is not None

    def rename(self, name: str, heir: str) -> None:
        """What served of `name` is what served of `heir`."""
        self._history.rename(name, heir)
