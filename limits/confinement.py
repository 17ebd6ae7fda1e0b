"""What one process shall be confined to: a value, sent as JSON to where the process is born.

Numbers only: users and groups are resolved before, because a name service must not be
asked in a forked child. What the host can do of it is decided by `limits.plan`.
"""

import msgspec

from limits.rlimits import INFINITY, RLIMITS, exceeds

ID_MAX = 2**32 - 2  # (uid_t) -1 means "leave as is" to the kernel
GROUPS_MAX = 65536  # NGROUPS_MAX
RLIMIT_MAX = 2**63 - 1
SIGNAL_MAX = 64


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is asked for one process; the defaults leave everything as it is.

    `uid` needs `gid` and `groups` beside it, or the old user's groups would stay.
    `rlimits` maps a name of RLIMITS to (soft, hard), -1 = infinity. `nice` and
    `oom_score_adjust` are absolute. `dumpable` False closes /proc/self/mem and ptrace
    to processes of the same uid. Raises ValueError when made with illegal values.
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
