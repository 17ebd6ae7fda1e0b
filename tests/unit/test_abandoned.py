"""An emperor that was killed and does not end, as a file system does not answer it."""

import pytest

from emperor.spawner.ending import DEATHS_MAX, FORCED_STATUS, Ending, SpawnerState
from emperor.spawner.spawner import Spawner


class Quiet(Spawner):
    """A spawner that starts nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._log = self  # type: ignore[assignment]
        self._ending = Ending()
        self._abandoned = set()
        self._emperor_pid = self._restart_wanted_of = self._pauses = 0
        self._started_at = 0.0
        self._start_at = None

    def error(self, event: str, **_: object) -> None:
        self.said.append(event)

    def abandon(self, pid: int) -> None:
        self._emperor_pid, self._start_at = pid, None
        self._abandon_emperor()


def test_the_next_one_is_started() -> None:
    spawner = Quiet()
    spawner.abandon(7)
    assert spawner.said == ["emperor_not_reaped"]
    assert spawner._start_at is not None
    assert (spawner._emperor_pid, spawner._abandoned) == (0, {7})


@pytest.mark.parametrize("is_told", [True, False])
def test_over_a_stop_it_counts_as_dead(is_told: bool) -> None:
    spawner = Quiet()
    if is_told:
        spawner._ending.told()
    for pid in range(1, DEATHS_MAX + 1):
        spawner.abandon(pid)
    assert ("stop_forced" in spawner.said) is is_told
    assert (spawner._ending.state is SpawnerState.EXITING) is is_told
    assert spawner._ending.status == (FORCED_STATUS if is_told else 0)
    assert (spawner._start_at is None) is is_told
