"""Remembers that somebody wants all code and configuration anew, until an emperor has said whether
it makes way for that. Pure.

Like a master's death it is told with a Ping behind it: what answers that has read the wish before.
"""


class Renewal:
    """Of one spawner. Whoever lives decides; if nobody does, nothing is in the way."""

    def __init__(self) -> None:
        self._ping: int | None = None  # the one behind the wish that was told last

    @property
    def is_wanted(self) -> bool:
        """Whether nobody has decided yet."""
        return self._ping is not None

    def ask(self, ping: int) -> None:
        """It was asked for; the emperor, if there is one, is told, with this ping behind it."""
        self._ping = ping

    def answered(self, pongs: int) -> None:
        """The emperor has answered so many pings."""
        if self._ping is not None and self._ping <= pongs:
            self._ping = None

    def decided(self) -> None:
        """It is done, or refused."""
        self._ping = None
