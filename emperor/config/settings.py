"""What a vassal file and the emperor's own file can say, after all checks.

These classes are the contract between configuration and the rest: every value here is
complete (defaults merged), in base units, and legal. Durations are seconds, sizes bytes.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from limits.directives import Limits, Sandbox


class WatchMode(StrEnum):
    """How a directory of vassal files is watched."""

    AUTO = "auto"
    INOTIFY = "inotify"
    POLL = "poll"


class ListenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One `listen` URL, parsed: `[PROTOCOL+]unix://PATH` or `PROTOCOL://HOST:PORT`.

    Exactly one of `path` and `port` is set. `key` is the same for two spellings of one
    address, whatever the protocol.
    """

    url: str
    protocol: str  # http | uwsgi | fastcgi | scgi
    path: str | None = None
    host: str = ""
    port: int | None = None

    @property
    def key(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"


class SocketMode(msgspec.Struct, frozen=True, kw_only=True):
    """Owner, group and permission bits of the unix sockets; None = the vassal's own."""

    user: str | None = None
    group: str | None = None
    mode: int = 0o660


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`target`: "inherit", "journal", "file" (in the emperor's log directory) or a path."""

    target: str = "file"
    max_bytes: int = 10 * 1024 * 1024
    keep: int = 3
    lines_per_second: float = 1000.0


class Workers(NamedTuple):
    """How many worker processes: a fixed number when both are the same."""

    min: int
    max: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What new code must answer before it takes over; no `path` = only be loaded.

    `expect` are ranges of statuses. `settle` is how long the old code stands by.
    """

    path: str | None = None
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    host: str | None = None  # None = the first of `hosts`
    timeout: float = 5.0
    settle: float = 3.0


class VassalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal file, complete."""

    name: str
    app: str  # "module:callable" or "module:factory(args)"
    directory: str
    listen: tuple[ListenAddress, ...]
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
    stop_timeout: float = 30.0
    socket_timeout: float = 30.0
    keepalive_timeout: float = 15.0
    max_requests: int = 0
    max_requests_jitter: int | None = None  # None = a tenth of max_requests
    max_worker_lifetime: float = 0.0
    reload_on_rss: int = 0
    max_head: int = 32 * 1024
    max_body: int = 0  # 0 = no limit
    backlog: int = 1024
    socket: SocketMode = SocketMode()
    hosts: tuple[str, ...] = ()
    log: LogConfig = LogConfig()
    on_demand: bool = False
    idle_stop: float = 0.0  # 0 = never
    max_unavailable: int = 0
    health: Health = Health()
    touch_reload: tuple[str, ...] = ()
    plan: str | None = None  # the plan that is merged under it
    on_unsupported: str | None = None  # "fail", "warn"; None = fail for `written`, else warn
    limits: Limits = Limits()
    sandbox: Sandbox = Sandbox()
    written: frozenset[str] = frozenset()  # dotted keys that file, plan or [defaults] say


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What vassal files may ask for."""

    default_user: str = "nobody"
    allow_root: bool = False
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


class EmperorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """emperor.toml, complete."""

    directories: tuple[str, ...] = ()
    runtime_dir: str = "/run/emperor"
    log_dir: str = "/var/log/emperor"
    spawn_concurrency: int = 4
    shutdown_timeout: float = 90.0
    watch: WatchMode = WatchMode.AUTO
    poll_interval: float = 1.0
    policy: Policy = Policy()
    defaults: dict[str, object] = {}  # merged under every vassal file: checked, as written
    defaults_lines: dict[str, int] = {}  # dotted key of `defaults` → its line in `file`
    plans: dict[str, Layer] = {}
    owners: dict[str, OwnerPolicy] = {}  # by account; "*" = every other
    customers: dict[str, Limits] = {}  # the budget that a customer's vassals share
    machine: Machine = Machine()
    file: str = "emperor.toml"  # this file's name for people
