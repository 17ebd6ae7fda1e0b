"""What a master needs to know to run one generation of its application. Pure."""

import msgspec

from limits.confinement import Confinement


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a vassal's output goes. `target` is "inherit", "journal" or an absolute path.

    `own` is the file to use where that one cannot be opened, "" = the emperor's own log.
    `requests` is the same for lines of the access log, "" = they are among the others. `date`
    is a format of strftime for the master's own lines, "" = the usual one.
    """

    target: str = "inherit"
    own: str = ""
    requests: str = ""
    date: str = ""
    max_bytes: int = 10 * 1024 * 1024
    keep: int = 3
    lines_per_second: float = 1000.0


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One socket of a generation; `url` is for people, `key` names it everywhere."""

    key: str
    url: str
    protocol: str
    host: str
    port: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the first worker of a new generation must answer before it serves.

    `expect` are ranges of statuses, both ends among them.
    """

    path: str
    host: str = "localhost"
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    timeout_s: float = 5.0


class AccessLog(msgspec.Struct, frozen=True, kw_only=True):
    """A line for each request; where a condition is given, only for those that meet one."""

    format: str
    log_4xx: bool = False
    log_5xx: bool = False
    log_slow_s: float = 0.0


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """All a master needs to run one generation of its application. Seconds and bytes.

    `app` is "" where there are only `mounts`, which are named by prefix.
    `confinement` is what the mold is put under, beyond what its master was born into;
    `memory_max_bytes` is the limit of its cgroup, 0 = none. `master_pid` is the master's
    own as the host counts it, for `pidfile`; 0 = as itself does. `beside`: another master
    serves, and stands by until this generation, the first of its master, has settled.
    """

    vassal: str
    number: int
    fingerprint: str
    app: str
    directory: str
    python: str
    mounts: dict[str, str] = {}
    static: dict[str, str] = {}
    static_index: tuple[str, ...] = ()
    check_static: tuple[str, ...] = ()
    pythonpath: tuple[str, ...] = ()
    env: dict[str, str] = {}
    workers: int = 1
    workers_min: int = 0  # 0 = `workers` is fixed; else it is the most
    workers_granted: int = 0  # have no more without asking; 0 = up to `workers`
    workers_initial: int = 0  # 0 = `workers_min`
    workers_step: int = 0  # 0 = by as many as clients wait for
    threads: int = 1
    listeners: tuple[Listener, ...] = ()
    stats: tuple[Listener, ...] = ()
    stats_requests: bool = False
    harakiri_s: float = 0.0
    harakiri_max_s: float = 0.0
    harakiri_soft_s: float = 0.0
    spawn_timeout_s: float = 30.0
    lazy_apps: bool = False  # loaded by each worker, not by the mold
    worker_cpus: int = 0  # that each worker is bound to, in turn; 0 = all
    exec_start_pre: tuple[str, ...] = ()  # for /bin/sh; one with "-" before it may fail
    exec_start_post: tuple[str, ...] = ()
    exec_stop_post: tuple[str, ...] = ()
    stop_timeout_s: float = 30.0
    socket_timeout_s: float = 30.0
    keepalive_timeout_s: float = 15.0
    max_requests: int = 0
    max_requests_jitter: int = 0
    max_worker_lifetime_s: float = 0.0
    reload_on_rss_bytes: int = 0
    reload_on_as_bytes: int = 0
    autoreload_s: float = 0.0
    head_bytes_max: int = 32 * 1024
    body_bytes_max: int = 0
    max_unavailable: int = 0
    settle_s: float = 0.0
    beside: bool = False
    health: Health | None = None
    procname: str = ""
    uwsgi_api: bool = False
    uwsgi_options: tuple[tuple[str, str], ...] = ()
    pidfile: str = ""
    master_pid: int = 0
    access_log: AccessLog | None = None
    idle_stop_s: float = 0.0  # 0 = never say that it is idle
    on_demand: bool = False
    fifo: tuple[str, ...] = ()  # the first is there, the others by their numbers
    signals: str = "ignore"
    confinement: Confinement = Confinement()
    memory_max_bytes: int = 0
    log: LogSettings = LogSettings()
