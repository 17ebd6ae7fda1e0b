"""What this process may do on this host: a value that `plan` judges by, and its probe.

Tests make HostFacts by hand; everything else calls `probe()`.
"""

import os
import resource
from enum import IntEnum

import msgspec

from limits import kernel, kernel_files, mount_api
from limits.namespaces import NAMESPACES
from limits.rlimits import RLIMITS

NOFILE_MAX = 1024 * 1024
"""fs.nr_open where nobody changed it."""


class Capability(IntEnum):
    """The capabilities that a plan depends on; numbers of linux/capability.h."""

    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    SYS_ADMIN = 21
    SYS_NICE = 23
    SYS_RESOURCE = 24


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The privileges and present limits of the process that a plan is made for.

    `uids` and `gids` are (real, effective, saved). `capabilities` is the effective set
    as a bit mask. `can_pid_namespace`: a process forked for this plan is, or can be,
    PID 1 of a namespace of its own. `parent_pid` is what getppid() must say (0 in a new
    PID namespace), None = not checked. `nofile_max` is fs.nr_open. `no_new_privs` is set
    already. `landlock_abi` 0 = there is no Landlock. `cpus` are those that are online.
    `namespaces` are the names of NAMESPACES that the kernel has and allows. `mount_api`:
    mounts can be made through descriptors, and the root can be changed for another.
    """

    uids: tuple[int, int, int]
    gids: tuple[int, int, int]
    groups: tuple[int, ...] = ()
    capabilities: int = 0
    can_pid_namespace: bool = False
    parent_pid: int | None = None
    rlimits: dict[str, tuple[int, int]] = {}
    nice: int = 0
    oom_score_adjust: int = 0
    nofile_max: int = NOFILE_MAX
    kernel: str = ""
    no_new_privs: bool = False
    seccomp: bool = False
    landlock_abi: int = 0
    keyrings: bool = False
    cpus: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ()
    mount_api: bool = False

    @property
    def euid(self) -> int:
        return self.uids[1]

    def has(self, capability: Capability) -> bool:
        """Return whether the capability is effective."""
        return bool(self.capabilities >> capability & 1)


def probe(can_pid_namespace: bool | None = None, parent_pid: int | None = None) -> HostFacts:
    """Read the facts of the calling process. Opens some small files of /proc.

    A child that was just forked passes what it got and who its parent is; None for
    `can_pid_namespace` judges by the capabilities.
    """
    status = dict(
        line.split(":", 1) for line in kernel_files.read("/proc/self/status").splitlines()
    )
    capabilities = int(status["CapEff"], 16)
    if can_pid_namespace is None:
        can_pid_namespace = bool(capabilities >> Capability.SYS_ADMIN & 1)
    return HostFacts(
        uids=os.getresuid(),
        gids=os.getresgid(),
        groups=tuple(os.getgroups()),
        capabilities=capabilities,
        can_pid_namespace=can_pid_namespace,
        parent_pid=parent_pid,
        rlimits={row.name: resource.getrlimit(row.number) for row in RLIMITS.values()},
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        oom_score_adjust=int(kernel_files.read("/proc/self/oom_score_adj")),
        nofile_max=_nofile_max(),
        kernel=os.uname().release,
        no_new_privs=status["NoNewPrivs"].strip() == "1",
        seccomp=kernel.has_seccomp(),
        landlock_abi=kernel.landlock_abi(),
        keyrings=kernel.has_keyrings(),
        cpus=_online_cpus(),
        namespaces=tuple(filter(_has_namespace, NAMESPACES)),
        mount_api=mount_api.is_available() and _root_is_mount(),
    )


def _online_cpus() -> tuple[int, ...]:
    try:
        text = kernel_files.read("/sys/devices/system/cpu/online")
    except OSError:  # a container without /sys
        return tuple(sorted(os.sched_getaffinity(0)))
    ranges = (part.partition("-") for part in text.strip().split(","))
    return tuple(cpu for low, _, high in ranges for cpu in range(int(low), int(high or low) + 1))


def _nofile_max() -> int:
    try:
        return int(kernel_files.read("/proc/sys/fs/nr_open"))
    except FileNotFoundError:  # a private root whose /proc shows processes only
        return NOFILE_MAX


def _root_is_mount() -> bool:
    """Return whether "/" is where something is mounted: in a plain chroot it is not, and the kernel
    neither changes how its mounts spread nor gives it up for another root."""
    lines = kernel_files.read("/proc/self/mountinfo").splitlines()
    return any(line.split(" ", 5)[4] == "/" for line in lines)


def _has_namespace(name: str) -> bool:
    try:
        return int(kernel_files.read(f"/proc/sys/user/max_{name}_namespaces")) > 0
    except OSError:
        return False
