"""Decides what a master does with its generations and workers. Pure: the master acts.

The master calls `next_orders` whenever something happened, carries the orders out, and
records what came of it; called again with nothing changed, it gives no new orders.
Times are monotonic seconds.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec


class Role(Enum):
    """What a generation is for."""

    BUILDING = "building"  # on its way to serve
    SERVING = "serving"
    DRAINING = "draining"  # replaced or stopping; finishes what it has


class MoldState(Enum):
    """Where a generation's mold stands."""

    ABSENT = "absent"  # to be started, not before `mold_at`
    LOADING = "loading"  # imports the application; patience ends at `mold_at`
    DUMPED = "dumped"  # too slow: its stack was asked for; given up at `mold_at`
    LOADED = "loaded"
    CLOSED = "closed"  # told to go; it may still have to be reaped


class WorkerState(Enum):
    """Where a worker stands."""

    STARTING = "starting"  # asked of the mold; patience ends at `deadline`
    READY = "ready"
    RETIRING = "retiring"  # asked to be replaced, serves on
    STOPPING = "stopping"  # told to stop; killed at `deadline`


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. `number` is its lowest free number when it was asked for."""

    number: int
    generation: int
    state: WorkerState
    since: float
    deadline: float | None = None


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """One generation: what it shall be and how far it is.

    `fork_at` holds new forks back after workers died young; `deaths` counts the waves of
    such deaths, the last of which began at `wave_at`.
    """

    number: int
    role: Role
    wanted: int
    spawn_timeout_s: float
    stop_timeout_s: float
    mold: MoldState = MoldState.ABSENT
    mold_at: float = 0.0
    fork_at: float = 0.0
    deaths: int = 0
    wave_at: float = 0.0


class Verb(Enum):
    """What an order tells the master to do."""

    START_MOLD = "start the mold"
    DUMP_MOLD = "ask the mold for its stack"
    GIVE_UP = "give the generation up: it took too long"
    REPLACE_MOLD = "kill a mold that does not answer"
    FORK = "fork a worker"
    STOP_WORKER = "tell a worker to stop"
    KILL_WORKER = "kill a worker"
    PROMOTE = "let the generation serve and drain the one before"
    CLOSE = "close a drained generation"


class Order(msgspec.Struct, frozen=True):
    """One thing to do, for one generation and, for the worker verbs, one worker."""

    verb: Verb
    generation: int
    worker: int = 0


DUMP_GRACE_S = 0.1
"""How long a mold has to write its stack before it is killed."""

YOUNG_S = 5.0
"""A worker that dies within this time of its start holds the next fork back."""

WAVE_S = 0.1
"""Workers that die within this time of one another died of one thing."""


def next_orders(
    crews: Mapping[int, Crew], workers: Mapping[int, Worker], now: float
) -> list[Order]:
    """Return what to do at `now`: molds first, then workers, oldest generation first."""
    orders: list[Order] = []
    for number in sorted(crews):
        crew = crews[number]
        own = [worker for worker in workers.values() if worker.generation == number]
        orders += _mold_orders(crew, now)
        orders += _deadline_orders(own, now)
        if crew.role is Role.DRAINING:
            orders += _drain_orders(crew, own)
        else:
            orders += _strength_orders(crew, own, now)
    return orders


def next_look(crews: Iterable[Crew], workers: Iterable[Worker], now: float) -> float | None:
    """Return when time alone gives a new order; None = never.

    Asked after the orders of `now`, so a moment before it has had its effect.
    """
    times = [worker.deadline for worker in workers if worker.deadline is not None]
    for crew in crews:
        if crew.mold in {MoldState.LOADING, MoldState.DUMPED, MoldState.ABSENT}:
            times.append(crew.mold_at)
        if crew.fork_at > now and crew.role is not Role.DRAINING:
            times.append(crew.fork_at)
    return min(times, default=None)


def death(crew: Crew, worker: Worker, now: float, planned: bool) -> Crew:
    """Return the crew after a worker's end: unplanned early deaths hold the next fork back."""
    if planned or now - worker.since >= YOUNG_S:
        return msgspec.structs.replace(crew, deaths=0, fork_at=0.0)
    if crew.deaths and now - crew.wave_at < WAVE_S:
        return crew
    deaths = crew.deaths + 1
    return msgspec.structs.replace(
        crew, deaths=deaths, wave_at=now, fork_at=now + backoff_s(deaths)
    )


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row: none after the first."""
    return 0.0 if failures <= 1 else float(min(30.0, 0.1 * 2.0 ** min(failures, 20)))


def _mold_orders(crew: Crew, now: float) -> list[Order]:
    if crew.role is Role.DRAINING or now < crew.mold_at:
        return []
    if crew.mold is MoldState.ABSENT:
        return [Order(Verb.START_MOLD, crew.number)]
    if crew.mold is MoldState.LOADING:
        return [Order(Verb.DUMP_MOLD, crew.number)]
    if crew.mold is MoldState.DUMPED:
        building = crew.role is Role.BUILDING
        return [Order(Verb.GIVE_UP if building else Verb.REPLACE_MOLD, crew.number)]
    return []


def _deadline_orders(own: list[Worker], now: float) -> list[Order]:
    return [
        Order(Verb.KILL_WORKER, worker.generation, worker.number)
        for worker in own
        if worker.deadline is not None and now >= worker.deadline
    ]


def _drain_orders(crew: Crew, own: list[Worker]) -> list[Order]:
    if not own:
        return [Order(Verb.CLOSE, crew.number)]
    return [
        Order(Verb.STOP_WORKER, crew.number, worker.number)
        for worker in own
        if worker.state is not WorkerState.STOPPING
    ]


def _strength_orders(crew: Crew, own: list[Worker], now: float) -> list[Order]:
    """Bring the generation to its wanted number of workers, then let retiring ones go."""
    ready = sum(worker.state is WorkerState.READY for worker in own)
    coming = sum(worker.state is WorkerState.STARTING for worker in own)
    orders: list[Order] = []
    if crew.mold is MoldState.LOADED and now >= crew.fork_at:
        missing = crew.wanted - ready - coming
        orders += [Order(Verb.FORK, crew.number)] * max(0, missing)
    if ready >= crew.wanted and crew.role is Role.BUILDING:
        orders.append(Order(Verb.PROMOTE, crew.number))
    # As many as are too many. All only when their successors are ready would be too late
    # when those retire meanwhile: every number would be taken by one that wants to go.
    retiring = [worker for worker in own if worker.state is WorkerState.RETIRING]
    surplus = max(0, ready + len(retiring) - crew.wanted)
    orders += [Order(Verb.STOP_WORKER, crew.number, worker.number) for worker in retiring[:surplus]]
    return orders
