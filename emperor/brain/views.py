"""Makes the status model from records, wishes and masters' descriptions. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from emperor.brain.wishes import Wish
from emperor.config.vassal_file import written
from emperor.core.reconcile import Desired, decide, is_behind, next_look, why_not_yet
from emperor.core.registry import Vassal, born_as, latest
from emperor.status import (
    AppliedLimit,
    Backlog,
    CurrentRequest,
    Explanation,
    Incident,
    LimitChange,
    Unsupported,
    Usage,
    VassalState,
    VassalStatus,
    WorkerStatus,
)
from vassal.messages import Description, Totals, WorkerDescription


class HostProcess:
    """A worker's process as the host sees it."""

    __slots__ = ("pid", "rss_bytes", "vsz_bytes")

    def __init__(self, pid: int, rss_bytes: int, vsz_bytes: int = 0) -> None:
        self.pid = pid
        self.rss_bytes = rss_bytes
        self.vsz_bytes = vsz_bytes


class Confined(NamedTuple):
    """What is known of a vassal's limits: what is not applied, what it uses, what it hit."""

    unsupported: tuple[Unsupported, ...] = ()
    usage: Usage | None = None
    incidents: tuple[Incident, ...] = ()
    change: LimitChange | None = None


def vassal_status(
    vassal: Vassal,
    wish: Wish | None,
    config: str,
    found: Description | None,
    processes: Mapping[int, HostProcess],
    confined: Confined,
    backlog: tuple[Backlog, ...],
    rolled_back_to: float | None,
    now: float,
    unix_now: float,
) -> VassalStatus:
    """Return the status of one vassal.

    `found` is its master's answer, None = silent or none; `processes` maps pids as the
    master sees them to the host's. `now` is monotonic seconds, `unix_now` Unix time.
    """
    spec = wish.spec if wish is not None else None
    return VassalStatus(
        name=vassal.name,
        state=vassal.state,
        config=config,
        user=spec.identity.user if spec else "",
        uid=spec.identity.uid if spec else 0,
        gid=spec.identity.gid if spec else 0,
        generation=found.generation if found else _generation(vassal),
        pid=vassal.pid,
        since=unix_now - (now - vassal.since),
        listen=tuple(address.url for address in spec.settings.listen) if spec else (),
        hosts=spec.settings.hosts if spec else (),
        workers=tuple(
            _worker_status(row, processes.get(row.ns_pid), unix_now)
            for row in (found.workers if found else ())
        ),
        totals=found.totals if found else Totals(),
        restarts=vassal.restarts,
        last_failure=latest(vassal.last_failure, found.last_failure if found else None),
        next_retry_s=None if vassal.retry_at is None else max(0.0, vassal.retry_at - now),
        unsupported=confined.unsupported,
        usage=confined.usage,
        incidents=confined.incidents,
        limit_change=confined.change,
        backlog=backlog,
        rolled_back_to=rolled_back_to,
        paused=found.paused if found else False,
        served_as=born_as(vassal.birth) if vassal.token is not None else "",
        behind=wish is not None and is_behind(wish.desired(), vassal),
        held=wish.why_not if wish is not None and not wish.run else "",
    )


def _generation(vassal: Vassal) -> int:
    """Return which generation serves while its master does not say, 0 = it is not known: the last
    one that was begun may have failed."""
    failed = vassal.state is VassalState.READY and vassal.serving != vassal.attempted
    return 0 if failed else vassal.generation


def reload_waits_for(vassal: Vassal, waits_for_room: bool) -> str:
    """Return what a reload that was looked at waits for, for people; "" = it has begun."""
    if waits_for_room:
        return "waiting for room to build a new master (spawn_concurrency)"
    if vassal.birth is None and vassal.token is not None:
        return "waiting for its master to say what it runs"
    if vassal.replace_at is not None and vassal.successor is None:
        return "its master gives no sign of life: waiting to build another one"
    return ""


def explanation(
    vassal: Vassal,
    wish: Wish | None,
    limits: tuple[AppliedLimit, ...],
    unsupported: tuple[Unsupported, ...],
    steps: tuple[str, ...],
    scaling: str,
    now: float,
) -> Explanation:
    """Return what is wanted of a vassal, what is, what comes next and why."""
    desired = wish.desired() if wish is not None else None
    spec = wish.spec if wish is not None else None
    if wish is None:
        wanted = "gone: there is no file"
    elif not wish.run:
        wanted = "stopped by hand"
    elif spec is None:
        wanted = "to run, once its file is valid"
    else:
        wanted = f"to run: {spec.settings.app or 'mounts'} as {spec.identity.user}"
    actual = vassal.state.value + (f", master pid {vassal.pid}" if vassal.pid else "")
    return Explanation(
        name=vassal.name,
        desired=wanted,
        actual=actual,
        next_action=_next_action(desired, vassal, now),
        why=why_not_yet(desired, vassal, now),
        settings=written(spec.settings) if spec is not None else {},
        limits=limits,
        unsupported=unsupported,
        steps=steps,
        scaling=scaling,
        last_failure=vassal.last_failure,
    )


def _next_action(desired: Desired | None, vassal: Vassal, now: float) -> str:
    """Return what comes next, and of what waits for its time only, when."""
    action = decide(desired, vassal, now)
    if action is not None:
        return type(action).__name__
    at = next_look(vassal, now)
    if vassal.state is not VassalState.BACKOFF or at is None:
        return "none"
    later = decide(desired, vassal, at)
    return f"{type(later).__name__} in {at - now:.1f} s" if later is not None else "none"


def _worker_status(
    row: WorkerDescription, process: HostProcess | None, unix_now: float
) -> WorkerStatus:
    current = None
    if row.state == "busy":
        current = CurrentRequest(method=row.method, uri=row.uri, seconds=row.request_s)
    return WorkerStatus(
        slot=row.slot,
        worker=row.worker,
        generation=row.generation,
        pid=process.pid if process else 0,
        state=row.state,
        requests=row.requests,
        exceptions=row.exceptions,
        harakiris=row.harakiris,
        rss_bytes=process.rss_bytes if process else 0,
        vsz_bytes=process.vsz_bytes if process else 0,
        bytes_sent=row.bytes_sent,
        running_s=row.running_s,
        since=unix_now - row.age_s,
        current=current,
    )
