"""What a vassal sees of the kernel: the mounts at /proc, /sys and /dev. Pure."""

from collections.abc import Iterator

from limits.directives import Sandbox, TemporaryFileSystem
from limits.mounts import (
    AnyMount,
    Cover,
    FileSystem,
    Hide,
    HideElsewhere,
    Restrict,
    Show,
    SystemLog,
)

SMALL = TemporaryFileSystem(size=64 * 1024, inodes=256)
"""For a tmpfs that only mount points are made in."""

# systemd's src/core/namespace.c, protect_kernel_tunables_proc_table.
_TUNABLES = (
    "acpi",
    "apm",
    "asound",
    "bus",
    "fs",
    "irq",
    "latency_stats",
    "mtrr",
    "scsi",
    "sys",
    "sysrq-trigger",
    "timer_stats",
)
_SECRETS_OF_PROC = ("kallsyms", "kcore")
_SECRETS_OF_SYS = ("kernel/debug", "kernel/tracing", "kernel/security", "firmware")

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def proc(sandbox: Sandbox) -> Iterator[AnyMount]:
    """Return the mounts at and below /proc."""
    options, key = {}, "private_pids"
    if sandbox.proc_subset != "all":
        options["subset"] = sandbox.proc_subset
        key = "proc_subset"
    if sandbox.protect_proc != "default":
        options["hidepid"] = sandbox.protect_proc
        key = "protect_proc"
    if sandbox.private_pids or sandbox.root_directory or options:
        yield _hide_elsewhere(sandbox, key, "proc")
        yield FileSystem(
            path="/proc",
            type="proc",
            options=options,
            key=key,
            no_suid=True,
            no_dev=True,
            no_exec=True,
        )
    elif sandbox.protect_system == "strict":
        yield Show(path="/proc", source="/proc")
    if sandbox.proc_subset == "all":
        if sandbox.protect_kernel_tunables:
            key = "protect_kernel_tunables"
            for name in _TUNABLES:
                yield Restrict(path=f"/proc/{name}", read_only=True, optional=True, key=key)
            for name in _SECRETS_OF_PROC:
                yield Hide(path=f"/proc/{name}", optional=True, key=key)
        if sandbox.protect_kernel_logs:
            yield Hide(path="/proc/kmsg", optional=True, key="protect_kernel_logs")


def _hide_elsewhere(sandbox: Sandbox, key: str, *types: str) -> HideElsewhere:
    base = sandbox.root_directory or "/"
    return HideElsewhere(path="/", types=types, base=base, optional=True, key=key)


def sys(sandbox: Sandbox) -> Iterator[AnyMount]:
    """Return the mounts at and below /sys, and what hides the kernel's modules."""
    key = "protect_kernel_tunables"
    protected = sandbox.protect_kernel_tunables
    # An instance shows the interfaces of the network namespace that it was mounted in.
    fresh = sandbox.root_directory is not None or sandbox.network == "none"
    if fresh:
        yield FileSystem(
            path="/sys",
            type="sysfs",
            read_only=protected,
            optional=True,
            key=key,
            no_suid=True,
            no_dev=True,
            no_exec=True,
        )
    elif protected:
        yield Restrict(path="/sys", read_only=True, optional=True, key=key)
    elif sandbox.protect_system == "strict":
        yield Show(path="/sys", source="/sys", optional=True)
    if protected:
        for name in _SECRETS_OF_SYS:
            yield Hide(path=f"/sys/{name}", optional=True, key=key)
    if sandbox.protect_control_groups:
        yield _hide_elsewhere(sandbox, "protect_control_groups", "cgroup", "cgroup2")
        # The host's would name every customer and show what they use. A new instance, made
        # in the new cgroup namespace, has the vassal's own cgroup as its root: runtimes
        # read their own memory.max and cpu.max there. systemd 257 calls it "strict".
        yield FileSystem(
            path="/sys/fs/cgroup",
            type="cgroup2",
            read_only=True,
            optional=True,
            key="protect_control_groups",
            no_suid=True,
            no_dev=True,
            no_exec=True,
        )
    elif fresh or protected or sandbox.protect_system == "strict":
        yield Show(path="/sys/fs/cgroup", source="/sys/fs/cgroup", optional=True)
    if sandbox.protect_kernel_modules:
        for path in ("/lib/modules", "/usr/lib/modules"):
            yield Hide(path=path, optional=True, key="protect_kernel_modules")


def devices(sandbox: Sandbox) -> Iterator[AnyMount]:
    """Return the mounts at and below /dev."""
    private, key = sandbox.private_devices, "private_devices"
    if private:
        yield Cover(
            path="/dev",
            size=SMALL.size,
            inodes=SMALL.inodes,
            mode=0o755,
            links=_DEVICE_LINKS,
            no_suid=True,
            no_exec=True,
            read_only=True,
            key=key,
        )
        for name in _DEVICES:
            path = f"/dev/{name}"
            # Read-only is the node; what it stands for can be written to all the same.
            yield Show(path=path, source=path, read_only=True, no_suid=True, no_exec=True, key=key)
        yield FileSystem(
            path="/dev/pts",
            type="devpts",
            options={"mode": "0620", "gid": "5", "ptmxmode": "0666"},
            no_suid=True,
            no_exec=True,
            key=key,
        )
        yield SystemLog(path="/dev/log", optional=True, key=key)
    elif sandbox.protect_system == "strict" or sandbox.root_directory:
        yield Show(path="/dev", source="/dev")
    if not private and sandbox.protect_kernel_logs:
        yield Hide(path="/dev/kmsg", optional=True, key="protect_kernel_logs")
    if private or sandbox.private_tmp:
        bounds = sandbox.private_tmp or TemporaryFileSystem()
        yield Cover(
            path="/dev/shm",
            size=bounds.size,
            inodes=bounds.inodes,
            mode=0o1777,
            optional=not private,
            no_suid=True,
            no_dev=True,
            key=key if private else "private_tmp",
        )
    if sandbox.private_ipc:
        yield FileSystem(
            path="/dev/mqueue",
            type="mqueue",
            optional=True,
            key="private_ipc",
            no_suid=True,
            no_dev=True,
            no_exec=True,
        )
