"""Remembers masters that died until an emperor is known to have heard of it. Pure.

Every such death is told with a Ping behind it: what answers that has read the death before. An
emperor that dies meanwhile leaves it to the next one, as part of the inventory.
"""

from collections import deque
from collections.abc import Iterable

from vassal.messages import MasterExited, MasterLost

DEATHS_MAX = 1000
"""Of more that die with their emperor the first are not told of."""


class Deaths:
    """Counts the `pings` of one emperor and its `pongs`, and keeps what lies before those that it
    has not answered.

    `before` are those that an earlier image of this process had kept.
    """

    def __init__(self, before: Iterable[MasterExited] = ()) -> None:
        self._unheard = deque(((0, death) for death in before), maxlen=DEATHS_MAX)
        self.pings = 0
        self.pongs = 0

    @property
    def unheard(self) -> tuple[MasterExited, ...]:
        """What the next emperor is to be told of."""
        return tuple(death for _, death in self._unheard)

    def begin(self) -> tuple[MasterLost, ...]:
        """Another emperor starts: return what it has to be told, with a ping behind it."""
        self.pings, self.pongs = 1, 0
        unheard = self.unheard
        self._unheard.clear()
        self._unheard.extend((1, death) for death in unheard)
        return tuple(
            MasterLost(
                vassal=death.vassal,
                pid=death.pid,
                exit_status=death.exit_status,
                signal=death.signal,
                token=death.token,
            )
            for death in unheard
        )

    def pinged(self) -> None:
        """The emperor was asked for a sign of life."""
        self.pings += 1

    def note(self, death: MasterExited) -> None:
        """A master died, and the emperor is told, with a ping behind it."""
        self.pinged()
        self._unheard.append((self.pings, death))

    def answered(self) -> None:
        """The emperor gave a sign of life."""
        self.pongs += 1
        while self._unheard and self._unheard[0][0] <= self.pongs:
            self._unheard.popleft()
