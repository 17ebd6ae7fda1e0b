"""What a vassal file and the emperor's own file can say, after all checks.

These classes are the contract between configuration and the rest: every value here is
complete (defaults merged), in base units, and legal. Durations are seconds, sizes bytes.
"""

from enum import StrEnum

import msgspec


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


class RlimitPair(msgspec.Struct, frozen=True, kw_only=True):
    """A soft and a hard limit; -1 = infinity."""

    soft: int
    hard: int


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`target`: "inherit", "journal", "file" (in the emperor's log directory) or a path."""

    target: str = "file"
    max_bytes: int = 10 * 1024 * 1024
    keep: int = 3
    lines_per_second: float = 1000.0


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
    workers: int = 1
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
    touch_reload: tuple[str, ...] = ()
    limits: dict[str, RlimitPair] = {}  # "nofile" → pair, for every limit_* of [limits]
    not_applied: tuple[str, ...] = ()  # dotted keys that were asked for and do nothing yet


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What vassal files may ask for."""

    default_user: str = "nobody"
    allow_root: bool = False


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
    file: str = "emperor.toml"  # this file's name for people
