"""Which report follows from a change of which directory entry. Pure bookkeeping."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from emperor.watch.events import WatchEvent
from emperor.watch.trail import Entry


class Interests:
    """A table of events and the directory entries that they depend on."""

    def __init__(self) -> None:
        self._entries: dict[WatchEvent, frozenset[Entry]] = {}
        self._events: dict[str, dict[str, set[WatchEvent]]] = defaultdict(dict)

    def __iter__(self) -> Iterator[WatchEvent]:
        return iter(tuple(self._entries))

    def __contains__(self, event: WatchEvent) -> bool:
        return event in self._entries

    def set(self, event: WatchEvent, entries: Iterable[Entry]) -> frozenset[str]:
        """Let `event` depend on these entries only; return the directories it left."""
        old = self._entries.pop(event, frozenset())
        new = frozenset(entries)
        for entry in old - new:
            self._remove(event, entry)
        for entry in new:
            self._events[entry.directory].setdefault(entry.name, set()).add(event)
        if new:
            self._entries[event] = new
        return frozenset(e.directory for e in old) - frozenset(e.directory for e in new)

    def at(self, directory: str, name: str) -> tuple[WatchEvent, ...]:
        """Return the events that follow from a change of this entry."""
        return tuple(self._events.get(directory, {}).get(name, ()))

    def within(self, directory: str) -> frozenset[WatchEvent]:
        """Return the events that depend on any entry of this directory."""
        return frozenset().union(*self._events.get(directory, {}).values())

    def needs(self, directory: str) -> bool:
        """Return whether any event depends on this directory."""
        return directory in self._events

    def _remove(self, event: WatchEvent, entry: Entry) -> None:
        names = self._events[entry.directory]
        names[entry.name].discard(event)
        if not names[entry.name]:
            del names[entry.name]
        if not names:
            del self._events[entry.directory]
