"""Decides what counts as an incident: a limit that was hit, and what was going on then. Pure.

Hits of one limit within MERGE_S of one another are one incident, so that a crash loop
is one line with a count and not a thousand lines.
"""

import msgspec

from emperor.status import Incident, Snapshot

MERGE_S = 300.0
KEPT = 20
"""Incidents that are remembered of one vassal."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """How often limits of one vassal were hit since its cgroup was made."""

    oom_kills: int = 0
    tasks_refused: int = 0


_KEYS = {"memory_max": "oom_kills", "tasks_max": "tasks_refused"}


def hits(before: Counters, after: Counters) -> dict[str, int]:
    """Return how often each limit was hit between two readings, by the limit's key.

    A counter that fell belongs to a cgroup that was made anew: all of it is new.
    """
    found = {}
    for key, field in _KEYS.items():
        old, new = getattr(before, field), getattr(after, field)
        count = new - old if new >= old else new
        if count:
            found[key] = count
    return found


def record(
    incidents: tuple[Incident, ...], key: str, value: str, count: int, snapshot: Snapshot, at: float
) -> tuple[Incident, ...]:
    """Return the incidents, oldest first, with `count` more hits of `key` at `at` (Unix time).

    The snapshot of a merged incident is the latest one.
    """
    for index, incident in enumerate(incidents):
        if incident.key == key and at - incident.last_at <= MERGE_S:
            merged = msgspec.structs.replace(
                incident,
                last_at=at,
                count=incident.count + count,
                value=value,
                snapshot=snapshot,
            )
            return (*incidents[:index], *incidents[index + 1 :], merged)
    new = Incident(key=key, value=value, at=at, last_at=at, count=count, snapshot=snapshot)
    return (*incidents, new)[-KEPT:]


def plain(key: str, value: str, count: int) -> str:
    """Return what happened, in one sentence for the tenant's log."""
    times = "once" if count == 1 else f"{count} times"
    if key == "tasks_max":
        return f"tasks_max={value} reached {times}: a process or thread was refused"
    return f"{key}={value} reached {times}: the kernel killed a process"
