"""What a vassal file and the emperor's own file can say, after all checks.

These classes are the contract between configuration and the rest: every value here is
complete (defaults merged), in base units, and legal. Durations are seconds, sizes bytes.
"""

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from limits.directives import Limits, Sandbox
from vassal.master.commands import SIGNALS_OFF
from vassal.runtime.log_format import DEFAULT as DEFAULT_LINE


class WatchMode(StrEnum):
    """How a directory of vassal files is watched."""

    AUTO = "auto"
    INOTIFY = "inotify"
    POLL = "poll"


class ListenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One `listen` URL, parsed: `[PROTOCOL+]unix://PATH` or `PROTOCOL://HOST:PORT`.

    Exactly one of `path` and `port` is set; @NAME is the path of an abstract socket. `key` is
    the same for two spellings of one address, whatever the protocol.
    """

    url: str
    protocol: str  # http | uwsgi | fastcgi | scgi; of statistics stats | stats-http
    path: str | None = None
    host: str = ""
    port: int | None = None

    @property
    def key(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"

    @property
    def is_abstract(self) -> bool:
        return self.path is not None and self.path.startswith("@")

    @property
    def file(self) -> str | None:
        """The path of its socket's file, None where there is none."""
        return None if self.is_abstract else self.path


class SocketMode(msgspec.Struct, frozen=True, kw_only=True):
    """Owner, group and permission bits of the unix sockets; None = the vassal's own."""

    user: str | None = None
    group: str | None = None
    mode: int = 0o660


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`target`: "inherit", "journal", "file" (in the emperor's log directory) or a path.

    `requests` is the same for lines of access_log, None = they are among the others. `date` is
    a format of strftime, "" = the usual one.
    """

    target: str = "file"
    requests: str | None = None
    date: str = ""
    max_bytes: int = 10 * 1024 * 1024
    keep: int = 3
    lines_per_second: float = 1000.0
    touch_reopen: tuple[str, ...] = ()
    touch_rotate: tuple[str, ...] = ()


class AccessLog(msgspec.Struct, frozen=True, kw_only=True):
    """A line for each request; with `log_4xx`, `log_5xx` or `log_slow` only for those."""

    format: str = DEFAULT_LINE
    log_4xx: bool = False
    log_5xx: bool = False
    log_slow: float = 0.0  # 0 = however long it took


class Workers(NamedTuple):
    """How many worker processes: a fixed number when `min` and `max` are the same."""

    min: int
    max: int
    initial: int = 0  # 0 = min
    step: int = 0  # 0 = as many more at a time as clients wait for


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What new code must answer before it takes over; no `path` = only be loaded.

    `expect` are ranges of statuses. `settle` is how long the old code stands by.
    """

    path: str | None = None
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    host: str | None = None  # None = the first of `hosts`
    timeout: float = 5.0
    settle: float = 3.0


REMARKS_MAX = 100
OPTIONS_BYTES_MAX = 16 * 1024
"""Of options that an application can read in uwsgi.opt: they travel in one message."""


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a file says and that is not done; nothing of it was refused."""

    key: str
    reason: str


class Cron(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command by time. `schedule` is a crontab's five fields; one that is `unique` is not
    begun while it runs; it is killed after `timeout` seconds, 0 = never."""

    schedule: str
    command: str
    unique: bool = False
    timeout: float = 0.0


class Daemon(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command beside the application. One that `daemonizes` goes on behind its `pidfile`."""

    command: str
    directory: str | None = None
    pidfile: str | None = None
    daemonizes: bool = False
    kill_signal: int = 15
    reload_signal: int | None = None
    touch_reload: tuple[str, ...] = ()


class VassalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal file, complete."""

    name: str
    app: str  # "module:callable", "/file.py:callable", either with (args); "" = only mounts
    directory: str
    listen: tuple[ListenAddress, ...]
    mounts: dict[str, str] = {}  # prefix without a slash at its end → like app
    static: dict[str, str] = {}  # prefix without a slash at its end → folder or file
    static_index: tuple[str, ...] = ()
    check_static: tuple[str, ...] = ()
    python: str | None = None  # a virtualenv or an interpreter; None = chosen at the start
    pythonpath: tuple[str, ...] = ()
    env: dict[str, str] = {}
    user: str | None = None  # None = by the file's owner and the policy
    group: str | None = None
    workers: Workers = Workers(1, 1)
    threads: int = 1
    harakiri: float = 30.0  # 0 = off
    harakiri_max: float = 0.0  # 0 = overrides may only shorten
    harakiri_soft: float = 0.0  # 0 = off
    spawn_timeout: float = 60.0
    lazy_apps: bool = False
    worker_cpus: int = 0
    exec_start_pre: tuple[str, ...] = ()  # lines for /bin/sh; with "-" before it, it may fail
    exec_start_post: tuple[str, ...] = ()
    exec_stop_post: tuple[str, ...] = ()
    cron: tuple[Cron, ...] = ()
    daemon: tuple[Daemon, ...] = ()
    stop_timeout: float = 30.0
    socket_timeout: float = 30.0
    keepalive_timeout: float = 15.0
    max_requests: int = 0
    max_requests_jitter: int | None = None  # None = a tenth of max_requests
    max_worker_lifetime: float = 0.0
    reload_on_rss: int = 0
    reload_on_as: int = 0
    autoreload: float = 0.0  # 0 = never
    max_head: int = 32 * 1024
    max_body: int = 0  # 0 = no limit
    backlog: int = 1024
    stats: tuple[ListenAddress, ...] = ()
    stats_requests: bool = False  # method and URI of what runs are told
    socket: SocketMode = SocketMode()
    hosts: tuple[str, ...] = ()
    log: LogConfig = LogConfig()
    access_log: AccessLog | None = None  # None = no line for a request
    procname: str | None = None
    pidfile: str | None = None
    fifo: tuple[str, ...] = ()
    signals: str = SIGNALS_OFF
    on_demand: bool = False
    idle_stop: float = 0.0  # 0 = never
    max_unavailable: int = 0
    health: Health = Health()
    touch_reload: tuple[str, ...] = ()
    plan: str | None = None  # the plan that is merged under it
    on_unsupported: str | None = None  # "fail", "warn"; None = fail for `written`, else warn
    limits: Limits = Limits()
    sandbox: Sandbox = Sandbox()
    remarks: tuple[Remark, ...] = ()  # on files in uWSGI's dialect
    uwsgi_api: bool = False  # `import uwsgi` works
    uwsgi_options: tuple[tuple[str, str], ...] = ()  # of a file in uWSGI's dialect
    written: frozenset[str] = frozenset()  # dotted keys that file, plan or [defaults] say

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """All sockets: those of requests, and behind them those of statistics."""
        return self.listen + self.stats


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What vassal files may ask for."""

    default_user: str = "nobody"
    default_group: str | None = None  # None = the account's own
    allow_root: bool = False
    tyrant: bool = False  # each file runs as its owner, and root's are refused
    tyrant_groups: tuple[str, ...] = ()  # count as a file's group, whoever is a member
    default_plan: str | None = None  # of the files that name none


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What percentages are of; 0 = not known. `cpus` counts those it can have."""

    memory_bytes: int = 0
    tasks_max: int = 0
    cpus: int = 0


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Values that are merged under a file: checked, as written. `lines` by dotted key."""

    values: dict[str, object] = {}
    lines: dict[str, int] = {}


class OwnerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """[owner.NAME]: what an account's vassals have, and what its own files may say."""

    plan: str | None = None
    plans: tuple[str, ...] = ()  # others that its files may choose
    customer: str | None = None  # its slice
    max_vassals: int | None = None
    hosts: tuple[str, ...] | None = None  # "blog.example", "*.blog.example"; None = any
    listen_tcp: bool = True
    layer: Layer = Layer()  # its [limits] and [sandbox], merged over the plan


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a vassal file. A `tenant` may only tighten; root and the emperor may all."""

    name: str = "root"
    tenant: bool = False


PROVIDER = Owner()


class Templates(msgspec.Struct, frozen=True, kw_only=True):
    """What is put around each file in uWSGI's dialect: paths, and NAME=VALUE in `vassals_set` and
    `vassals_options`, which come first."""

    vassals_inherit: tuple[str, ...] = ()
    vassals_include: tuple[str, ...] = ()
    vassals_inherit_before: tuple[str, ...] = ()
    vassals_include_before: tuple[str, ...] = ()
    vassals_set: tuple[str, ...] = ()
    vassals_options: tuple[str, ...] = ()
    inherit_environment: bool = False  # the provider's see the emperor's own


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the vassals of one customer share."""

    limits: Limits = Limits(tasks_max=None)
    workers_max: int | None = None


class EmperorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """emperor.toml, complete."""

    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # patterns: of a directory that one is in, what matches counts
    runtime_dir: str = "/run/emperor"
    log_dir: str = "/var/log/emperor"
    state_dir: str = "/var/lib/emperor"
    spawn_concurrency: int = 4
    workers_max: int | None = None  # of all vassals together
    stats: tuple[ListenAddress, ...] = ()  # the emperor's own, with all vassals
    stats_workers: tuple[ListenAddress, ...] = ()  # the workers of all vassals
    fifo: str | None = None  # letters to the emperor itself
    pidfile: str | None = None  # of the main process
    shutdown_timeout: float = 90.0
    watch: WatchMode = WatchMode.AUTO
    poll_interval: float = 1.0
    policy: Policy = Policy()
    uwsgi: Templates = Templates()
    defaults: dict[str, object] = {}  # merged under every vassal file: checked, as written
    defaults_lines: dict[str, int] = {}  # dotted key of `defaults` → its line in `file`
    plans: dict[str, Layer] = {}
    owners: dict[str, OwnerPolicy] = {}  # by account; "*" = every other
    customers: dict[str, Budget] = {}
    machine: Machine = Machine()
    file: str = "emperor.toml"  # this file's name for people

    def takes(self, directory: str, file_name: str) -> bool:
        """Return whether a file of a watched directory may be a vassal's, as `files` has it."""
        here = [one for one in self.files if one.rpartition("/")[0] == directory]
        path = f"{directory}/{file_name}"
        return not here or any(fnmatchcase(path, pattern) for pattern in here)
