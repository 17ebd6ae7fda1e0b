"""What one process shall be confined to: a value, sent as JSON to where the process is born.

Numbers only: users and groups are resolved before, because a name service must not be
asked in a forked child. What the host can do of it is decided by `limits.plan`.
"""

import msgspec

from limits import capabilities
from limits.landlock import LandlockRules
from limits.mounts import PrivateRoot
from limits.namespaces import NAMESPACES
from limits.rlimits import INFINITY, RLIMITS, exceeds

ID_MAX = 2**32 - 2  # (uid_t) -1 means "leave as is" to the kernel
GROUPS_MAX = 65536  # NGROUPS_MAX
RLIMIT_MAX = 2**63 - 1
SIGNAL_MAX = 64
INSTRUCTION_BYTES = 8  # struct sock_filter
FILTER_BYTES_MAX = 4096 * INSTRUCTION_BYTES  # BPF_MAXINSNS
IO_CLASSES = {"realtime": 1, "best-effort": 2, "idle": 3}  # linux/ioprio.h
CPU_MAX = 8191


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is asked for one process; the defaults leave everything as it is.

    `uid` needs `gid` and `groups` beside it, or the old user's groups would stay.
    `rlimits` maps a name of RLIMITS to (soft, hard), -1 = infinity. `nice` and
    `oom_score_adjust` are absolute. `dumpable` False closes /proc/self/mem and ptrace
    to processes of the same uid. `drop_capabilities` leaves `capability_bounding_set` within
    reach, and `ambient_capabilities`, which are among them, in effect. `system_call_filter`
    is a seccomp program. `io_priority` is a class of IO_CLASSES and a level, 0 to 7.
    `keyring` is "private" or None. `namespaces` are names of NAMESPACES; a `root` needs
    "mnt" among them, and "user" needs a `uid`, which is mapped into it. Raises ValueError
    when made with illegal values.
    """

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    rlimits: dict[str, tuple[int, int]] = {}
    umask: int | None = None
    nice: int | None = None
    oom_score_adjust: int | None = None
    new_session: bool = False
    no_new_privs: bool = False
    drop_capabilities: bool = False
    pid_namespace: bool = False
    death_signal: int | None = None
    dumpable: bool | None = None
    system_call_filter: bytes | None = None
    landlock: LandlockRules | None = None
    capability_bounding_set: tuple[str, ...] = ()
    ambient_capabilities: tuple[str, ...] = ()
    keyring: str | None = None
    io_priority: tuple[str, int] | None = None
    cpu_affinity: tuple[int, ...] | None = None
    namespaces: tuple[str, ...] = ()
    root: PrivateRoot | None = None

    def __post_init__(self) -> None:
        if self.uid is not None and (self.gid is None or self.groups is None):
            raise ValueError("uid without gid and groups would keep the old user's groups")
        if self.groups is not None and self.gid is None:
            raise ValueError("groups without gid: give both")
        if self.groups is not None and len(self.groups) > GROUPS_MAX:
            raise ValueError(f"groups: more than {GROUPS_MAX}")
        for value in (self.uid, self.gid, *(self.groups or ())):
            _check_range("id", value, 0, ID_MAX)
        _check_range("umask", self.umask, 0, 0o777)
        _check_range("nice", self.nice, -20, 19)
        # -1000 would exempt the process from the OOM killer altogether.
        _check_range("oom_score_adjust", self.oom_score_adjust, -999, 1000)
        _check_range("death_signal", self.death_signal, 1, SIGNAL_MAX)
        for name, (soft, hard) in self.rlimits.items():
            _check_rlimit(name, soft, hard)
        self._check_filter()
        self._check_capabilities()
        self._check_scheduling()
        self._check_namespaces()

    def _check_filter(self) -> None:
        if (program := self.system_call_filter) is not None:
            if not program or len(program) % INSTRUCTION_BYTES or len(program) > FILTER_BYTES_MAX:
                raise ValueError(f"system_call_filter: {len(program)} bytes are no seccomp program")
        if self.keyring not in (None, "private"):
            raise ValueError(f'keyring {self.keyring[:40]!r} is not "private"')

    def _check_capabilities(self) -> None:
        kept, ambient = self.capability_bounding_set, self.ambient_capabilities
        if problems := capabilities.check_names((*kept, *ambient)):
            raise ValueError("; ".join(problems))
        if (kept or ambient) and not self.drop_capabilities:
            raise ValueError("capabilities are only kept where drop_capabilities drops the others")
        if missing := [name for name in ambient if name not in kept]:
            raise ValueError(
                f"ambient_capabilities: {missing[0]} is not in capability_bounding_set"
            )

    def _check_scheduling(self) -> None:
        if self.io_priority is not None:
            kind, level = self.io_priority
            if kind not in IO_CLASSES:
                raise ValueError(f"io_priority {kind[:40]!r} is not one of {', '.join(IO_CLASSES)}")
            _check_range("io_priority level", level, 0, 7)
        if self.cpu_affinity is not None and not self.cpu_affinity:
            raise ValueError("cpu_affinity without a CPU")
        for cpu in self.cpu_affinity or ():
            _check_range("CPU", cpu, 0, CPU_MAX)

    def _check_namespaces(self) -> None:
        for namespace in self.namespaces:
            if namespace not in NAMESPACES:
                raise ValueError(f"no such namespace: {namespace[:40]!r}")
        if self.root is not None and "mnt" not in self.namespaces:
            raise ValueError("root without a mount namespace would change the host's mounts")
        if "user" in self.namespaces and self.uid is None:
            raise ValueError("a user namespace without uid: nobody would be mapped into it")


def _check_range(what: str, value: int | None, lowest: int, highest: int) -> None:
    if value is not None and not lowest <= value <= highest:
        raise ValueError(f"{what} {value} is not between {lowest} and {highest}")


def _check_rlimit(name: str, soft: int, hard: int) -> None:
    if name not in RLIMITS:
        raise ValueError(f"no such rlimit: {name[:40]!r}")
    _check_range(f"{name} soft limit", soft, INFINITY, RLIMIT_MAX)
    _check_range(f"{name} hard limit", hard, INFINITY, RLIMIT_MAX)
    if exceeds(soft, hard):
        raise ValueError(f"{name}: the soft limit {soft} is above the hard limit {hard}")
