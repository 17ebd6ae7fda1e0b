"""Who else is there: the vassals by the uid they run as, and by the owner of their file.

Asked for every file that is read, it must not look at all of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from emperor.config.policy import Holder


class _Place(NamedTuple):
    """What a vassal was counted as, and beside how many others of its file's owner."""

    holder: Holder
    owner_uid: int
    others: int


class Neighbours:
    """Every vassal that has a spec, or goes on for one that had."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._owners: dict[str, int] = {}
        self._by_uid: dict[int, dict[str | None, set[str]]] = {}
        self._by_owner: dict[int, set[str]] = {}
        self._left: dict[str, _Place] = {}

    def enter(self, holder: Holder, owner_uid: int) -> None:
        """Remember a vassal; what was known of it is replaced."""
        name = holder.vassal
        self.leave(name)
        self._holders[name], self._owners[name] = holder, owner_uid
        self._by_uid.setdefault(holder.uid, {}).setdefault(holder.customer, set()).add(name)
        self._by_owner.setdefault(owner_uid, set()).add(name)

    def leave(self, name: str) -> None:
        """Forget a vassal; unknown ones are ignored."""
        self._left.pop(name, None)
        holder = self._holders.pop(name, None)
        if holder is not None:
            self._by_uid[holder.uid][holder.customer].discard(name)
            self._by_owner[self._owners.pop(name)].discard(name)

    def make_room(self, name: str) -> None:
        """Count a vassal no more, until it is known who has its place: `take`, or `leave`."""
        holder = self._holders.get(name)
        if holder is not None:
            owner_uid = self._owners[name]
            self.leave(name)
            self._left[name] = _Place(holder, owner_uid, self.count_of(owner_uid, name))

    def has(self, name: str) -> bool:
        """Return whether a vassal is counted."""
        return name in self._holders

    def take(self, name: str, of: str) -> bool:
        """Count `name` in the place of `of`, if it is not counted already; return False if somebody
        has come into that place. Who had none leaves none that could be taken by others."""
        place = self._left.get(of)
        if place is None or self.has(name):
            return True
        if self.count_of(place.owner_uid, name) > place.others:
            return False
        self.enter(place.holder._replace(vassal=name), place.owner_uid)
        return True

    def rivals(self, new: Holder) -> Iterator[Holder]:
        """Yield, for every other customer than that of `new`, one vassal that has its uid."""
        for customer, names in self._by_uid.get(new.uid, {}).items():
            others = (name for name in names if name != new.vassal)
            name = next(others, None) if customer != new.customer else None
            if name is not None:
                yield self._holders[name]

    def count_of(self, owner_uid: int, but: str) -> int:
        """Return how many files of an owner there are besides that of `but`."""
        names = self._by_owner.get(owner_uid, set())
        return len(names) - (but in names)
