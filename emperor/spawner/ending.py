"""Decides how a spawner ends: when all has been stopped, by force, or at once. Pure.

Times are monotonic seconds.
"""

from enum import Enum

ONE_WISH_S = 0.1
"""Some send a signal to the process and to its group: nobody types so fast twice."""

FORCE_S = 5.0
"""Whom everything is killed for, the emperor has so long to remove what is left of it."""

FORCED_STATUS = 1

DEATHS_MAX = 3
"""So many emperors may die over a stop; who goes on cannot stop anything either."""


class SpawnerState(Enum):
    """What the spawner is about."""

    RUNNING = "running"
    TOLD = "told"  # by the emperor that it stops everything: no signal has asked for that yet
    STOPPING = "stopping"  # the emperor was asked to stop everything
    FORCED = "forced"  # who does not end is killed; the emperor removes what is left
    EXITING = "exiting"  # it is done, or somebody would not wait


_ASKED = {
    SpawnerState.RUNNING: SpawnerState.STOPPING,
    SpawnerState.TOLD: SpawnerState.STOPPING,
    SpawnerState.STOPPING: SpawnerState.FORCED,
    SpawnerState.FORCED: SpawnerState.EXITING,
    SpawnerState.EXITING: SpawnerState.EXITING,
}


class Ending:
    """Of one spawner."""

    def __init__(self) -> None:
        self.state = SpawnerState.RUNNING
        self.status = 0
        self._asked_at = 0.0
        self._deaths = 0
        self.look_at: float | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the emperor is to stop everything."""
        return self.state not in (SpawnerState.RUNNING, SpawnerState.EXITING)

    def told(self) -> None:
        """The emperor stops everything because of something else than a signal."""
        if self.state is SpawnerState.RUNNING:
            self.state = SpawnerState.TOLD

    def asked(self, now: float) -> SpawnerState | None:
        """Somebody wants it to end; return the state that this leads to, None = no other one."""
        before = self.state
        if (
            before in (SpawnerState.RUNNING, SpawnerState.TOLD)
            or now - self._asked_at >= ONE_WISH_S
        ):
            self.state = _ASKED[before]
        if self.state is before:
            return None
        self._asked_at = now
        if self.state is SpawnerState.FORCED:
            self.status = FORCED_STATUS
            self.look_at = now + FORCE_S
        return self.state

    def emperor_died(self) -> bool:
        """An emperor died; return True if it was one too many over a stop: then this ends it."""
        if not self.is_wanted:
            return False
        self._deaths += 1
        if self._deaths == DEATHS_MAX:
            self.done(FORCED_STATUS)
        return self.state is SpawnerState.EXITING

    def done(self, status: int) -> None:
        """The emperor has stopped everything, or cannot begin."""
        self.state = SpawnerState.EXITING
        self.status = self.status or status

    def look(self, now: float) -> None:
        """Wait no longer for who was to hurry."""
        if self.state is SpawnerState.FORCED and self.look_at is not None and now >= self.look_at:
            self.state = SpawnerState.EXITING
