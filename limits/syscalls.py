"""Thin wrappers: one per system call that Python 3.11 and python-prctl lack.

Each raises OSError as the kernel said it. Nothing here decides anything.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterable, Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Since Linux 5.0 new calls have one number on every architecture but alpha.
_SYS_CLOSE_RANGE = 436
_SYS_PIDFD_GETFD = 438
_SYS_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159}

_SIGSET_WORDS = 16  # 128 bytes, of which the kernel reads the first eight
_SFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK

CLONE_NEWPID = 0x20000000

_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_PR_SET_KEEPCAPS = 8

_CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`."""
    _check(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, namespace: int) -> None:
    """Join the namespace that `fd` stands for; `namespace` is its CLONE_NEW* flag."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(namespace)))


def close_range(first: int, last: int) -> None:
    """Close all descriptors from `first` to `last`, both included."""
    _syscall(_SYS_CLOSE_RANGE, first, last, 0)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """Return a duplicate of another process's descriptor; it is close-on-exec."""
    return _syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)


def call(number: int, *arguments: int) -> int:
    """Make a system call by its number on this machine, with up to six integers or addresses."""
    return _syscall(number, *arguments)


def set_thread_groups(groups: Sequence[int]) -> None:
    """Set the supplementary groups of this thread alone; glibc's setgroups() is for all."""
    number = _SYS_SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"setgroups has no known number on {platform.machine()}")
    array = (ctypes.c_uint32 * max(1, len(groups)))(*groups)
    _syscall(number, len(groups), ctypes.addressof(array))


def signalfd(signals: Iterable[int]) -> int:
    """Return a descriptor that these signals are read from, as long as they are blocked.

    It is close-on-exec and does not wait; signalfd(2) describes what is read.
    """
    mask = (ctypes.c_uint64 * _SIGSET_WORDS)(sum(1 << (signum - 1) for signum in signals))
    return _check(_libc.signalfd(ctypes.c_int(-1), mask, ctypes.c_int(_SFD_FLAGS)))


def setfsuid(uid: int) -> int:
    """Set the uid by which this thread opens files; return the one before. -1 only asks."""
    return int(_libc.setfsuid(ctypes.c_int(uid)))


def setfsgid(gid: int) -> int:
    """Set the gid by which this thread opens files; return the one before. -1 only asks."""
    return int(_libc.setfsgid(ctypes.c_int(gid)))


# python-prctl refuses capabilities and securebits that are younger than its headers:
# on a newer kernel they would stay with the tenant. So these three go past it.


def drop_from_bounding_set(capability: int) -> None:
    """Take the capability out of the bounding set."""
    _prctl(_PR_CAPBSET_DROP, capability)


def set_securebits(bits: int) -> None:
    """Set the securebits of this thread."""
    _prctl(_PR_SET_SECUREBITS, bits)


def clear_ambient_capabilities() -> None:
    """Empty the ambient set."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def raise_ambient_capability(capability: int) -> None:
    """Add to the ambient set what is permitted and inheritable."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def keep_capabilities() -> None:
    """Keep the permitted set when root's uid is left. Ends with the next exec."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def clear_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets, capabilities yet to come included."""
    set_capabilities(0, 0)


def set_capabilities(permitted: int, inheritable: int) -> None:
    """Set the permitted set, the effective one to the same, and the inheritable one."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = (_CapabilityData * 2)(
        _CapabilityData(permitted & low, permitted & low, inheritable & low),
        _CapabilityData(permitted >> 32, permitted >> 32, inheritable >> 32),
    )
    _check(_libc.capset(ctypes.byref(header), data))


def _prctl(option: int, argument: int, second: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    arguments = ctypes.c_ulong(argument), ctypes.c_ulong(second)
    _check(_libc.prctl(ctypes.c_int(option), *arguments, zero, zero))


def _syscall(number: int, *arguments: int) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def _check(result: int) -> int:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result
