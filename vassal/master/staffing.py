"""Has as many workers as the load asks for, the emperor grants, and people say; tells when idle."""

import time
from collections.abc import Callable

from vassal.master.crew import Crew, Role, WorkerState
from vassal.master.ledger import Ledger
from vassal.master.scaler import Scaler
from vassal.messages import AskForWorkers, Idle, Message


class Staffing:
    """Sets how many workers are wanted of what serves; others fork and stop them."""

    def __init__(self, ledger: Ledger, tell: Callable[[Message], None]) -> None:
        self._ledger = ledger
        self._tell = tell

    def look(self) -> None:
        """Let the number of workers follow the load, and tell if no request has come for long."""
        serving = self._ledger.serving()
        if serving is not None and serving.wanted:
            self._scale(serving)
            self._tell_if_idle(serving)

    def next_looks(self) -> list[float]:
        """Return when to look again, in monotonic seconds; none = not before something happens."""
        serving = self._ledger.serving()
        if serving is None or not serving.wanted:
            return []
        scale_at = self._ledger.scalers[serving.number].look_at
        idle_at = self._ledger.idlers[serving.number].look_at
        return [when for when in (scale_at, idle_at) if when is not None]

    def grant(self, workers: int, why: str) -> None:
        """Have no more workers than this, and as many as are needed up to it."""
        for number, scaler in self._ledger.scalers.items():
            if scaler.granted is not None:
                scaler.grant(workers, why)
                crew = self._ledger.crews[number]
                if crew.role is Role.SERVING:
                    self._follow(crew, scaler)

    def pause(self) -> str:
        """Let nobody accept, and the next time everybody again; return what came of it.

        What runs is finished; connections wait in the queue. A new generation serves.
        """
        serving = self._ledger.serving()
        if serving is None or self._ledger.building() is not None:
            return "a new generation is being built: say it again when it serves"
        wanted = 0 if serving.wanted else self._ledger.scalers[serving.number].scale.wanted
        self._ledger.set_crew(serving.number, wanted=wanted)
        return "resumed" if wanted else "paused: connections wait"

    def change(self, step: int, by: str) -> str:
        """Have so many workers more for now; return what came of it."""
        serving = self._ledger.serving()
        if serving is None or not serving.wanted:
            return "it is paused, or does not serve yet"
        scaler = self._ledger.scalers[serving.number]
        if not scaler.nudge(step, f"somebody said so: {by}", time.monotonic()):
            return "the number of workers is fixed: write cheaper, or workers = { min, max }"
        self._ask_and_follow(serving, scaler)
        return f"{scaler.scale.wanted} workers"

    def _scale(self, crew: Crew) -> None:
        scaler = self._ledger.scalers[crew.number]
        now = time.monotonic()
        if scaler.look_at is None or now < scaler.look_at:
            return
        ready = sum(
            worker.state is WorkerState.READY for worker in self._ledger.workers_of(crew.number)
        )
        scaler.look(ready, now)
        self._ask_and_follow(crew, scaler)

    def _ask_and_follow(self, crew: Crew, scaler: Scaler) -> None:
        if scaler.asks_for is not None:
            self._tell(AskForWorkers(workers=scaler.asks_for))
        self._follow(crew, scaler)

    def _follow(self, crew: Crew, scaler: Scaler) -> None:
        if crew.wanted and scaler.scale.wanted != crew.wanted:
            self._ledger.set_crew(crew.number, wanted=scaler.scale.wanted)
            self._ledger.output.emit(
                f"event=scaled workers={scaler.scale.wanted} before={crew.wanted} "
                f"reason={scaler.scale.why!r}"
            )

    def _tell_if_idle(self, crew: Crew) -> None:
        idler = self._ledger.idlers[crew.number]
        now = time.monotonic()
        if idler.look_at is None or now < idler.look_at:
            return
        is_busy = bool(self._ledger.forces[crew.number].busy_slots())
        if idler.look(self._ledger.totals().requests, is_busy, now):
            self._tell(Idle())
