"""What emperor, spawner and masters say to one another: the whole vocabulary.

Each is tagged by `type`; descriptors travel beside it in the order that the class names.
Nothing received here is ever used as a path, or as a pid to signal.
"""

import msgspec

from vassal.failure import Failure
from vassal.generation import Generation


class Message(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of every message."""


# ── emperor → spawner ────────────────────────────────────────────────────────────────


class HoldListener(Message, frozen=True, tag="hold-listener"):
    """Keep this bound socket until DropListener. fds: [listener]. An old one is closed.

    `holder` is the vassal that it is for, "" for what is nobody's, and comes back in HeldListener.
    """

    key: str
    holder: str = ""


class DropListener(Message, frozen=True, tag="drop-listener"):
    """Close the socket held under `key`; unknown keys are ignored."""

    key: str


MASTER_PROCS = "master/cgroup.procs"
WORKLOAD_PROCS = "workload/cgroup.procs"
MEMORY_EVENTS = "workload/memory.events"
MEMORY_FILES = ("workload/memory.current", "workload/memory.stat")
CGROUP_FILES = (MASTER_PROCS, WORKLOAD_PROCS, MEMORY_EVENTS, *MEMORY_FILES)
"""Files of a vassal's cgroups that a master may be given, opened by root."""


class SpawnMaster(Message, frozen=True, tag="spawn-master"):
    """Fork a master. Answered by MasterSpawned or MasterNotSpawned.

    `token` names this process for ever (unique, chosen by the emperor); `memo` comes
    back word for word in HeldMaster. `confinement` is decoded by the forked child only.
    `cgroup_files` names what the descriptors are, some of CGROUP_FILES. fds: those files.
    """

    token: str
    vassal: str
    memo: str
    pid_namespace: bool
    confinement: msgspec.Raw
    cgroup_files: tuple[str, ...] = ()


class KillMaster(Message, frozen=True, tag="kill-master"):
    """SIGKILL the master through its pidfd, and with it all it started.

    Answered by MasterExited, at once where there is no such master.
    """

    token: str


class DismissWorkers(Message, frozen=True, tag="dismiss-workers"):
    """SIGTERM the children of a master that does not answer: they finish, and accept no more."""

    token: str


class Pong(Message, frozen=True, tag="pong"):
    """Answer to Ping, of the emperor and of a master: it lives."""


class NotifySystemd(Message, frozen=True, tag="notify-systemd"):
    """Pass `state` (sd_notify lines) on to systemd; nothing happens without systemd."""

    state: str


class RestartEmperor(Message, frozen=True, tag="restart-emperor"):
    """This emperor exits now, on purpose: start another at once."""


class StopAll(Message, frozen=True, tag="stop-all"):
    """This emperor stops everything, and not because of ShutdownRequested: which is what the next
    one is told, if this one ends before it says Exit."""


class Exit(Message, frozen=True, tag="exit"):
    """Everything is stopped: the spawner may exit with `status`."""

    status: int = 0


# ── spawner → emperor ────────────────────────────────────────────────────────────────


class HeldListener(Message, frozen=True, tag="held-listener"):
    """Inventory: a socket held for an earlier emperor. fds: [listener].

    `holder` "": nobody's, or it is not known, as after the spawner's death.
    """

    key: str
    holder: str = ""


class HeldMaster(Message, frozen=True, tag="held-master"):
    """Inventory: a master that runs. fds: [channel]."""

    token: str
    vassal: str
    pid: int
    memo: str


class InventoryComplete(Message, frozen=True, tag="inventory-complete"):
    """Everything that outlived the earlier emperor has been named.

    `starts` counts emperors; `version` is that of the spawner's code.
    """

    starts: int
    version: str = ""


class MasterSpawned(Message, frozen=True, tag="master-spawned"):
    """The master was forked; its birth may still fail. fds: [channel]."""

    token: str
    vassal: str
    pid: int


class MasterNotSpawned(Message, frozen=True, tag="master-not-spawned"):
    """The fork itself failed."""

    token: str
    vassal: str
    errno: int
    message: str


class MasterExited(Message, frozen=True, tag="master-exited"):
    """A master was reaped. Exactly one of `exit_status` and `signal` is set.

    `vassal` is "" and `pid` 0, if it was to be killed, and the spawner knows of no such master.
    """

    token: str
    vassal: str
    pid: int
    exit_status: int | None = None
    signal: int | None = None


class MasterLost(Message, frozen=True, tag="master-lost"):
    """Part of the inventory: a master died, and no earlier emperor is known to have noticed.

    Exactly one of `exit_status` and `signal` is set; no order of an emperor's had killed it.
    `vassal` is the name that it was born with; `token` is "" of a spawner that did not say.
    """

    vassal: str
    pid: int
    exit_status: int | None = None
    signal: int | None = None
    token: str = ""


class MasterStopped(Message, frozen=True, tag="master-stopped"):
    """A signal stopped this master: as long as nobody continues it, it does nothing."""

    token: str


class Ping(Message, frozen=True, tag="ping"):
    """To emperor and masters: say Pong."""


class ShutdownRequested(Message, frozen=True, tag="shutdown-requested"):
    """SIGTERM or SIGINT came: stop all vassals, then say Exit."""


class Signalled(Message, frozen=True, tag="signalled"):
    """A signal came that asks the emperor for something; `signal` is its name."""

    signal: str


class ReloadRequested(Message, frozen=True, tag="reload-requested"):
    """SIGHUP came: begin anew with all configuration as it is now."""


# ── emperor → master ─────────────────────────────────────────────────────────────────


class StartGeneration(Message, frozen=True, tag="start-generation"):
    """Build this generation; when it is ready, retire the one before.

    fds: the listeners, in the order of `generation.listeners` and `generation.stats`, and
    behind them, for one whose number of workers follows the load or that has to tell
    statistics, a socket for sock_diag. Answered by
    GenerationReady or GenerationFailed. A later one supersedes one under way.
    """

    generation: Generation


class Stop(Message, frozen=True, tag="stop"):
    """Stop accepting, let requests finish for `timeout_s`, kill the rest, exit 0."""

    timeout_s: float


class StandBy(Message, frozen=True, tag="stand-by"):
    """Another master serves: let your workers finish and go, and keep the mold for Resume."""


class Resume(Message, frozen=True, tag="resume"):
    """The other master did not settle: serve again."""


class ChangeLimits(Message, frozen=True, tag="change-limits"):
    """Put the running processes, and those to come, under these rlimits; others stay."""

    rlimits: dict[str, tuple[int, int]]
    memory_max_bytes: int = 0


class GrantWorkers(Message, frozen=True, tag="grant-workers"):
    """Answer to AskForWorkers: have no more than this from now on; `why` not all, if not all."""

    workers: int
    why: str = ""


class Note(Message, frozen=True, tag="note"):
    """Write this line into the vassal's log: what happened to it from outside."""

    line: str


class Describe(Message, frozen=True, tag="describe"):
    """Ask for a Description."""


class ReopenLogs(Message, frozen=True, tag="reopen-logs"):
    """Open the log file anew, for logrotate; with `rotate` move the one there is away first."""

    rotate: bool = False


# ── master → emperor ─────────────────────────────────────────────────────────────────


class WorkerDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One worker thread's slot. `ns_pid` is the pid as the master sees it."""

    slot: int
    worker: int
    generation: int
    ns_pid: int
    state: str
    requests: int
    exceptions: int
    harakiris: int
    bytes_sent: int
    running_s: float
    age_s: float
    method: str = ""
    uri: str = ""
    request_s: float = 0.0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counters over the master's life, its dead workers included."""

    requests: int = 0
    exceptions: int = 0
    harakiris: int = 0
    worker_deaths: int = 0
    bytes_sent: int = 0
    log_lines_dropped: int = 0


class Description(Message, frozen=True, tag="description"):
    """A master's whole state. `state` is a MasterState value; generation 0 = none yet.

    `generation` is the one that serves or, when `serving` is false, that is being built;
    `newest` the highest number that was ever asked for. `scaling` says why there are so
    many workers, where their number follows the load or is none; `workers_granted` how many
    it may have, 0 = as many as its generation says. `code` is the digest of what it runs,
    "" = of a time when masters did not say. `settle_s`: how much longer another master stands by
    until what serves has settled, None = it has; `state_s`: how long it has been doing what it
    does, None = of a time when masters did not say; `standing_by`: `generation` serves again if
    the other master's does not settle. `building` is the number of the one that is being built, or
    that serves and gives its place back to one before if it does not settle; 0 = there is none,
    None = of a time when masters did not say.
    """

    state: str
    generation: int
    newest: int
    fingerprint: str
    serving: bool
    age_s: float
    workers: tuple[WorkerDescription, ...] = ()
    totals: Totals = Totals()
    last_failure: Failure | None = None
    unsupported: tuple[str, ...] = ()
    output: str = ""
    scaling: str = ""
    workers_granted: int = 0
    paused: bool = False
    code: str = ""
    settle_s: float | None = None
    state_s: float | None = None
    standing_by: bool = False
    building: int | None = None


class GenerationServes(Message, frozen=True, tag="generation-serves"):
    """All workers of a generation that was asked for with `beside` accept; it has to settle for
    `settle_s` yet. GenerationReady or GenerationFailed follows."""

    number: int
    fingerprint: str
    settle_s: float


class GenerationReady(Message, frozen=True, tag="generation-ready"):
    """All workers of this generation accept, and it has settled: the one before is retired."""

    number: int
    fingerprint: str


class GenerationFailed(Message, frozen=True, tag="generation-failed"):
    """This generation was given up. `serving` tells whether an older one still serves."""

    number: int
    fingerprint: str
    failure: Failure
    serving: bool


class Idle(Message, frozen=True, tag="idle"):
    """No request has come for at least the generation's `idle_stop_s`."""


class AskForWorkers(Message, frozen=True, tag="ask-for-workers"):
    """The load wants this many workers; with fewer than were granted, the rest is given back."""

    workers: int


class AskForReload(Message, frozen=True, tag="ask-for-reload"):
    """The application, or who told the master `by` a signal or a letter, wants a new generation."""

    by: str = ""


class AskForRestart(Message, frozen=True, tag="ask-for-restart"):
    """Somebody told the master `by` a signal or a letter to end: the emperor starts it anew."""

    by: str


class Told(Message, frozen=True, tag="told"):
    """Somebody told the master `by` a signal or a letter to do `what`, and it did."""

    what: str
    by: str


class LimitsChanged(Message, frozen=True, tag="limits-changed"):
    """Answer to ChangeLimits. `failed` is what only a new generation gets: "KEY: reason"."""

    failed: tuple[str, ...] = ()


class WorkerDied(Message, frozen=True, tag="worker-died"):
    """A worker is gone that was not told to go (for the event stream)."""

    worker: int
    failure: Failure


class MoldDied(Message, frozen=True, tag="mold-died"):
    """The mold of a generation that serves is gone: another follows, its workers serve on."""

    failure: Failure


class Born(Message, frozen=True, tag="born"):
    """First word of a master: it is confined. `unsupported` lists what could not be applied."""

    unsupported: tuple[str, ...] = ()


class BirthFailed(Message, frozen=True, tag="birth-failed"):
    """Last word of a child that could not be confined; it exits."""

    failure: Failure


FromEmperor = (
    HoldListener
    | DropListener
    | SpawnMaster
    | KillMaster
    | DismissWorkers
    | Pong
    | NotifySystemd
    | RestartEmperor
    | StopAll
    | Exit
)
FromSpawner = (
    HeldListener
    | HeldMaster
    | InventoryComplete
    | MasterSpawned
    | MasterNotSpawned
    | MasterExited
    | MasterLost
    | MasterStopped
    | Ping
    | ShutdownRequested
    | ReloadRequested
    | Signalled
)
ToMaster = (
    StartGeneration
    | Stop
    | StandBy
    | Resume
    | ChangeLimits
    | GrantWorkers
    | Note
    | Describe
    | ReopenLogs
    | Ping
)
FromMaster = (
    Description
    | Pong
    | GenerationServes
    | GenerationReady
    | GenerationFailed
    | Idle
    | AskForWorkers
    | AskForReload
    | AskForRestart
    | Told
    | LimitsChanged
    | WorkerDied
    | MoldDied
    | Born
    | BirthFailed
)
