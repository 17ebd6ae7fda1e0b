"""Finds the new name of a vassal whose file is gone, among those that have come just now."""

from collections.abc import Iterable, Mapping, Set

from emperor.brain.entries import Entry
from emperor.brain.fleet import Fleet
from emperor.brain.history import History, Version
from emperor.brain.memo import uid_in_memo
from emperor.core.heirs import Comer, Gone, heir_of
from emperor.core.registry import RUNNING
from vassal.messages import HeldMaster

RENAME_WITHIN_S = 1.0
"""A file is a new name of another only if it came at most this long before that one went: who
has waited for an address longer than this is somebody else."""


class Heirs:
    """Looks at a fleet and the `entries` of its files, which stay the caller's."""

    def __init__(self, fleet: Fleet, entries: Mapping[str, Entry], history: History) -> None:
        self._fleet = fleet
        self._entries = entries
        self._history = history

    def of_gone(self, name: str, entry: Entry, at: float) -> str | None:
        """Return who goes on for `name`, whose file, `entry`, was there no more `at` a time in
        monotonic seconds; None = nobody. What does not serve has nothing that could go on."""
        vassal, wish = self._fleet.vassals.get(name), self._fleet.wishes.get(name)
        if vassal is None or vassal.state not in RUNNING or vassal.serving is None:
            return None
        if wish is None or not wish.run:
            return None
        listeners = self._fleet.listeners
        gone = Gone(
            entry.owner_uid,
            file_of(entry),
            listeners.uids_of(name),
            listeners.keys_of(name),
        )
        return heir_of(gone, self._comers(gone.owner_uid, at - RENAME_WITHIN_S))

    def of_left(
        self, held: HeldMaster, keys: Mapping[str, Set[str]], taken: Set[str]
    ) -> str | None:
        """Return the same for a master that an earlier emperor left: what served of its file is
        known from the history, `keys` are those of addresses by who held them. `taken` are the
        names of all that were left."""
        versions = self._history.versions(held.vassal)
        if not versions:
            return None
        held_keys = keys.get(held.vassal, frozenset())
        last = versions[0]
        gone = Gone(last.owner_uid, file_of(last), {uid_in_memo(held.memo)}, held_keys)
        comers = self._comers(gone.owner_uid, 0.0)
        return heir_of(gone, (one for one in comers if one.name not in taken))

    def _comers(self, owner_uid: int, since: float) -> Iterable[Comer]:
        for name, entry in self._entries.items():
            if entry.owner_uid != owner_uid or entry.since < since:
                continue
            vassal, wish = self._fleet.vassals.get(name), self._fleet.wishes.get(name)
            if wish is None or not wish.run:
                continue
            if vassal is not None and (vassal.token or vassal.successor or vassal.retiring):
                continue
            spec = wish.spec
            addresses = spec.settings.addresses if spec is not None else ()
            yield Comer(
                name=name,
                owner_uid=owner_uid,
                file=file_of(entry),
                uid=spec.identity.uid if spec is not None else None,
                keys={address.key for address in addresses},
            )


def file_of(one: Entry | Version) -> str:
    """Return what tells a file from others, whatever its name; "" = it is not known."""
    return f"{one.ino}:{one.digest}" if one.ino and one.digest else ""
