"""Decides what each of a vassal's masters is that an earlier emperor has left. Pure.

Most vassals have one. Where that emperor died between two steps, there may be one that serves,
one that was to succeed it or that stands by, and others on their way out.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from emperor.core.attempts import attempt_of
from emperor.core.registry import Retiring, Standby, Vassal, settle_until
from emperor.status import VassalState

S = VassalState


class Duty(Enum):
    """What a master says it does."""

    BUILDING = "building"  # nothing serves yet; or it has been asked for nothing
    SERVING = "serving"
    SETTLING = "settling"  # serves, beside one that stands by
    STANDING_BY = "standing by"
    ENDING = "ending"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One master. `fingerprint` and `number` are of what it serves or builds, `newest` is the
    highest number of a generation that was asked of it, `building` that of the one that is being
    built, or that serves and has to settle within it, 0 = none is; `settle_s` how long another
    master has to stand by yet, `state_s` how long it has been doing what it does."""

    token: str
    pid: int
    birth: str
    duty: Duty
    fingerprint: str = ""
    number: int = 0
    newest: int = 0
    building: int = 0
    restart_serial: int = 0
    settle_s: float = 0.0
    state_s: float = 0.0
    outdated: bool = False


class Patience(NamedTuple):
    """How long a start, and an end, may take from now on. Seconds."""

    start_s: float
    end_s: float


class Outcome(NamedTuple):
    """Which attempts to serve have settled and which are under way; all others have come to
    nothing."""

    settled: frozenset[str]
    under_way: frozenset[str]


class Adopted(NamedTuple):
    """The record, who is `current` in it, who is to be told what: tokens; and what has become of
    attempts."""

    record: Vassal
    current: Found
    stand_by: str | None
    resume: str | None
    stop: tuple[str, ...]
    outcome: Outcome


def adopt(name: str, masters: Sequence[Found], now: float, patience: Patience) -> Adopted:
    """Return what a vassal is, by what its masters say, the oldest first; there is at least one.

    The newest that serves goes on serving. Where none does, the one that stood by serves again;
    where none did, the newest that is being built goes on.
    """
    serving = _newest(masters, Duty.SERVING, Duty.SETTLING)
    again = _newest(masters, Duty.STANDING_BY) if serving is None else None
    current = serving or again or _newest(masters, Duty.BUILDING) or masters[-1]
    standby = _standby_of(current, masters)
    others = [one for one in masters if one is not current and one is not standby]
    record = _record(name, current, now, patience)
    # It was not the fault of one that was being built: what is wanted is tried again.
    is_cut_short = record.ready_at is not None and _newest(others, Duty.BUILDING) is not None
    record = msgspec.structs.replace(
        record,
        generation=max(one.newest for one in masters),
        attempted_birth=None if is_cut_short else current.birth,
        retiring=tuple(Retiring(token=one.token, deadline=now + patience.end_s) for one in others),
    )
    if standby is not None:
        record = _beside(record, standby, settle_until(now, current.settle_s))
    must_be_told = standby is not None and standby.duty is not Duty.STANDING_BY
    return Adopted(
        record=record,
        current=current,
        stand_by=standby.token if standby is not None and must_be_told else None,
        resume=again.token if again is not None else None,
        stop=tuple(one.token for one in others if one.duty is not Duty.ENDING),
        outcome=outcome(current, standby),
    )


def outcome(current: Found, standby: Found | None = None) -> Outcome:
    """Return what has become of the attempts of the master that serves, or is to serve again, and
    of the one that stands by for it."""
    own = _attempts(current)
    under_way = frozenset(
        {attempt_of(current.token, current.building)} if current.building else set()
    )
    if current.duty in (Duty.BUILDING, Duty.SETTLING):
        under_way |= own
    if standby is not None:
        under_way |= _attempts(standby)  # it may not have settled either, and serves there again
    # Who stands by has settled, even if nobody has heard of that: it was told to before.
    has_settled = current.duty in (Duty.SERVING, Duty.STANDING_BY)
    return Outcome(own - under_way if has_settled else frozenset(), under_way)


def _attempts(one: Found) -> frozenset[str]:
    """Return as which attempts a master serves what it does."""
    return frozenset({one.token, attempt_of(one.token, one.number)})


def _newest(masters: Sequence[Found], *duties: Duty) -> Found | None:
    return next((one for one in reversed(masters) if one.duty in duties), None)


def _standby_of(current: Found, masters: Sequence[Found]) -> Found | None:
    """Return who serves again if `current` does not settle: told to stand by already, or not."""
    if current.duty is not Duty.SETTLING:
        return None
    others = [one for one in masters if one is not current]
    return _newest(others, Duty.STANDING_BY) or _newest(others, Duty.SERVING, Duty.SETTLING)


def _record(name: str, current: Found, now: float, patience: Patience) -> Vassal:
    """Return the record of a vassal as if `current` were its only master."""
    if current.duty is Duty.ENDING:
        state, deadline = S.STOPPING, now + patience.end_s
    elif current.duty is Duty.BUILDING:
        state, deadline = S.STARTING, now + patience.start_s
    else:
        state, deadline = S.RELOADING if _is_tried(current) else S.READY, None
    serves = state in (S.READY, S.RELOADING)
    return Vassal(
        name=name,
        state=state,
        since=now - max(0.0, current.state_s),
        token=current.token,
        pid=current.pid,
        # What has settled before is not known, but it is there.
        serving=("" if _is_tried(current) else current.fingerprint) if serves else None,
        attempted=current.fingerprint or None,
        birth=current.birth,
        restart_serial=current.restart_serial,
        ready_at=now if serves else None,
        deadline=deadline,
        outdated=current.outdated,
    )


def _is_tried(one: Found) -> bool:
    """Return whether the generation that serves gives its place back, within its master, if it does
    not settle."""
    return one.duty is Duty.SERVING and one.building == one.number != 0


def _beside(record: Vassal, standby: Found, until: float) -> Vassal:
    """Return the record of one that has to settle yet, with who serves again if it does not."""
    return msgspec.structs.replace(
        record,
        state=S.RELOADING,
        serving=standby.fingerprint,
        standby=Standby(
            token=standby.token,
            deadline=until,
            pid=standby.pid,
            birth=standby.birth,
            outdated=standby.outdated,
        ),
    )
