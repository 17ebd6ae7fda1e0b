"""Coalesces bursts: a change is reported once it was quiet for a moment. Pure.

Times are monotonic seconds. A report waits for QUIET_S without another one like it, but
never longer than LONGEST_S, so that a file that is written all the time is still seen.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from emperor.watch.events import Changed, Rescan, WatchEvent

QUIET_S = 0.005
LONGEST_S = 0.050
SETTLE_S = 1.0
"""A new, plain file is being written: its close tells when it is complete. Some ways to
make a file (O_TMPFILE and a link) have no close, so look after this long anyhow."""

NAMES_MAX = 1000
"""More pending names than this in one directory become a single Rescan."""


@dataclass
class _Pending:
    due: float
    latest: float


@dataclass
class Debounce:
    """The reports that are waiting."""

    _pending: dict[WatchEvent, _Pending] = field(default_factory=dict)
    _names: dict[str, set[Changed]] = field(default_factory=lambda: defaultdict(set))

    def add(self, event: WatchEvent, now: float, *, settle: bool = False) -> float:
        """Note an event; return when something is due at the latest."""
        if isinstance(event, Changed):
            names = self._names[event.directory]
            names.add(event)
            if len(names) > NAMES_MAX:
                names.discard(event)
                event, settle = Rescan(event.directory), False
        if isinstance(event, Rescan):
            self._drop_names(event.directory)
        old = self._pending.get(event)
        if settle:
            new = old or _Pending(now + SETTLE_S, now + SETTLE_S)
        else:
            latest = min(now + LONGEST_S, old.latest) if old else now + LONGEST_S
            new = _Pending(min(now + QUIET_S, latest), latest)
        self._pending[event] = new
        return new.due

    def take_due(self, now: float) -> list[WatchEvent]:
        """Remove and return what is due, in the order of arrival."""
        due = [event for event, pending in self._pending.items() if pending.due <= now]
        for event in due:
            del self._pending[event]
            if isinstance(event, Changed):
                self._names[event.directory].discard(event)
        return due

    def next_due(self) -> float | None:
        """Return when to call `take_due` next; None = nothing waits."""
        return min((pending.due for pending in self._pending.values()), default=None)

    def _drop_names(self, directory: str) -> None:
        for event in self._names.pop(directory, ()):
            del self._pending[event]
