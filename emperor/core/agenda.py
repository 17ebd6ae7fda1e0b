"""Decides at whom to look: a look at all of ten thousand, because one woke, would take longer
than that one's start. Pure.

A vassal is looked at when something was heard of it, when its time has come, and when there is
room for the start that it waits for. Whoever is forgotten here is found when all are looked
at, which happens once a minute: a lost event costs latency, never correctness.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from emperor.core.reconcile import is_building, next_look
from emperor.core.registry import Vassal


class Agenda:
    """Whom the next look is at. At most `concurrency` masters are being built at a time.

    Times are monotonic seconds.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._heard_of: set[str] = set()
        self._waiting: dict[str, None] = {}  # for room, the longest first
        self._building: set[str] = set()
        self._due: dict[str, float] = {}
        self._aside: dict[str, float] = {}

    def note(self, name: str) -> None:
        """Something was heard of a vassal."""
        self._heard_of.add(name)

    def note_all(self, names: Iterable[str]) -> None:
        """Look at all of these."""
        self._heard_of.update(names)

    def set_aside(self, name: str, until: float) -> None:
        """Do not look at a vassal until then, whatever is heard of it."""
        self._aside[name] = until

    @property
    def room(self) -> int:
        """How many more masters may be begun now."""
        return max(0, self._concurrency - len(self._building))

    def waits(self, name: str) -> bool:
        """Return whether a vassal waits for room."""
        return name in self._waiting

    def take(self, now: float, actual: Mapping[str, Vassal]) -> list[str]:
        """Return whom to look at now, in order; `actual` are the records of all."""
        names, self._heard_of = self._heard_of, set()
        # First of all: whoever has become ready makes room for one that waits.
        self._building -= {name for name in names if not _is_building(actual.get(name))}
        names.update(name for name, at in self._due.items() if at <= now)
        names.update(islice(self._waiting, self.room))
        self._aside = {name: until for name, until in self._aside.items() if until > now}
        return sorted(names - self._aside.keys())

    def looked_at(self, name: str, vassal: Vassal | None, now: float, waits: bool) -> None:
        """Remember what one of those is now; None = it was forgotten. `waits`: for room."""
        self._due.pop(name, None)
        if not waits:
            self._waiting.pop(name, None)
        else:
            self._waiting.setdefault(name)
        if _is_building(vassal):
            self._building.add(name)
        else:
            self._building.discard(name)
        at = self._aside.get(name)
        if at is None and vassal is not None:
            # Whoever waits for room does so from a moment on that has passed.
            at = next_look(vassal, now) if waits else next_look(vassal)
        if at is not None:
            self._due[name] = at

    def next_look(self) -> float | None:
        """Return when time alone can change a decision; None = never."""
        return min(self._due.values(), default=None)


def _is_building(vassal: Vassal | None) -> bool:
    return vassal is not None and is_building(vassal)
