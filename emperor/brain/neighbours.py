"""Who else is there: the vassals by the uid they run as, and by the owner of their file.

Asked for every file that is read, it must not look at all of them.
"""

from collections.abc import Iterator

from emperor.config.policy import Holder


class Neighbours:
    """Every vassal that has a spec."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._owners: dict[str, int] = {}
        self._by_uid: dict[int, dict[str | None, set[str]]] = {}
        self._by_owner: dict[int, set[str]] = {}

    def enter(self, holder: Holder, owner_uid: int) -> None:
        """Remember a vassal; what was known of it is replaced."""
        name = holder.vassal
        self.leave(name)
        self._holders[name], self._owners[name] = holder, owner_uid
        self._by_uid.setdefault(holder.uid, {}).setdefault(holder.customer, set()).add(name)
        self._by_owner.setdefault(owner_uid, set()).add(name)

    def leave(self, name: str) -> None:
        """Forget a vassal; unknown ones are ignored."""
        holder = self._holders.pop(name, None)
        if holder is not None:
            self._by_uid[holder.uid][holder.customer].discard(name)
            self._by_owner[self._owners.pop(name)].discard(name)

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
