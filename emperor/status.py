"""The status model: what `status --json`, `explain` and the event stream say.

Field names are the contract with people's scripts. Times named `since` and `at` are Unix
time (for people); every other time is a duration in seconds.
"""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import BinaryIO, Protocol

import msgspec

from vassal.failure import Failure
from vassal.messages import Totals


class VassalState(StrEnum):
    """Where a vassal stands."""

    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    PARKED = "parked"
    DORMANT = "dormant"


class CurrentRequest(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    uri: str
    seconds: float


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker thread. `pid` is the host's; 0 = unknown. `worker` is the process's number."""

    slot: int
    worker: int = 0
    generation: int = 0
    pid: int
    state: str  # idle | busy
    requests: int
    exceptions: int
    harakiris: int
    rss_bytes: int
    vsz_bytes: int = 0
    bytes_sent: int = 0
    running_s: float = 0.0  # in requests, since the worker was born
    since: float
    current: CurrentRequest | None = None


class Unsupported(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was asked for and not, or not fully, applied."""

    key: str
    reason: str


class SnapshotProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process at the moment of an incident; `request` is what it was at, "" = nothing."""

    pid: int
    rss_bytes: int
    request: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a vassal looked like when a limit was hit."""

    processes: tuple[SnapshotProcess, ...] = ()
    memory_bytes: int = 0
    tasks: int = 0


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that was hit `count` times between `at` and `last_at` (Unix time)."""

    key: str
    value: str
    at: float
    last_at: float
    count: int
    snapshot: Snapshot = Snapshot()


class LimitChange(msgspec.Struct, frozen=True, kw_only=True):
    """The last change of limits while the vassal ran. `keys` were applied to what runs;
    `needs_generation` says of which of them a new generation had to be born with the rest."""

    at: float
    keys: tuple[str, ...] = ()
    needs_generation: tuple[str, ...] = ()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of a vassal use now, and how often its limits were hit.

    Counters run since the vassal's cgroup was made. None = the kernel does not count it here.
    """

    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    tasks: int | None = None
    cpu_s: float | None = None
    throttled_s: float | None = None
    throttled_periods: int | None = None
    oom_kills: int | None = None
    tasks_refused: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    memory_pressure: float | None = None  # per cent of the last 10 s that some task waited
    cpu_pressure: float | None = None
    io_pressure: float | None = None


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """One listening socket: connections that wait to be accepted, and the most that can."""

    url: str
    waiting: int
    max: int


class VassalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal. `pid` is the master's on the host; 0 = none runs."""

    name: str
    state: VassalState
    config: str
    user: str
    uid: int = 0
    gid: int = 0
    generation: int = 0
    pid: int = 0
    since: float = 0.0
    listen: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    hosts_refused: tuple[str, ...] = ()  # why, for each that another vassal holds
    workers: tuple[WorkerStatus, ...] = ()
    totals: Totals = Totals()
    restarts: int = 0
    last_failure: Failure | None = None
    next_retry_s: float | None = None
    unsupported: tuple[Unsupported, ...] = ()
    usage: Usage | None = None
    incidents: tuple[Incident, ...] = ()
    limit_change: LimitChange | None = None
    backlog: tuple[Backlog, ...] = ()  # of the sockets that are bound
    rolled_back_to: float | None = None  # when the version first served that is used again
    paused: bool = False  # somebody told the master that nobody shall accept
    served_as: str = ""  # under which earlier name of it what serves was started
    held: str = ""  # why it does not run though it has a file: somebody said stop, say
    behind: bool = False  # what is wanted has failed, and what served before serves on
    refusing: bool = False  # nothing runs, and its clients are answered 503


class EmperorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The emperor itself. `mode` is "root" or "rootless"; `cgroups` says what they can do."""

    pid: int
    spawner_pid: int
    version: str
    spawner_version: str = ""
    since: float = 0.0
    mode: str
    cgroups: str = ""
    runtime_dir: str = ""
    directories: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()  # config errors of files that became no vassal


class Status(msgspec.Struct, frozen=True, kw_only=True):
    emperor: EmperorStatus
    vassals: tuple[VassalStatus, ...] = ()


class AppliedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a vassal: `outcome` is applied, degraded or unsupported."""

    key: str
    value: str
    outcome: str
    reason: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, what is, what happens next and why."""

    name: str
    desired: str
    actual: str
    next_action: str
    why: str
    settings: dict[str, object] = {}
    limits: tuple[AppliedLimit, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()  # keys that are no limits
    steps: tuple[str, ...] = ()  # what confines it, in the order in which it is done
    scaling: str = ""  # why it has so many workers; empty where their number is fixed
    last_failure: Failure | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event stream; the same words as in the log."""

    at: float
    event: str
    vassal: str | None = None
    fields: dict[str, str] = {}


def served_on(name: str, served_as: str) -> str:
    """Return, for people, what it means that `name` is served under its earlier name still."""
    return (
        f"{served_as}, whose file is gone, serves on until {name} does; if that has failed, "
        f"correct the file of {name}, or remove it to stop both"
    )


class UnknownVassal(LookupError):
    """No vassal of this name."""


class NotPossible(RuntimeError):
    """The vassal is in no state for this; str() says why, `remedy` what to do, if it is known."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


class Steering(Protocol):
    """What the control API may ask of the emperor. Authorisation is the API's business."""

    async def status(self) -> Status: ...

    async def vassal(self, name: str) -> VassalStatus:
        """Return one vassal's status; raise UnknownVassal."""

    def names(self) -> tuple[str, ...]: ...

    def is_now(self, name: str) -> str:
        """Return what the vassal is called now whose file had this name before it was renamed;
        `name` for any other."""

    def owner_uid(self, name: str) -> int:
        """Return the uid that may read and steer this vassal; raise UnknownVassal."""

    async def reload(self, name: str) -> str:
        """Start a new generation; return one sentence of what was begun."""

    async def rollback(self, name: str) -> str:
        """Go back to the last other version of the file that served; say which."""

    async def restart(self, name: str) -> str:
        """Stop the vassal and start it anew; return one sentence of what was begun."""

    async def renew(self, name: str) -> str:
        """Let a new master of the newest code take the vassal's place, losing no request."""

    async def reopen(self, name: str) -> str:
        """Open the vassal's log anew, for who has moved it away; say what was done."""

    async def upgrade(self) -> str:
        """Take new code and settings into spawner and brain; vassals serve on."""

    async def stop(self, name: str) -> str:
        """Stop gracefully and stay stopped until `start`."""

    async def start(self, name: str) -> str:
        """Start a stopped, parked or waiting vassal now."""

    async def passed_on(self, name: str) -> None:
        """Wait until what was ordered for a vassal outlives this emperor: those who carry it out
        have it, or it is kept for the next one. Raise NotPossible if that takes too long. A reload
        that has to wait (for room, or for a master that has not answered) is not ordered yet, and
        is not kept."""

    async def explain(self, name: str) -> Explanation: ...

    def events(self) -> AsyncIterator[Event]:
        """Yield events from now on; a slow reader loses the oldest, and is told how many."""

    def open_log(self, name: str) -> BinaryIO:
        """Open the vassal's log file for reading, safely; raise NotPossible when there is none."""
