"""Decides what to do so that what runs becomes what is wanted. Pure.

Events are only reasons to call `reconcile` again: a lost one costs latency, never
correctness.
"""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

import msgspec

from emperor.core.registry import RUNNING, Vassal, born_as
from emperor.status import VassalState, served_on

S = VassalState


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """What one vassal file asks for.

    `fingerprint` changes with anything that needs a new generation, `birth` with what
    needs a new master, `limits` with what can be changed while it runs. `fingerprint`
    None: the file has never been valid. `restart_serial` counts people's restarts.
    `why_not` is said when `run` is false. `on_demand`: it runs from the first connection
    until no request comes any more.
    """

    fingerprint: str | None
    birth: str = ""
    limits: str = ""
    restart_serial: int = 0
    run: bool = True
    why_not: str = "somebody said stop"
    on_demand: bool = False


class StartVassal(msgspec.Struct, frozen=True, tag=True):
    """Spawn a master and build the first generation."""

    name: str


class ReloadVassal(msgspec.Struct, frozen=True, tag=True):
    """Build a new generation in the running master."""

    name: str


class SucceedVassal(msgspec.Struct, frozen=True, tag=True):
    """Build a second master with the new generation beside the running one."""

    name: str


class GiveUpSuccessor(msgspec.Struct, frozen=True, tag=True):
    """The second master is not wanted any more, or took too long: it is to go, or is killed."""

    name: str
    why: str


class FallBack(msgspec.Struct, frozen=True, tag=True):
    """What serves has not settled in time: the master that stands by serves again."""

    name: str


class KillRetired(msgspec.Struct, frozen=True, tag=True):
    """A master that was replaced outlived its deadline: SIGKILL it and all below it."""

    name: str
    token: str


class LimitVassal(msgspec.Struct, frozen=True, tag=True):
    """Put what runs under other limits, without a new generation."""

    name: str


class StopVassal(msgspec.Struct, frozen=True, tag=True):
    """Ask the master to stop gracefully."""

    name: str
    why: str


class KillVassal(msgspec.Struct, frozen=True, tag=True):
    """The master outlived its deadline: SIGKILL it and all below it."""

    name: str


class SettleVassal(msgspec.Struct, frozen=True, tag=True):
    """Nothing runs and nothing shall: leave backoff or parking."""

    name: str


class SleepVassal(msgspec.Struct, frozen=True, tag=True):
    """Bind its sockets and wait for the first connection; again, if they are others now."""

    name: str


class ForgetVassal(msgspec.Struct, frozen=True, tag=True):
    """Its file is gone and nothing runs: release listeners and drop the record."""

    name: str


Action = (
    StartVassal
    | ReloadVassal
    | SucceedVassal
    | GiveUpSuccessor
    | FallBack
    | KillRetired
    | LimitVassal
    | StopVassal
    | KillVassal
    | SettleVassal
    | SleepVassal
    | ForgetVassal
)


class Look(NamedTuple):
    """What a look led to: what is to be done, and who has to wait with it for room."""

    actions: list[Action]
    waiting: frozenset[str]


def reconcile(
    desired: Mapping[str, Desired], actual: Mapping[str, Vassal], now: float, room: int
) -> Look:
    """Return the actions that bring `actual` closer to `desired`, in order of names; who is
    forgotten comes last, so that others can take over its sockets.

    Safe to repeat: called again with nothing changed, it asks for the same actions.
    At most `room` masters are begun. `now` is monotonic seconds.
    """
    actions: list[Action] = []
    waiting: set[str] = set()
    for name in sorted(desired.keys() | actual.keys()):
        vassal = actual.get(name) or Vassal(name=name)
        action = decide(desired.get(name), vassal, now)
        if isinstance(action, StartVassal | SucceedVassal) and vassal.successor is None:
            if not room:
                waiting.add(name)
                continue
            room -= 1
        if action is not None:
            actions.append(action)
    actions.sort(key=lambda action: isinstance(action, ForgetVassal))
    return Look(actions, frozenset(waiting))


def stays(wanted: Desired, vassal: Vassal) -> bool:
    """Return whether a vassal goes on as it is: it is what is wanted, or that has failed."""
    return vassal.state is S.READY and wanted.run and wanted.fingerprint == vassal.attempted


def is_begun(wanted: Desired | None, vassal: Vassal | None) -> bool:
    """Return whether what is wanted was tried, or is not to be."""
    if wanted is None or not wanted.run or wanted.fingerprint is None:
        return True
    return vassal is not None and wanted.fingerprint in (vassal.attempted, vassal.serving)


def is_behind(wanted: Desired | None, vassal: Vassal) -> bool:
    """Return whether what is wanted was tried and failed, and what served before serves on."""
    if wanted is None or vassal.successor is not None or vassal.birth is None:
        return False
    tried = wanted.birth in (vassal.birth, vassal.attempted_birth) and stays(wanted, vassal)
    return tried and (wanted.fingerprint, wanted.birth) != (vassal.serving, vassal.birth)


def is_building(vassal: Vassal) -> bool:
    """Return whether a master of it is being built: few may be at a time."""
    return vassal.state is S.STARTING or vassal.successor is not None


def decide(wanted: Desired | None, vassal: Vassal, now: float) -> Action | None:
    """Return the next action for one vassal, None = nothing to do now."""
    name = vassal.name
    if vassal.token is not None and vassal.deadline is not None and now >= vassal.deadline:
        return KillVassal(name)
    for master in vassal.retiring:
        if now >= master.deadline:
            return KillRetired(name, master.token)
    if vassal.successor is not None and now >= vassal.successor.deadline:
        return GiveUpSuccessor(name, "it did not become ready in time")
    if vassal.standby is not None and now >= vassal.standby.deadline:
        return FallBack(name)
    if wanted is None:
        return _remove(vassal)
    if not wanted.run:
        return _hold(wanted, vassal)
    if wanted.fingerprint is None:
        return None
    if vassal.state in RUNNING:
        return _update(wanted, vassal, now)
    if wanted.on_demand:
        return _sleep(wanted, vassal, now)
    return StartVassal(name) if _may_start(wanted, vassal, now) else None


def why_not_yet(wanted: Desired | None, vassal: Vassal, now: float) -> str:
    """Return, for people, why `decide` has nothing to do."""
    if wanted is not None and wanted.fingerprint is None:
        return "the file has problems: correct it"
    if vassal.state is S.BACKOFF and vassal.retry_at is not None:
        return f"waiting {max(0.0, vassal.retry_at - now):.1f} s after {vassal.failures} failures"
    if vassal.state is S.PARKED:
        return "parked until its file changes or somebody says start: trying again cannot help"
    if vassal.replace_at is not None:
        return "its master gives no sign of life: another is to take its place"
    first = born_as(vassal.birth)
    if first and vassal.state is S.READY:
        return served_on(vassal.name, first)
    if vassal.state is S.STOPPING:
        return "waiting for its requests to finish"
    if vassal.state is S.DORMANT:
        return "asleep until the first connection (on_demand)"
    if vassal.standby is not None:
        return "the master before stands by until what serves now has settled"
    if is_building(vassal) or vassal.state is S.RELOADING:
        return "waiting for its application to load and to settle"
    if wanted is not None and not wanted.run:
        return "stopped by hand: clients are answered 503 until somebody says start"
    if is_behind(wanted, vassal):
        return "what is wanted has failed: what served before serves on"
    failure = vassal.last_failure
    if vassal.state is S.READY and failure is not None and failure.kind == "config":
        return "its file cannot be used: what served before serves on"
    return "as wanted"


def next_look(vassal: Vassal, after: float = -inf) -> float | None:
    """Return the first moment later than `after` when time alone can change the decision about
    a vassal; None = never."""
    times = (
        vassal.deadline if vassal.token is not None else None,
        vassal.retry_at if vassal.state is S.BACKOFF else None,
        vassal.successor.deadline if vassal.successor is not None else vassal.replace_at,
        vassal.standby.deadline if vassal.standby is not None else None,
        *(master.deadline for master in vassal.retiring),
    )
    return min((at for at in times if at is not None and at > after), default=None)


def _remove(vassal: Vassal) -> Action | None:
    if vassal.state in RUNNING:
        return StopVassal(vassal.name, "its file was removed")
    if vassal.successor is not None:
        return GiveUpSuccessor(vassal.name, "its file was removed")
    gone = vassal.token is None and not vassal.retiring
    return ForgetVassal(vassal.name) if gone else None


def _hold(wanted: Desired, vassal: Vassal) -> Action | None:
    if vassal.state in RUNNING:
        return StopVassal(vassal.name, wanted.why_not)
    if vassal.successor is not None:
        return GiveUpSuccessor(vassal.name, wanted.why_not)
    if vassal.state in {S.BACKOFF, S.PARKED, S.DORMANT} and vassal.token is None:
        return SettleVassal(vassal.name)
    return None


def _update(wanted: Desired, vassal: Vassal, now: float) -> Action | None:
    if vassal.birth is None:
        return None  # an earlier emperor's master, which has not said yet what it is
    if wanted.restart_serial != vassal.restart_serial:
        return StopVassal(vassal.name, "somebody said restart")
    if vassal.replace_at is not None:
        return _relieve(wanted, vassal, vassal.replace_at, now)
    if wanted.birth != vassal.birth:
        return _replace(wanted, vassal)
    if vassal.successor is not None and not _is_wanted(wanted, vassal):
        return GiveUpSuccessor(vassal.name, "its file asks for what runs already")
    if wanted.on_demand and vassal.state is S.READY and vassal.idle_at is not None:
        return StopVassal(vassal.name, "no request came for idle_stop")
    if wanted.limits != vassal.limits and vassal.pid:
        return LimitVassal(vassal.name)
    if wanted.fingerprint == vassal.attempted:
        return None
    if wanted.fingerprint == vassal.serving and vassal.state is S.READY:
        return None
    return SucceedVassal(vassal.name) if vassal.outdated else ReloadVassal(vassal.name)


def _is_wanted(wanted: Desired, vassal: Vassal) -> bool:
    """Return whether a successor is what a reload has come to, for the sake of newer code."""
    return vassal.outdated and wanted.fingerprint != vassal.serving


def _replace(wanted: Desired, vassal: Vassal) -> Action | None:
    """Only a new master can be what is wanted: the one that serves stays until it is ready."""
    if (wanted.fingerprint, wanted.birth) == (vassal.attempted, vassal.attempted_birth):
        return None  # under way, or it failed: the same again would fail too
    if vassal.serving is None:
        return StopVassal(vassal.name, "its user or sandbox changed")
    return SucceedVassal(vassal.name)


def _relieve(wanted: Desired, vassal: Vassal, at: float, now: float) -> Action | None:
    """Its master gives no sign of life: another is built, and its workers serve meanwhile."""
    if vassal.successor is not None and wanted.fingerprint == vassal.attempted:
        return None
    return SucceedVassal(vassal.name) if now >= at else None


def _sleep(wanted: Desired, vassal: Vassal, now: float) -> Action | None:
    """A failed one sleeps again when its pause is over: it starts for a client, or not at all."""
    if vassal.token is not None or vassal.successor is not None or vassal.retiring:
        return None
    changed = wanted.fingerprint != vassal.attempted
    due = vassal.retry_at is not None and now >= vassal.retry_at
    if vassal.state is S.DORMANT:
        if changed:
            return SleepVassal(vassal.name)
        return StartVassal(vassal.name) if due else None
    rested = {S.STOPPED: True, S.BACKOFF: due, S.PARKED: False}
    return SleepVassal(vassal.name) if changed or rested[vassal.state] else None


def _may_start(wanted: Desired, vassal: Vassal, now: float) -> bool:
    """A file that changed starts at once; what failed waits; one master at a time."""
    if vassal.token is not None or vassal.successor is not None:
        return False
    changed = wanted.fingerprint != vassal.attempted
    if vassal.state is S.BACKOFF:
        return changed or vassal.retry_at is None or now >= vassal.retry_at
    if vassal.state is S.PARKED:
        return changed
    return vassal.state in {S.STOPPED, S.DORMANT}
