"""Remembers across boots which vassal had which address, and which of several files it had.

Else, of two that name one address, the one that starts first would have it: a tenant could take a
neighbour's clients by a file that is refused today and comes first tomorrow. And of two files that
describe one vassal, the first by name.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from emperor.brain.history import write_whole

PAUSE_S = 1.0
"""Ten thousand vassals that start are not ten thousand writes."""


class Holders:
    """Kept in a file of the state directory, which is root's alone. `on_problem` is told of what
    could not be kept; `current` gives the vassals by the keys that they hold, and by the path of
    the file that is used where there are several."""

    def __init__(
        self,
        state_dir: str,
        current: Callable[[], Mapping[str, str]],
        on_problem: Callable[[str], None],
    ) -> None:
        self._path = Path(state_dir, ".holders")  # no vassal has this name
        self._current = current
        self._on_problem = on_problem
        self._kept: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def load(self) -> dict[str, str]:
        """Return who held what when it was kept last; nothing, if that cannot be read."""
        try:
            self._kept = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            self._kept = {}
        except (OSError, msgspec.MsgspecError) as error:
            self._on_problem(f"{self._path}: {error}")
        return self._kept

    def note(self) -> None:
        """Something may have changed: keep it soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self.keep)

    def keep(self) -> None:
        """Keep what is so now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        current = dict(self._current())
        if current == self._kept:
            return
        try:
            if current:
                write_whole(self._path, current)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            self._on_problem(f"{self._path}: {error.strerror}")
            return
        self._kept = current
