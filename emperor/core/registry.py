"""The one table of vassals: a record each, one state enum, one table of transitions. Pure.

A record changes only through `advance`, with a fact that the shell observed. Times are
monotonic seconds.
"""

from enum import Enum
from typing import TypeVar

import msgspec

from emperor.core.restarts import RestartPolicy, delay_s, failures_after
from emperor.status import VassalState
from vassal.failure import DETERMINISTIC_KINDS, Failure

S = VassalState


class Fact(Enum):
    """What can happen to a vassal."""

    START_BEGAN = "start began"
    BECAME_READY = "became ready"
    RELOAD_BEGAN = "reload began"
    RELOAD_FAILED = "reload failed"
    STOP_BEGAN = "stop began"
    FAILED = "failed"  # a failure that trying again may mend
    FAILED_FOR_GOOD = "failed for good"  # nothing but a change or a person mends it
    SUCCEEDED = "succeeded"  # a second master took the first one's place
    MASTER_GONE = "master gone"
    SETTLED = "settled"  # nothing runs and nothing is to run
    FELL_ASLEEP = "fell asleep"  # nothing runs, and the first connection starts it


# One row a state; a fact that a row does not name cannot be acted on there and leaves
# the state as it is (a late message from a master that is being stopped, say).
TRANSITIONS: dict[VassalState, dict[Fact, VassalState]] = {
    S.STOPPED: {
        Fact.START_BEGAN: S.STARTING,
        Fact.FAILED: S.BACKOFF,
        Fact.FAILED_FOR_GOOD: S.PARKED,
        Fact.FELL_ASLEEP: S.DORMANT,
    },
    S.STARTING: {
        Fact.SUCCEEDED: S.READY,
        Fact.BECAME_READY: S.READY,
        Fact.STOP_BEGAN: S.STOPPING,
        Fact.FAILED: S.BACKOFF,
        Fact.FAILED_FOR_GOOD: S.PARKED,
        Fact.MASTER_GONE: S.BACKOFF,
    },
    S.READY: {
        Fact.SUCCEEDED: S.READY,
        Fact.RELOAD_BEGAN: S.RELOADING,
        Fact.STOP_BEGAN: S.STOPPING,
        Fact.FAILED: S.BACKOFF,
        Fact.FAILED_FOR_GOOD: S.PARKED,
        Fact.MASTER_GONE: S.BACKOFF,
    },
    S.RELOADING: {
        Fact.SUCCEEDED: S.READY,
        Fact.BECAME_READY: S.READY,
        Fact.RELOAD_FAILED: S.READY,
        Fact.STOP_BEGAN: S.STOPPING,
        Fact.FAILED: S.BACKOFF,
        Fact.FAILED_FOR_GOOD: S.PARKED,
        Fact.MASTER_GONE: S.BACKOFF,
    },
    S.STOPPING: {Fact.MASTER_GONE: S.STOPPED, Fact.SUCCEEDED: S.READY},
    S.BACKOFF: {
        Fact.SUCCEEDED: S.READY,
        Fact.START_BEGAN: S.STARTING,
        Fact.FAILED_FOR_GOOD: S.PARKED,
        Fact.SETTLED: S.STOPPED,
        Fact.FELL_ASLEEP: S.DORMANT,
    },
    S.PARKED: {
        Fact.SUCCEEDED: S.READY,
        Fact.START_BEGAN: S.STARTING,
        Fact.FAILED: S.BACKOFF,
        Fact.SETTLED: S.STOPPED,
        Fact.FELL_ASLEEP: S.DORMANT,
    },
    S.DORMANT: {
        Fact.START_BEGAN: S.STARTING,
        Fact.SETTLED: S.STOPPED,
        Fact.FAILED: S.BACKOFF,
        Fact.FAILED_FOR_GOOD: S.PARKED,
    },
}

RUNNING = frozenset({S.STARTING, S.READY, S.RELOADING})


SETTLE_GRACE_S = 10.0
"""How much later than it said a master may tell that what it serves has settled."""

SETTLE_S_MAX = 86400.0
"""No master is believed that it needs more than this."""


def settle_until(now: float, settle_s: float) -> float:
    """Return when patience ends with what has to settle for `settle_s`, as its master says."""
    return now + min(max(0.0, settle_s), SETTLE_S_MAX) + SETTLE_GRACE_S


class Successor(msgspec.Struct, frozen=True, kw_only=True):
    """A second master that is being built beside the one that serves, to take its place."""

    token: str
    birth: str
    deadline: float
    pid: int = 0
    limits: str | None = None


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """The master that served before, until the one that has its place has settled.

    `birth`, `limits` and `outdated` are what the record said of it. At `deadline` patience with
    the settling ends.
    """

    token: str
    deadline: float
    pid: int = 0
    birth: str | None = None
    limits: str | None = None
    outdated: bool = False


class Retiring(msgspec.Struct, frozen=True, kw_only=True):
    """A master that was replaced: it finishes its requests, and is killed at its deadline."""

    token: str
    deadline: float


class Vassal(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one vassal.

    `token` names its master process, None = none runs. `serving` and `attempted` are
    the fingerprints of the last generation that has settled and of the last one that was tried;
    `birth` and `attempted_birth` are those of what only a new master can change, of the
    master that runs and of the last one that was tried (see `born_as`), `birth` None while a master
    of an earlier emperor's has not said what it is; `limits` of what it was put under last.
    `outdated`: its master runs older code of ours than a new one would.
    `deadline` is when patience with the master ends, in the states that wait for it.
    `retry_at` is when it may start: after a failure or, of a dormant one, because a connection
    came. `idle_at` is when its master said that no request comes any more; `replace_at` when
    another master is to be built, because this one has given no sign of life.
    """

    name: str
    state: VassalState = S.STOPPED
    since: float = 0.0
    token: str | None = None
    pid: int = 0
    generation: int = 0
    serving: str | None = None
    attempted: str | None = None
    birth: str | None = None
    attempted_birth: str | None = None
    limits: str | None = None
    restart_serial: int = 0
    successor: Successor | None = None
    standby: Standby | None = None
    retiring: tuple[Retiring, ...] = ()
    failures: int = 0
    restarts: int = 0
    ready_at: float | None = None
    retry_at: float | None = None
    idle_at: float | None = None
    replace_at: float | None = None
    outdated: bool = False
    deadline: float | None = None
    last_failure: Failure | None = None


def tokens_of(vassal: Vassal) -> tuple[str, ...]:
    """Return the tokens of all masters of a vassal; of those that finish for it last."""
    masters = (vassal, vassal.successor, vassal.standby, *vassal.retiring)
    return tuple(one.token for one in masters if one is not None and one.token is not None)


M = TypeVar("M", Vassal, Successor, Standby)


def advance(vassal: Vassal, fact: Fact, now: float, **changes: object) -> Vassal:
    """Return the record after `fact`, with `changes` to its other fields applied."""
    state = TRANSITIONS[vassal.state].get(fact, vassal.state)
    if state is not vassal.state:
        changes.setdefault("deadline", None)
        changes.setdefault("retry_at", None)
        changes.setdefault("idle_at", None)
        changes["since"] = now
    return msgspec.structs.replace(vassal, state=state, **changes)


def become_ready(vassal: Vassal, serving: str | None, now: float) -> Vassal:
    """Return the record after a generation of what `serving` stands for became ready."""
    # If nothing else was tried since, it is what an earlier emperor asked for, and was tried.
    is_inherited = vassal.attempted == vassal.serving
    return advance(
        vassal,
        Fact.BECAME_READY,
        now,
        serving=serving,
        attempted=serving if is_inherited else vassal.attempted,
        deadline=None,
        ready_at=now if vassal.ready_at is None else vassal.ready_at,
    )


def fail(
    vassal: Vassal, failure: Failure, now: float, policy: RestartPolicy, chance: float
) -> Vassal:
    """Return the record after an unplanned end: parked, or in backoff until `retry_at`."""
    if vassal.state not in RUNNING | {S.STOPPED, S.DORMANT}:
        return msgspec.structs.replace(vassal, last_failure=failure)
    ready_s = None if vassal.ready_at is None else now - vassal.ready_at
    count = failures_after(vassal.failures, ready_s, policy)
    common: dict[str, object] = {
        "failures": count,
        "last_failure": failure,
        "ready_at": None,
        "serving": None,
    }
    if failure.kind in DETERMINISTIC_KINDS:
        return advance(vassal, Fact.FAILED_FOR_GOOD, now, **common)
    return advance(
        vassal, Fact.FAILED, now, retry_at=now + delay_s(count, policy, chance), **common
    )


def without_conflict(vassal: Vassal, now: float) -> Vassal:
    """Return the record of one that was refused an address for another vassal had it, when it does
    not have it any more: what was refused is tried again at once, whatever failed since."""
    if vassal.state is S.BACKOFF:
        return msgspec.structs.replace(vassal, retry_at=now)
    if vassal.state is S.READY and vassal.attempted != vassal.serving:
        return msgspec.structs.replace(vassal, attempted=None, attempted_birth=None)
    return vassal


def succeed(vassal: Vassal, serving: str, now: float, retire_until: float) -> Vassal:
    """Return the record after its successor took over for good; whoever served before retires.

    The vassal must have a successor.
    """
    successor = vassal.successor
    assert successor is not None
    vassal = _retire(without_standby(vassal, retire_until), vassal.token, retire_until)
    return advance(
        vassal,
        Fact.SUCCEEDED,
        now,
        serving=serving,
        ready_at=now if vassal.ready_at is None else vassal.ready_at,
        retry_at=None,
        outdated=False,
        deadline=None,
        successor=None,
        **_place_of(successor),
    )


def can_stand_by(vassal: Vassal) -> bool:
    """Return whether the master that there is can serve again later: it serves, and answers."""
    answers = vassal.token is not None and vassal.replace_at is None
    return answers and vassal.serving is not None


def take_place(vassal: Vassal, now: float, settle_until: float, retire_until: float) -> Vassal:
    """Return the record after its successor came to serve; the first master stands by.

    One that stood by already retires. The vassal must serve, and have a successor.
    """
    successor = vassal.successor
    assert successor is not None
    assert vassal.token is not None
    standby = Standby(
        token=vassal.token,
        deadline=settle_until,
        pid=vassal.pid,
        birth=vassal.birth,
        limits=vassal.limits,
        outdated=vassal.outdated,
    )
    return advance(
        without_standby(vassal, retire_until),
        Fact.RELOAD_BEGAN,
        now,
        outdated=False,
        successor=None,
        standby=standby,
        **_place_of(successor),
    )


def fall_back(vassal: Vassal, failure: Failure, now: float, retire_until: float) -> Vassal:
    """Return the record after the master that stood by serves again; the other one retires.

    The vassal must have a standby; `token` is None if the other one has gone.
    """
    standby = vassal.standby
    assert standby is not None
    return advance(
        _retire(vassal, vassal.token, retire_until),
        Fact.RELOAD_FAILED,
        now,
        outdated=standby.outdated,
        standby=None,
        last_failure=failure,
        **_place_of(standby),
    )


def without_successor(vassal: Vassal, retire_until: float) -> Vassal:
    """Return the record after the second master, if there is one, was told to go."""
    if vassal.successor is None:
        return vassal
    vassal = _retire(vassal, vassal.successor.token, retire_until)
    return msgspec.structs.replace(vassal, successor=None)


def without_standby(vassal: Vassal, retire_until: float) -> Vassal:
    """Return the record after the master that stands by, if there is one, was told to go."""
    if vassal.standby is None:
        return vassal
    vassal = _retire(vassal, vassal.standby.token, retire_until)
    return msgspec.structs.replace(vassal, standby=None)


def _place_of(master: Successor | Standby) -> dict[str, object]:
    """Return the fields of a record that say which master there is, with nothing against it."""
    return {
        "token": master.token,
        "pid": master.pid,
        "birth": master.birth,
        "limits": master.limits,
        "replace_at": None,
    }


def _retire(vassal: Vassal, token: str | None, until: float) -> Vassal:
    if token is None:
        return vassal
    retiring = (*vassal.retiring, Retiring(token=token, deadline=until))
    return msgspec.structs.replace(vassal, retiring=retiring)


def without_retired(vassal: Vassal, token: str) -> Vassal:
    """Return the record after the retiring master `token` has gone."""
    left = tuple(master for master in vassal.retiring if master.token != token)
    return msgspec.structs.replace(vassal, retiring=left)


def renamed(vassal: Vassal, name: str) -> Vassal:
    """Return the record of one whose file has another name now: what runs of it goes on, until a
    master is born under that. It is as if nothing had been tried yet."""

    def again(master: M) -> M:
        birth = birth_under(name, vassal.name, master.birth)
        return msgspec.structs.replace(master, birth=birth)

    return msgspec.structs.replace(
        again(vassal),
        name=name,
        attempted=None,
        attempted_birth=None,
        successor=again(vassal.successor) if vassal.successor is not None else None,
        standby=again(vassal.standby) if vassal.standby is not None else None,
    )


def birth_under(name: str, born_as: str, birth: str | None) -> str | None:
    """Return what the birth of a master is called in the record of `name`: one that had another
    name then begins with it, so that it is no birth that is wanted."""
    if birth is None:
        return None
    first, _, rest = birth.rpartition("/")
    first = first or born_as
    return rest if first == name else f"{first}/{rest}"


def born_as(birth: str | None) -> str:
    """Return under which name a master was born, if that is not its vassal's; else ""."""
    return (birth or "").rpartition("/")[0]


def latest(one: Failure | None, other: Failure | None) -> Failure | None:
    """Return the later failure of two."""
    if one is None or other is None:
        return one or other
    return one if one.at >= other.at else other
