"""Who has been granted how many workers: asks `core.allotment`, and remembers the answers.

Everybody whose number of workers follows the load has to ask: what its master sees of memory is
its own, and there is always a host that it must fit into.
"""

from emperor.brain.birth import Spec
from emperor.brain.headroom import Headroom
from emperor.brain.roll import Roll
from emperor.core.allotment import Caps, Grant, Holding, allot
from emperor.core.registry import RUNNING


class Allotments:
    """The numbers of workers that vassals may have, where the load decides between bounds."""

    def __init__(self, roll: Roll, caps: Caps, headroom: Headroom) -> None:
        self._roll = roll
        self._caps = caps
        self._headroom = headroom
        self._granted: dict[str, int] = {}

    def at_start(self, spec: Spec) -> int:
        """Return what a generation that begins now may have; 0 = all that its file says.

        One that replaces another has what that one had.
        """
        workers = spec.settings.workers
        if workers.min >= workers.max:
            self._granted.pop(spec.settings.name, None)
            return 0
        first = max(workers.min, workers.initial)
        grant = self._within_caps(spec, self._granted.get(spec.settings.name, first))
        self._granted[spec.settings.name] = grant.workers
        return grant.workers

    def on_asked(self, spec: Spec, asked: int) -> Grant:
        """Return how many workers the vassal may have from now on. `asked` is its master's word."""
        name = spec.settings.name
        grant = self._within_caps(spec, asked)
        # What it has it keeps, however short memory is by now: only growth is bounded.
        grant = self._headroom.fit(grant, self._granted.get(name, 0), spec)
        self._granted[name] = grant.workers
        return grant

    def _within_caps(self, spec: Spec, asked: int) -> Grant:
        name, workers = spec.settings.name, spec.settings.workers
        others = [
            Holding(other.subject.customer, self._held(other))
            for other in self._running()
            if other.settings.name != name
        ]
        asked = max(workers.min, min(workers.max, asked))
        return allot(asked, workers.min, spec.subject.customer, others, self._caps)

    def restore(self, name: str, granted: int) -> None:
        """An earlier emperor had granted this much; 0 = as many as its file says."""
        if granted > 0:
            self._granted[name] = granted

    def rename(self, old: str, new: str) -> None:
        """What `old` was granted is `new`'s."""
        self.restore(new, self._granted.pop(old, 0))

    def _running(self) -> list[Spec]:
        wishes = self._roll.wishes
        return [
            wish.spec
            for name, vassal in self._roll.vassals.items()
            if vassal.state in RUNNING
            and (wish := wishes.get(name)) is not None
            and wish.spec is not None
        ]

    def _held(self, spec: Spec) -> int:
        """What runs without having asked may have all that its file says."""
        workers = spec.settings.workers
        return min(workers.max, self._granted.get(spec.settings.name, workers.max))
