"""The master's books: generations, workers, counters, and what went wrong last.

Every other part of the master reads and writes here; nothing here acts.
"""

import time
from collections import Counter

import msgspec

from vassal.code import DIGEST
from vassal.failure import Failure
from vassal.master.crew import Crew, Role, Worker, is_hopeless
from vassal.master.guard import Guard
from vassal.master.idler import Idler
from vassal.master.output import Output
from vassal.master.scaler import Scaler
from vassal.master.workforce import Workforce, describe
from vassal.messages import Description, Totals

DESCRIBED_MAX = 256
"""Rows of a description: all of them fit a packet."""

PAUSED = "paused: letter p or SIGTSTP again, or a reload, lets it go on"


class Ledger:
    """All that a master knows of itself, keyed by a generation's number."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.crews: dict[int, Crew] = {}
        self.forces: dict[int, Workforce] = {}
        self.guards: dict[int, Guard] = {}
        self.scalers: dict[int, Scaler] = {}
        self.idlers: dict[int, Idler] = {}
        self.workers: dict[tuple[int, int], Worker] = {}
        self.killed_for: dict[tuple[int, int], str] = {}
        self.harakiris: dict[int, int] = {}
        self.births: Counter[int] = Counter()  # how often a worker's number was forked
        self.unsupported: tuple[str, ...] = ()
        self._complaints: dict[str, str] = {}  # by key
        self.newest = 0
        self._born_at = self._changed_at = time.monotonic()
        self._totals = Totals()
        self._last_failure: Failure | None = None

    def workers_of(self, number: int) -> list[Worker]:
        """Return the workers of one generation."""
        return [worker for worker in self.workers.values() if worker.generation == number]

    def serving(self) -> Crew | None:
        """Return the generation that serves."""
        return self._in_role(Role.SERVING)

    def building(self) -> Crew | None:
        """Return the generation that is being built."""
        return self._in_role(Role.BUILDING)

    def standby(self) -> Crew | None:
        """Return the generation that serves again if the one that serves does not settle."""
        return self._in_role(Role.STANDBY)

    def settle_s(self, now: float) -> float | None:
        """Return how much longer what serves may give its place back to another master, None =
        it does not any more."""
        serving = self.serving()
        if serving is None or serving.settled_at is None or self.standby() is not None:
            return None
        return max(0.0, serving.settled_at - now)

    def _under_way(self) -> int:
        """Return the number of the generation that may come to nothing while another serves on."""
        building, serving = self.building(), self.serving()
        if building is not None:
            return building.number
        settles = serving is not None and serving.settled_at is not None
        return serving.number if settles and serving is not None and self.standby() else 0

    def _in_role(self, role: Role) -> Crew | None:
        return next((crew for crew in self.crews.values() if crew.role is role), None)

    def set_crew(self, number: int, **changes: object) -> None:
        """Change fields of one generation's record."""
        self.crews[number] = msgspec.structs.replace(self.crews[number], **changes)

    def set_worker(self, key: tuple[int, int], **changes: object) -> None:
        """Change fields of one worker's record; `key` is (generation, worker number)."""
        self.workers[key] = msgspec.structs.replace(self.workers[key], **changes)

    def is_hopeless(self, number: int, failures: int) -> bool:
        """Return whether nobody of a generation serves after so many failures in a row."""
        return is_hopeless(self.crews[number], self.workers.values(), failures)

    def changed(self) -> None:
        """From now on the master does something else: builds, serves, ends."""
        self._changed_at = time.monotonic()

    def complain(self, key: str, problem: str) -> None:
        """Remember that a key of the file could not be followed, "" = that it can."""
        self._complaints.pop(key, None)
        if problem:
            self._complaints[key] = problem

    def note(self, failure: Failure) -> Failure:
        """Remember `failure` as the last one; return it with the time and the last output."""
        output = self.output.tail()[-8000:]
        self._last_failure = msgspec.structs.replace(failure, at=time.time(), output=output)
        return self._last_failure

    def count_death(self) -> None:
        """Count a worker that was not told to go."""
        deaths = self._totals.worker_deaths + 1
        self._totals = msgspec.structs.replace(self._totals, worker_deaths=deaths)

    def count_harakiri(self, worker: int) -> None:
        """Count a harakiri, for the worker's number and in all."""
        self.harakiris[worker] = self.harakiris.get(worker, 0) + 1
        harakiris = self._totals.harakiris + 1
        self._totals = msgspec.structs.replace(self._totals, harakiris=harakiris)

    def close_account(self, number: int, worker: int) -> None:
        """Add what a worker that is gone had counted on the scoreboard to the totals."""
        self._totals = self._with_slots(self._totals, number, [worker])

    def totals(self) -> Totals:
        """Return the counters over the master's life, live workers included."""
        totals = msgspec.structs.replace(self._totals, log_lines_dropped=self.output.lines_dropped)
        for number, force in self.forces.items():
            totals = self._with_slots(totals, number, list(force.processes))
        return totals

    def _with_slots(self, totals: Totals, number: int, workers: list[int]) -> Totals:
        readings = self.forces[number].readings(workers)
        return msgspec.structs.replace(
            totals,
            requests=totals.requests + sum(reading.requests for reading in readings),
            exceptions=totals.exceptions + sum(reading.exceptions for reading in readings),
            bytes_sent=totals.bytes_sent + sum(reading.bytes_sent for reading in readings),
        )

    def describe(self, state: str) -> Description:
        """Return the whole state, for status and for an emperor that was started anew."""
        now = time.monotonic()
        building = self.building()
        shown = self.serving() or building or self.standby()
        generation = self.forces[shown.number].generation if shown is not None else None
        scaler = self.scalers[shown.number] if shown is not None else None
        is_paused = shown is not None and shown.role is Role.SERVING and not shown.wanted
        rows = [
            row
            for number, force in sorted(self.forces.items())
            for row in describe(force, _in_order(self.workers_of(number)), self.harakiris, now)
        ]
        return Description(
            state=state,
            generation=generation.number if generation else 0,
            newest=self.newest,
            fingerprint=generation.fingerprint if generation else "",
            serving=self.serving() is not None,
            age_s=now - self._born_at,
            workers=tuple(rows[:DESCRIBED_MAX]),
            totals=self.totals(),
            last_failure=self._last_failure,
            unsupported=(
                *self.unsupported,
                *(f"{key}: {problem}" for key, problem in self._complaints.items()),
            ),
            output=self.output.tail(),
            scaling=PAUSED if is_paused else scaler.story() if scaler is not None else "",
            paused=is_paused,
            code=DIGEST,
            settle_s=self.settle_s(now),
            state_s=now - self._changed_at,
            standing_by=shown is not None and shown.role is Role.STANDBY,
            building=self._under_way(),
            workers_granted=(scaler.granted or 0) if scaler is not None else 0,
        )


def _in_order(workers: list[Worker]) -> list[Worker]:
    """Return them by their slots: one that replaces another comes last into the books."""
    return sorted(workers, key=lambda worker: worker.number)
