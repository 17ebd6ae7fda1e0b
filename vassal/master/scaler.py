"""Scaling's eyes: looks at one generation's load when something can have changed.

What follows from it is decided in `scaling`. Where the number of workers is fixed, or nothing
runs and they are as few as allowed, it never looks.
"""

import time

from vassal.master import scaling
from vassal.master.scaling import Range, Sample
from vassal.master.workforce import Workforce
from vassal.runtime import scoreboard
from vassal.runtime.held_memory import HeldMemory


class Scaler:
    """Watches one generation's load. `scale` is the last decision. `before` is how many
    workers the generation before it had; `cgroup`: its memory, None = nobody counts it."""

    def __init__(self, workforce: Workforce, cgroup: HeldMemory | None, before: int | None) -> None:
        generation = workforce.generation
        self._workforce = workforce
        self._cgroup = cgroup
        self._bounds = Range(
            generation.workers_min or generation.workers,
            generation.workers,
            generation.workers_granted or None,
            generation.workers_initial,
            generation.workers_step,
        )
        self.scale = scaling.begin(self._bounds, before, time.monotonic())
        self.look_at: float | None = None if self._bounds.is_fixed else 0.0
        """When to look next, in monotonic seconds; None = when a worker says so."""

    @property
    def granted(self) -> int | None:
        """How many workers the emperor lets it have; None = as many as the file says."""
        return self._bounds.granted

    @property
    def asks_for(self) -> int | None:
        """The number to ask the emperor for, after a look; None = nothing is to be asked."""
        granted = self._bounds.granted
        return None if granted in (None, self.scale.asked) else self.scale.asked

    def grant(self, workers: int, why: str) -> None:
        """Have no more than this from now on; `why`, if it is less than was asked for."""
        self._bounds = self._bounds._replace(granted=workers)
        self.scale = scaling.grant(self.scale, self._bounds, why)

    def nudge(self, step: int, why: str, now: float) -> bool:
        """Want `step` workers more; return False where their number is fixed."""
        if self._bounds.is_fixed:
            return False
        self.scale = scaling.nudge(self.scale, self._bounds, step, why, now)
        self.look_at = self.scale.look_at
        return True

    def wake(self) -> None:
        """A request began after a rest: look at the next turn."""
        if not self._bounds.is_fixed:
            self.look_at = 0.0

    def look(self, ready: int, now: float) -> None:
        """Decide anew, with `ready` workers there, and set `look_at`."""
        sample = self._sample(ready)
        self.scale = scaling.review(self.scale, self._bounds, sample, now)
        self.look_at = self.scale.look_at
        if not sample.busy:
            # The next request shall wake us, whenever it begins.
            scoreboard.raise_wake_flag(self._workforce.memory)
            if self._workforce.busy_slots():
                self.look_at = now + scaling.LOOK_S

    def _sample(self, ready: int) -> Sample:
        generation = self._workforce.generation
        busy = len(self._workforce.busy_slots())
        return Sample(
            workers=ready,
            busy=busy,
            threads=generation.threads,
            waiting=self._workforce.waiting() if busy else 0,
            memory_bytes=self._memory(generation.memory_max_bytes),
            memory_max_bytes=generation.memory_max_bytes,
        )

    def _memory(self, max_bytes: int) -> int:
        if self._cgroup is None or not max_bytes:
            return 0
        try:
            return self._cgroup.held(at_least=max_bytes // 2)
        except (OSError, ValueError):
            return 0  # the cgroup is gone: so are we, soon

    def story(self) -> str:
        """Return why there are so many workers; empty where their number is fixed."""
        if self._bounds.is_fixed:
            return ""
        least, most = self._bounds.least, self._bounds.most
        return f"{self.scale.wanted} of {least}-{most} workers: {self.scale.why}"
