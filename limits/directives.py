"""Every directive of [limits] and [sandbox] as a value: what is asked, not how it is done. Pure.

Names and meanings are those of systemd.exec(5) and systemd.resource-control(5) in
snake_case. Sizes are bytes, times seconds, INFINITY (-1) = no limit, None = not asked
for. The defaults are the strict ones that a tenant gets where nobody wrote anything.
"""

import msgspec

from limits.rlimits import INFINITY

MEBIBYTE = 1024 * 1024

METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out the machine's credentials: nothing for a tenant."""

DEFAULT_RLIMITS: dict[str, tuple[int, int]] = {
    "nofile": (1024, 4096),
    "core": (0, 0),
    "memlock": (64 * 1024, 64 * 1024),
    "msgqueue": (0, 0),
    "rtprio": (0, 0),
    "sigpending": (1024, 1024),
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """[limits]: what the processes of one vassal may use, together or each.

    `cpu_quota` counts CPUs: 1.5 is "150%". Paths of the io_* tables are files or folders
    whose device is meant. `rlimits` are (soft, hard) by name of RLIMITS.
    """

    memory_max: int | None = None
    memory_high: int | None = None
    memory_low: int | None = None
    memory_min: int | None = None
    memory_swap_max: int | None = None  # None = 0 where memory_max is given
    memory_oom_group: bool = False
    cpu_quota: float | None = None
    cpu_quota_period_sec: float = 0.1
    cpu_burst: float | None = None
    cpu_weight: int | None = None
    allowed_cpus: tuple[int, ...] | None = None
    allowed_memory_nodes: tuple[int, ...] | None = None
    io_read_bandwidth_max: dict[str, int] = {}
    io_write_bandwidth_max: dict[str, int] = {}
    io_read_iops_max: dict[str, int] = {}
    io_write_iops_max: dict[str, int] = {}
    io_weight: int | None = None
    io_device_latency_target_sec: dict[str, float] = {}
    tasks_max: int | None = 128
    hugetlb_max: dict[str, int] = {}  # page size in the kernel's words ("2MB") → bytes
    slice: str | None = None  # the customer whose budget it shares; None = its user's own
    rlimits: dict[str, tuple[int, int]] = {}
    nice: int | None = None
    io_scheduling_class: str | None = None  # "realtime", "best-effort" or "idle"
    io_scheduling_priority: int | None = None  # 0 (first) to 7
    cpu_affinity: tuple[int, ...] | None = None
    oom_score_adjust: int = 300  # of the master; workers get WORKER_OOM_SCORE more
    umask: int = 0o027
    disk_quota: int | None = None
    inode_quota: int | None = None

    def all_rlimits(self) -> dict[str, tuple[int, int]]:
        """Return the rlimits with the defaults below what was written."""
        return DEFAULT_RLIMITS | self.rlimits


WORKER_OOM_SCORE = 200
OOM_SCORE_MAX = 1000


class TemporaryFileSystem(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one tmpfs. Its memory counts towards the vassal's memory_max."""

    size: int = 256 * MEBIBYTE
    inodes: int = 16384


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of the host that is shown at `target` inside, `optional`: if it exists."""

    source: str
    target: str
    optional: bool = False


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """[sandbox]: what the processes of one vassal may see and call.

    Paths are absolute. `restrict_namespaces` True = none may be made, a tuple = all but
    these (of "cgroup", "ipc", "net", "mnt", "pid", "user", "uts"). Filters are lists as
    systemd writes them: names, @groups, and "~" before what is taken out again.
    """

    private_pids: bool = True
    private_ipc: bool = True
    private_users: bool = False
    protect_hostname: bool = True
    protect_control_groups: bool = True
    private_tmp: TemporaryFileSystem | None = TemporaryFileSystem()  # None = the host's /tmp
    private_devices: bool = True
    protect_system: str = "strict"  # "no", "true", "full" or "strict"
    protect_home: str = "tmpfs"  # "no", "true", "read-only" or "tmpfs"
    protect_proc: str = "invisible"  # "default", "noaccess", "invisible" or "ptraceable"
    proc_subset: str = "all"  # "all" or "pid"
    protect_kernel_tunables: bool = True
    protect_kernel_modules: bool = True
    protect_kernel_logs: bool = True
    protect_clock: bool = True
    read_only_paths: tuple[str, ...] = ()
    read_write_paths: tuple[str, ...] = ()
    inaccessible_paths: tuple[str, ...] = ()
    no_exec_paths: tuple[str, ...] = ()
    bind_paths: tuple[Bind, ...] = ()
    bind_read_only_paths: tuple[Bind, ...] = ()
    temporary_file_system: dict[str, TemporaryFileSystem] = {}
    root_directory: str | None = None
    capability_bounding_set: tuple[str, ...] = ()  # CAP_* that stay; systemd's default is all
    ambient_capabilities: tuple[str, ...] = ()
    keyring_mode: str = "private"  # "private" or "inherit"
    lock_personality: bool = True
    memory_deny_write_execute: bool = False  # breaks just-in-time compilers
    restrict_realtime: bool = True
    restrict_suid_sgid: bool = True
    restrict_namespaces: bool | tuple[str, ...] = True
    restrict_address_families: tuple[str, ...] = ("AF_UNIX", "AF_INET", "AF_INET6")
    system_call_filter: tuple[str, ...] = ("@hosting",)  # () = no filter
    landlock: bool = True  # where the kernel has it
    network: str = "host"  # "none", "host" or "egress-filter"
    ip_address_allow: tuple[str, ...] = ()  # networks in CIDR notation; wins over deny
    ip_address_deny: tuple[str, ...] = METADATA_ADDRESSES


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom and what the directives are applied to. Paths are absolute and without symlinks.

    `customer` names the slice. `homes` are the folders that stay visible whatever
    protect_home and private_tmp hide: (path, writable). `hidden` are the emperor's own
    places. `written` are the dotted keys that somebody wrote, as against defaults.
    """

    vassal: str
    customer: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    homes: tuple[tuple[str, bool], ...] = ()
    hidden: tuple[str, ...] = ()
    written: frozenset[str] = frozenset()


def is_unlimited(value: int | None) -> bool:
    """Return whether a size or count of Limits limits nothing."""
    return value is None or value == INFINITY
