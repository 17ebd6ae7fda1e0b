"""Thin wrappers: one per system call that Python 3.11 and python-prctl lack.

Each raises OSError as the kernel said it. Nothing here decides anything.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Since Linux 5.0 new calls have one number on every architecture but alpha.
_SYS_CLOSE_RANGE = 436
_SYS_PIDFD_GETFD = 438

CLONE_NEWPID = 0x20000000

_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

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


def clear_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets, capabilities yet to come included."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (_CapabilityData * 2)()
    _check(_libc.capset(ctypes.byref(header), nothing))


def _prctl(option: int, argument: int) -> None:
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), zero, zero, zero))


def _syscall(number: int, *arguments: int) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def _check(result: int) -> int:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result
