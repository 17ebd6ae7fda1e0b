"""What the emperor tells of itself and of all vassals in the form of uWSGI's stats servers. Pure.

Beyond uWSGI's form each vassal has its workers, and `fleet_stats` shows those of all vassals
as if they were one's: uwsgitop then shows the whole machine.
"""

import os.path
from collections.abc import Iterable
from typing import Any, NamedTuple

from emperor.status import Status, VassalState, VassalStatus, WorkerStatus
from vassal.master.stats import (
    VERSION,
    SocketFacts,
    WorkerCounts,
    as_text,
    core_row,
    socket_name,
    socket_row,
    worker_row,
)

_FAR = 2.0**53
"""What JSON's readers can count to."""

_SERVES = {VassalState.READY, VassalState.RELOADING}
_WAITS = {VassalState.BACKOFF, VassalState.PARKED}


class About(NamedTuple):
    """The emperor as a process, and what it was told."""

    pid: int
    uid: int
    gid: int
    cwd: str
    tyrant: bool


def emperor_stats(about: About, status: Status) -> bytes:
    """Return what uWSGI's emperor-stats-server tells, JSON."""
    answer = {
        **_head(about),
        "emperor": list(status.emperor.directories),
        "emperor_tyrant": int(about.tyrant),
        "throttle_level": 0,
        "vassals": [_vassal(one) for one in status.vassals],
        "blacklist": [_waiting(one) for one in status.vassals if one.state in _WAITS],
    }
    return as_text(answer)


def fleet_stats(about: About, status: Status) -> bytes:
    """Return the workers of all vassals as a single vassal would tell them, JSON."""
    sockets = [
        socket_row(SocketFacts(one.url, _protocol(one.url), one.waiting, one.max))
        for vassal in status.vassals
        for one in vassal.backlog
    ]
    waiting = sum(one.waiting for vassal in status.vassals for one in vassal.backlog)
    answer = {
        **_head(about),
        "listen_queue": waiting,
        "listen_queue_errors": 0,
        "signal_queue": 0,
        "load": waiting,
        "locks": [],
        "sockets": sockets,
        "workers": [worker for one in status.vassals for worker in _workers(one)],
    }
    return as_text(answer)


def _head(about: About) -> dict[str, Any]:
    return {
        "version": VERSION,
        "pid": about.pid,
        "uid": about.uid,
        "gid": about.gid,
        "cwd": about.cwd,
    }


def _protocol(url: str) -> str:
    return url.partition("://")[0].partition("+")[0]


def _vassal(one: VassalStatus) -> dict[str, Any]:
    serves = int(one.state in _SERVES)
    is_dormant = one.state is VassalState.DORMANT
    since = int(one.since)
    return {
        "id": os.path.basename(one.config),
        "pid": one.pid,
        "born": since,
        "last_mod": since,
        "last_heartbeat": 0,
        "loyal": serves,
        "ready": serves,
        "accepting": serves,
        "last_loyal": since * serves,
        "last_ready": since * serves,
        "last_accepting": since * serves,
        "first_run": since,
        "last_run": since,
        "cursed": since if one.state is VassalState.STOPPING else 0,
        "zerg": 0,
        "on_demand": socket_name(one.listen[0]) if is_dormant and one.listen else "",
        "uid": one.uid,
        "gid": one.gid,
        "monitor": os.path.dirname(one.config),
        "respawns": one.restarts,
        "state": one.state.value,
        "workers": list(_workers(one)),
    }


def _waiting(one: VassalStatus) -> dict[str, Any]:
    since = int(one.since)
    return {
        "id": os.path.basename(one.config),
        "throttle_level": int((one.next_retry_s or 0.0) * 1000),
        "attempt": one.restarts,
        "first_attempt": since,
        "last_attempt": since,
    }


def _whole(value: float) -> int:
    """Return a master's number as an integer; hostile, it may be so large that it is infinite."""
    return int(min(max(value, -_FAR), _FAR))


def _workers(vassal: VassalStatus) -> Iterable[dict[str, Any]]:
    """Yield the workers of one vassal; their ids are NAME:NUMBER."""
    rows: dict[tuple[int, int], list[WorkerStatus]] = {}
    for row in vassal.workers:
        rows.setdefault((row.generation, row.worker), []).append(row)
    for (_, number), threads in rows.items():
        first = threads[0]
        counts = WorkerCounts(
            accepts=first.state in ("idle", "busy"),
            busy=any(row.current for row in threads),
            requests=sum(row.requests for row in threads),
            requests_since_birth=sum(row.requests for row in threads),
            exceptions=sum(row.exceptions for row in threads),
            harakiris=first.harakiris,
            rss_bytes=first.rss_bytes,
            vsz_bytes=first.vsz_bytes,
            running_us=_whole(sum(row.running_s for row in threads) * 1e6),
            born_at=_whole(first.since),
            births=1,
            bytes_sent=sum(row.bytes_sent for row in threads),
        )
        cores = [
            core_row(core, row.requests, 0, row.current is not None)
            for core, row in enumerate(threads)
        ]
        yield worker_row(f"{vassal.name}:{number}", first.pid, counts, [], cores)
