"""Decides which requests are overdue, and when to look again. Pure: the master kills.

A request that starts after a look at `t` cannot be due before `t + limit` (the soft one,
if there is one); so the next look is then or at the earliest known deadline, whichever
comes first, and a kill is never early and never waits for a poll. Times are monotonic
nanoseconds.

Slots are the tenant's to write. The limit is therefore counted from the moment this
side first saw a request, and no slot can put its deadline further away than
`limit_max_ns` from then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

AGAIN_NS = 1_000_000_000
"""After a kill or a gap, look at that request again this much later: not thousands of
times a second while a process is dying in D state."""

GAP_NS = 1_000_000_000
"""A look that comes this much later than asked for means that we were stopped."""


class Stage(Enum):
    """How far the machinery has gone with one request."""

    SEEN = "seen"
    WARNED = "warned"  # the soft limit's exception was requested
    DUMPED = "dumped"  # the stack dump was requested
    KILLED = "killed"


class Request(NamedTuple):
    """One busy slot as read from the scoreboard. `deadline_ns` 0 = none."""

    slot: int
    request_id: int
    deadline_ns: int
    soft_deadline_ns: int


@dataclass(frozen=True)
class Watched:
    """What is remembered of a request from look to look."""

    request_id: int
    first_seen_ns: int
    stage: Stage = Stage.SEEN
    stage_at_ns: int = 0


@dataclass(frozen=True)
class Limits:
    """`limit_ns` 0 = harakiri off but for who asks for it; `limit_max_ns` bounds what an app
    may ask for, 0 = nothing does."""

    limit_ns: int
    limit_max_ns: int
    soft_ns: int = 0
    dump_ns: int = 10_000_000

    @property
    def shortest_ns(self) -> int:
        """How long after its start nothing can be due for a request."""
        return min(self.limit_ns, self.soft_ns) if self.soft_ns else self.limit_ns


@dataclass(frozen=True)
class Verdict:
    """What to do now. Slots to warn, to ask for a dump, to kill; and when to look again.

    `look_at_ns` None = nothing can become due. `watched` goes into the next review.
    """

    warn: tuple[int, ...] = ()
    dump: tuple[int, ...] = ()
    kill: tuple[int, ...] = ()
    look_at_ns: int | None = None
    watched: Mapping[int, Watched] = field(default_factory=dict)


def review(
    requests: Iterable[Request],
    watched: Mapping[int, Watched],
    limits: Limits,
    now_ns: int,
    expected_ns: int | None = None,
) -> Verdict:
    """Return the verdict on every request that runs at `now_ns`.

    `expected_ns` is when this look was due: a much later one means the machine slept or
    we were stopped, and then nobody is punished in this pass.
    """
    late = expected_ns is not None and now_ns - expected_ns > max(GAP_NS, limits.limit_ns)
    warn: list[int] = []
    dump: list[int] = []
    kill: list[int] = []
    looks = [now_ns + limits.shortest_ns] if limits.limit_ns else []
    keep: dict[int, Watched] = {}
    for request in requests:
        if not limits.limit_ns and not request.deadline_ns:
            continue
        entry = watched.get(request.slot)
        if entry is None or entry.request_id != request.request_id:
            entry = Watched(request.request_id, now_ns)
        due_ns = _due(request, entry, limits)
        if late and now_ns >= due_ns:
            looks.append(now_ns + AGAIN_NS)
            keep[request.slot] = entry
            continue
        moved = _advance(request, entry, due_ns, limits, now_ns)
        if moved is not entry:
            {Stage.WARNED: warn, Stage.DUMPED: dump, Stage.KILLED: kill}[moved.stage].append(
                request.slot
            )
        entry = keep[request.slot] = moved
        looks.append(_next_look(request, entry, due_ns, limits))
    return Verdict(tuple(warn), tuple(dump), tuple(kill), min(looks, default=None), keep)


def _due(request: Request, entry: Watched, limits: Limits) -> int:
    if not limits.limit_max_ns:
        return request.deadline_ns
    latest = entry.first_seen_ns + limits.limit_max_ns
    return min(request.deadline_ns, latest) if request.deadline_ns else latest


def _advance(request: Request, entry: Watched, due_ns: int, limits: Limits, now_ns: int) -> Watched:
    """Return `entry`, moved to its next stage if that is due now."""
    stage = entry.stage
    if stage is Stage.KILLED:
        again = now_ns - entry.stage_at_ns >= AGAIN_NS
        return _at(entry, Stage.KILLED, now_ns) if again else entry
    if stage is Stage.DUMPED:
        over = now_ns - entry.stage_at_ns >= limits.dump_ns
        return _at(entry, Stage.KILLED, now_ns) if over else entry
    if now_ns >= due_ns:
        return _at(entry, Stage.DUMPED, now_ns)
    soft_ns = request.soft_deadline_ns
    if stage is Stage.SEEN and limits.soft_ns and soft_ns and now_ns >= soft_ns:
        return _at(entry, Stage.WARNED, now_ns)
    return entry


def _at(entry: Watched, stage: Stage, now_ns: int) -> Watched:
    return Watched(entry.request_id, entry.first_seen_ns, stage, now_ns)


def _next_look(request: Request, entry: Watched, due_ns: int, limits: Limits) -> int:
    if entry.stage is Stage.KILLED:
        return entry.stage_at_ns + AGAIN_NS
    if entry.stage is Stage.DUMPED:
        return entry.stage_at_ns + limits.dump_ns
    if entry.stage is Stage.SEEN and limits.soft_ns and request.soft_deadline_ns:
        return min(due_ns, request.soft_deadline_ns)
    return due_ns
