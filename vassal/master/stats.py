"""What a vassal tells of itself in the form of uWSGI's stats server. Pure.

The emperor tells of all vassals in the same rows, see emperor.brain.stats.

Every key that uWSGI has is there, because tools read them without asking. What we have not
(signals, offloading, routing) is 0 or empty. A worker's row counts what all have served
that had its number since the generation was built, as uWSGI's does.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from vassal.runtime import scoreboard
from vassal.runtime.scoreboard import SlotReading, requests_of, statics_of

_LOCKS = ("signal", "filemon", "timer", "rbtimer", "cron", "rpc", "snmp")

VERSION = "2.0"
"""Of uWSGI's that the form is of: tools compare it."""

HTTP_HEAD = (
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
"""What goes before the object where HTTP is spoken, as browsers want it."""


class CacheFacts(NamedTuple):
    """A cache of the application's. Sizes are bytes, `changed_ms` monotonic."""

    name: str
    max_items: int
    block_bytes: int
    key_bytes: int
    items: int
    hits: int
    misses: int
    full: int
    changed_ms: int


class About(NamedTuple):
    """The vassal itself. `knows_requests`: method and URI of running requests may be told.
    `locks`: how many locks its application has, numbered from 0; `load_s`: how long its import
    took."""

    pid: int
    uid: int
    gid: int
    cwd: str
    mounts: Sequence[str]
    knows_requests: bool
    locks: int = 0
    load_s: int = 0
    caches: Sequence[CacheFacts] = ()


class SocketFacts(NamedTuple):
    """A listening socket and its queue."""

    url: str
    protocol: str
    waiting: int
    waiting_max: int


class WorkerFacts(NamedTuple):
    """A worker with its slots, one a thread. Times are Unix seconds, sizes bytes. `by_app` has
    requests and exceptions of each application, where there are several."""

    number: int
    pid: int
    accepts: bool
    born_at: float
    births: int
    harakiris: int
    rss_bytes: int
    vsz_bytes: int
    slots: Sequence[SlotReading]
    by_app: Sequence[tuple[int, int]] = ()


def vassal_stats(
    about: About,
    sockets: Sequence[SocketFacts],
    workers: Iterable[WorkerFacts],
    unix_offset_s: float,
) -> bytes:
    """Return the answer, JSON. `unix_offset_s` + monotonic seconds = Unix time."""
    waiting = sum(one.waiting for one in sockets)
    answer = {
        "version": VERSION,
        "listen_queue": waiting,
        "listen_queue_errors": 0,
        "signal_queue": 0,
        "load": waiting,
        "pid": about.pid,
        "uid": about.uid,
        "gid": about.gid,
        "cwd": about.cwd,
        "locks": locks(about.locks),
        "sockets": [socket_row(one) for one in sockets],
        "workers": [_worker(about, one, unix_offset_s) for one in workers],
    }
    if about.caches:
        answer["caches"] = [_cache(one, unix_offset_s) for one in about.caches]
    return as_text(answer)


def as_text(answer: dict[str, Any]) -> bytes:
    """Return an answer as it is sent."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=1) + b"\n"


def locks(count: int) -> list[dict[str, int]]:
    """Return what is told of locks: their names, as uWSGI's.

    Who holds one of the application's is known to the kernel alone, and the others are uWSGI's
    own, for what it shares between processes and nothing here does.
    """
    names = [f"user {number}" for number in range(count)]
    return [{name: 0} for name in (*names, *_LOCKS)]


def _cache(one: CacheFacts, unix_offset_s: float) -> dict[str, Any]:
    return {
        "name": one.name,
        "hash": "crc32",
        "hashsize": one.max_items,
        "keysize": one.key_bytes,
        "max_items": one.max_items,
        "blocks": one.max_items,
        "blocksize": one.block_bytes,
        "items": one.items,
        "hits": one.hits,
        "miss": one.misses,
        "full": one.full,
        "last_modified_at": int(unix_offset_s + one.changed_ms / 1000) if one.changed_ms else 0,
    }


def socket_name(url: str) -> str:
    """Return an address as uWSGI tells it: 127.0.0.1:8000, a path, @name. Exporters label by it."""
    return url.partition("://")[2].removesuffix("%00")


def socket_row(one: SocketFacts) -> dict[str, Any]:
    """Return what is told of a listening socket."""
    return {
        "name": socket_name(one.url),
        "proto": one.protocol,
        "queue": one.waiting,
        "max_queue": one.waiting_max,
        "shared": 0,
        "can_offload": 0,
    }


class WorkerCounts(NamedTuple):
    """What a worker's row says in numbers; see `WorkerFacts` for the units."""

    accepts: bool
    busy: bool
    requests: int
    requests_since_birth: int
    exceptions: int
    harakiris: int
    rss_bytes: int
    vsz_bytes: int
    running_us: int
    born_at: int
    births: int
    bytes_sent: int


def worker_row(
    name: int | str,
    pid: int,
    counts: WorkerCounts,
    apps: list[dict[str, Any]],
    cores: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what is told of a worker that is called `name`."""
    return {
        "id": name,
        "pid": pid,
        "accepting": int(counts.accepts),
        "requests": counts.requests,
        "delta_requests": counts.requests_since_birth,
        "exceptions": counts.exceptions,
        "harakiri_count": counts.harakiris,
        "signals": 0,
        "signal_queue": 0,
        "status": "busy" if counts.busy else "idle",
        "rss": counts.rss_bytes,
        "vsz": counts.vsz_bytes,
        "running_time": counts.running_us,
        "last_spawn": counts.born_at,
        "respawn_count": counts.births,
        "tx": counts.bytes_sent,
        "avg_rt": counts.running_us // counts.requests if counts.requests else 0,
        "apps": apps,
        "cores": cores,
    }


def core_row(
    number: int,
    requests: int,
    statics: int,
    runs: bool,
    vars_: list[str] | None = None,
    info: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Return what is told of a thread; `vars_` and `info` of the request that runs in it."""
    return {
        "id": number,
        "requests": requests,
        "static_requests": statics,
        "routed_requests": 0,
        "offloaded_requests": 0,
        "write_errors": 0,
        "read_errors": 0,
        "in_request": int(runs),
        "vars": vars_ or [],
        "req_info": info or {},
    }


def _worker(about: About, worker: WorkerFacts, unix_offset_s: float) -> dict[str, Any]:
    counts = WorkerCounts(
        accepts=worker.accepts,
        busy=any(map(is_running, worker.slots)),
        requests=sum(map(requests_of, worker.slots)),
        requests_since_birth=sum(slot.requests for slot in worker.slots),
        exceptions=sum(slot.exceptions + slot.exceptions_before for slot in worker.slots),
        harakiris=worker.harakiris,
        rss_bytes=worker.rss_bytes,
        vsz_bytes=worker.vsz_bytes,
        running_us=sum(slot.running_ns + slot.running_ns_before for slot in worker.slots) // 1000,
        born_at=int(worker.born_at),
        births=worker.births,
        bytes_sent=sum(slot.bytes_sent + slot.bytes_sent_before for slot in worker.slots),
    )
    of_app = counts.requests - sum(map(statics_of, worker.slots))
    apps = [
        {
            "id": number,
            "modifier1": 0,
            "mountpoint": mount,
            "startup_time": about.load_s,
            "requests": requests,
            "exceptions": exceptions,
            "chdir": "",
        }
        for number, (mount, (requests, exceptions)) in enumerate(
            zip(about.mounts, worker.by_app or [(of_app, counts.exceptions)], strict=True)
        )
    ]
    cores = [
        _core(number, slot, about.knows_requests, unix_offset_s)
        for number, slot in enumerate(worker.slots)
    ]
    return worker_row(worker.number, worker.pid, counts, apps, cores)


def _core(
    number: int, slot: SlotReading, knows_requests: bool, unix_offset_s: float
) -> dict[str, Any]:
    counted = requests_of(slot), statics_of(slot)
    if not is_running(slot):
        return core_row(number, *counted, False)
    vars_ = [f"REQUEST_METHOD={slot.method}", f"REQUEST_URI={slot.uri}"] if knows_requests else []
    info = {"request_start": int(slot.started_ns / 1e9 + unix_offset_s)}
    return core_row(number, *counted, True, vars_, info)


def is_running(slot: SlotReading) -> bool:
    """Return whether a request runs in this slot."""
    return slot.state in scoreboard.RUNNING
