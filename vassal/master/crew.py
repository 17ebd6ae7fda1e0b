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
    STANDBY = "standby"  # replaced; its mold is kept for as long as the next one settles
    DRAINING = "draining"  # given up or stopping; finishes what it has


class MoldState(Enum):
    """Where a generation's mold stands."""

    ABSENT = "absent"  # to be started, not before `mold_at`
    PREPARING = "preparing"  # exec_start_pre runs before it; patience ends at `mold_at`
    LOADING = "loading"  # imports the application; patience ends at `mold_at`
    DUMPED = "dumped"  # too slow: its stack was asked for; given up at `mold_at`
    FINISHING = "finishing"  # loaded; exec_start_post runs; patience ends at `mold_at`
    LOADED = "loaded"
    CLOSED = "closed"  # told to go; it may still have to be reaped
    CLEARING = "clearing"  # gone, and its workers; exec_stop_post runs; patience ends at `mold_at`


class WorkerState(Enum):
    """Where a worker stands."""

    STARTING = "starting"  # asked of the mold; patience ends at `deadline`
    READY = "ready"
    RETIRING = "retiring"  # asked to be replaced, serves on
    STOPPING = "stopping"  # told to stop; killed at `deadline`


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. `number` is its lowest free number when it was asked for.

    Its `seat` is that of whom it replaces: workers that stay have seats below their count.
    One that serves has a `deadline` only while a signal has stopped it.
    """

    number: int
    generation: int
    state: WorkerState
    since: float
    deadline: float | None = None
    seat: int = 0


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """One generation: what it shall be and how far it is.

    While it replaces another, at most `max_unavailable` of its `wanted` workers may be
    missing. Until `settled_at` the one before stands by; None = it has settled.
    `clears` tells that exec_stop_post is still to be run: something of it has been started.
    `fork_at` holds new forks back after workers died young; `deaths` counts the waves of
    such deaths, the last of which began at `wave_at`. `crashes` counts unplanned deaths
    before it had settled.
    """

    number: int
    role: Role
    wanted: int
    spawn_timeout_s: float
    stop_timeout_s: float
    max_unavailable: int = 0
    settle_s: float = 0.0
    settled_at: float | None = None
    crashes: int = 0
    mold: MoldState = MoldState.ABSENT
    mold_at: float = 0.0
    clears: bool = False
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
    PROMOTE = "let the generation serve and the one before stand by"
    SETTLE = "drain the generation that stood by"
    CLEAR = "run exec_stop_post: a drained generation has no process any more"
    END_HOOK = "kill a command of exec_stop_post: it took too long"
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

FORKS_REFUSED_MAX = 5
"""A generation whose mold could not fork so often, some 12 s long, is not to be built now."""

DEATHS_MAX = 5
"""So many failures in a row, with no worker left that serves, and what is wrong is more than a
fork can mend (a full /tmp, say): the emperor starts the vassal anew."""

STOPPED_MAX_S = 10.0
"""So long a worker that a signal has stopped may take up the place of one that serves: somebody
may want to look at it, but connections wait for nobody who does not accept."""

CRASHES_MAX = 2
"""So many crashes before it has settled, and a generation is given up: one may be due to one
request."""


def next_orders(crews: Mapping[int, Crew], workers: Iterable[Worker], now: float) -> list[Order]:
    """Return what to do at `now`: molds first, then workers, oldest generation first."""
    orders: list[Order] = []
    everybody = list(workers)
    targets = strength(crews, everybody)
    for number in sorted(crews):
        crew = crews[number]
        own = [worker for worker in everybody if worker.generation == number]
        orders += _mold_orders(crew, now)
        orders += _deadline_orders(own, now)
        if crew.role is Role.DRAINING:
            orders += _drain_orders(crew, own, now)
        else:
            orders += _strength_orders(crew, own, targets[number], now)
    return orders


def strength(crews: Mapping[int, Crew], workers: Iterable[Worker]) -> dict[int, int]:
    """Return how many workers each generation shall have now.

    A generation that is built begins with one worker, its canary. When that is ready, it
    takes over from the serving one a few at a time: together they have one worker more
    than is wanted, and at most `max_unavailable` fewer that are ready.
    """
    targets = {
        number: crew.wanted if crew.role is Role.SERVING else 0 for number, crew in crews.items()
    }
    building = _in_role(crews, Role.BUILDING)
    if building is None:
        return targets
    everybody = list(workers)
    if not _count(everybody, building.number, WorkerState.READY, WorkerState.RETIRING):
        targets[building.number] = 1
        return targets
    ready = _count(everybody, building.number, WorkerState.READY)
    still_serving = 0
    serving = _in_role(crews, Role.SERVING)
    if serving is not None:
        needed = max(0, building.wanted - building.max_unavailable - ready)
        targets[serving.number] = min(serving.wanted, needed)
        still_serving = _count(
            everybody,
            serving.number,
            WorkerState.STARTING,
            WorkerState.READY,
            WorkerState.RETIRING,
        )
    room = building.wanted + 1 - still_serving
    targets[building.number] = min(building.wanted, max(ready, room))
    return targets


def _in_role(crews: Mapping[int, Crew], role: Role) -> Crew | None:
    return next((crew for crew in crews.values() if crew.role is role), None)


def _count(workers: Iterable[Worker], generation: int, *states: WorkerState) -> int:
    return sum(worker.generation == generation and worker.state in states for worker in workers)


def free_seat(own: Iterable[Worker]) -> int:
    """Return the lowest seat that none of a generation's workers stays on."""
    leaving = {WorkerState.RETIRING, WorkerState.STOPPING}
    taken = {worker.seat for worker in own if worker.state not in leaving}
    return next(seat for seat in range(len(taken) + 1) if seat not in taken)


def next_look(crews: Iterable[Crew], workers: Iterable[Worker], now: float) -> float | None:
    """Return when time alone gives a new order; None = never.

    Asked after the orders of `now`, so a moment before it has had its effect.
    """
    times = [worker.deadline for worker in workers if worker.deadline is not None]
    for crew in crews:
        if crew.mold not in {MoldState.LOADED, MoldState.CLOSED}:
            times.append(crew.mold_at)
        if crew.fork_at > now and crew.role is not Role.DRAINING:
            times.append(crew.fork_at)
        if crew.role is Role.SERVING and crew.settled_at is not None:
            times.append(crew.settled_at)
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


def was_to_end(worker: Worker, left: bool, exit_status: int | None) -> bool:
    """Return whether an end without a kill holds nothing back: it was told to stop, or `left`
    before its successor came, and said so."""
    return worker.state is WorkerState.STOPPING or (left and exit_status == 0)


def is_on_trial(crew: Crew, worker: Worker) -> bool:
    """Return whether a worker that left without having been told to counts as a crash of its
    generation: while that has not settled, what was there before is still to be had."""
    if worker.state is WorkerState.STOPPING:
        return False
    return crew.role is Role.BUILDING or (crew.role is Role.SERVING and crew.settled_at is not None)


def stopped(worker: Worker, is_stopped: bool, is_busy: bool, now: float) -> Worker:
    """Return a worker after a signal has stopped it, or let it go on.

    One with a request in it is left to harakiri, as any request is.
    """
    if worker.state not in {WorkerState.READY, WorkerState.RETIRING}:
        return worker
    deadline = now + STOPPED_MAX_S if is_stopped and not is_busy else None
    return msgspec.structs.replace(worker, deadline=deadline)


def reason_of_kill(worker: Worker) -> str:
    """Return why a worker is killed whose deadline has passed."""
    if worker.state is WorkerState.STARTING:
        return "spawn-timeout"
    return "stop_timeout" if worker.state is WorkerState.STOPPING else "stopped"


def is_hopeless(crew: Crew, workers: Iterable[Worker], deaths: int) -> bool:
    """Return whether a serving generation has nobody that serves, after so many failures in a
    row: early deaths, forks that failed, or molds that were lost."""
    able = {WorkerState.READY, WorkerState.RETIRING}
    nobody = not any(
        worker.generation == crew.number and worker.state in able for worker in workers
    )
    return nobody and crew.role is Role.SERVING and deaths >= DEATHS_MAX


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
    if crew.mold in {MoldState.PREPARING, MoldState.FINISHING}:
        return [Order(Verb.GIVE_UP, crew.number)]
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


def _drain_orders(crew: Crew, own: list[Worker], now: float) -> list[Order]:
    if not own and crew.mold is MoldState.CLEARING:
        return [Order(Verb.END_HOOK, crew.number)] if now >= crew.mold_at else []
    if not own:
        return [Order(Verb.CLEAR if crew.clears else Verb.CLOSE, crew.number)]
    return [
        Order(Verb.STOP_WORKER, crew.number, worker.number)
        for worker in own
        if worker.state is not WorkerState.STOPPING
    ]


def _strength_orders(crew: Crew, own: list[Worker], target: int, now: float) -> list[Order]:
    """Bring the generation to `target` workers, then let go those that are too many."""
    ready = sum(worker.state is WorkerState.READY for worker in own)
    coming = sum(worker.state is WorkerState.STARTING for worker in own)
    orders: list[Order] = []
    if crew.mold is MoldState.LOADED and now >= crew.fork_at:
        missing = target - ready - coming
        orders += [Order(Verb.FORK, crew.number)] * max(0, missing)
    is_whole = ready >= crew.wanted and crew.mold is not MoldState.FINISHING
    if is_whole and crew.role is Role.BUILDING:
        orders.append(Order(Verb.PROMOTE, crew.number))
    if crew.role is Role.SERVING and crew.settled_at is not None and now >= crew.settled_at:
        orders.append(Order(Verb.SETTLE, crew.number))
    # As many as are too many. All only when their successors are ready would be too late
    # when those retire meanwhile: every number would be taken by one that wants to go.
    leaving = [worker for worker in own if worker.state is WorkerState.RETIRING]
    leaving += [worker for worker in own if worker.state is WorkerState.READY]
    surplus = max(0, len(leaving) - target)
    orders += [Order(Verb.STOP_WORKER, crew.number, worker.number) for worker in leaving[:surplus]]
    return orders
