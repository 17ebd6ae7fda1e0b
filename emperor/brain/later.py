"""Looks again at files that name what is not there yet: a folder, an account, an interpreter."""

import asyncio
from collections.abc import Callable

FIRST_S = 2.0
LONGEST_S = 60.0


class Later:
    """Calls `look(directory, file_name)`, ever more seldom, until the vassal is forgotten here."""

    def __init__(self, look: Callable[[str, str], None]) -> None:
        self._look = look
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._pauses: dict[str, float] = {}

    def again(self, vassal: str, directory: str, file_name: str) -> None:
        """Look at the file of `vassal` after a while, unless that is to happen anyway."""
        timer = self._timers.get(vassal)
        loop = asyncio.get_running_loop()
        if timer is not None and not timer.cancelled() and timer.when() > loop.time():
            return
        pause_s = self._pauses.get(vassal, FIRST_S)
        self._pauses[vassal] = min(LONGEST_S, 2 * pause_s)
        self._timers[vassal] = loop.call_later(pause_s, self._look, directory, file_name)

    def forget(self, vassal: str) -> None:
        """Its file can be used, or is gone."""
        self._pauses.pop(vassal, None)
        timer = self._timers.pop(vassal, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Look no more."""
        for vassal in list(self._timers):
            self.forget(vassal)
