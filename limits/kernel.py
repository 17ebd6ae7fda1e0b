"""System calls that the C library has no function for: seccomp, Landlock, keyrings, ioprio.

Thin wrappers like those of `syscalls`: OSError as the kernel said it, nothing decided here.
"""

import ctypes
import errno
import os

from limits import syscalls

# seccomp, keyctl, ioprio_set: the calls here whose number is not the same everywhere.
_NUMBERS = {"x86_64": (317, 250, 251), "aarch64": (277, 219, 30)}
_SECCOMP, _KEYCTL, _IOPRIO_SET = _NUMBERS.get(os.uname().machine, (-1, -1, -1))  # -1: ENOSYS

_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_ACTION_AVAIL = 2
_SECCOMP_RET_KILL_PROCESS = 0x80000000

_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1

_KEYCTL_GET_KEYRING_ID = 0
_KEYCTL_JOIN_SESSION_KEYRING = 1
_KEY_SPEC_SESSION_KEYRING = -3

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13

_INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def install_filter(program: bytes) -> None:
    """Put this thread, and all that it will start, under a seccomp filter for good."""
    filled = _Program(len(program) // _INSTRUCTION_BYTES, program)
    syscalls.call(_SECCOMP, _SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(filled))


def has_seccomp() -> bool:
    """Return whether the kernel filters calls, and can kill a process for one."""
    action = ctypes.c_uint32(_SECCOMP_RET_KILL_PROCESS)
    try:
        syscalls.call(_SECCOMP, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.addressof(action))
    except OSError:
        return False
    return True


def landlock_abi() -> int:
    """Return the version of the kernel's Landlock; 0 = there is none."""
    try:
        return syscalls.call(_LANDLOCK_CREATE_RULESET, 0, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    except OSError:
        return 0


def create_ruleset(handled_fs: int, handled_net: int, scoped: int) -> int:
    """Return the descriptor of a new Landlock ruleset. Fields left 0 need no newer kernel."""
    attributes = _RulesetAttributes(handled_fs, handled_net, scoped)
    address, size = ctypes.addressof(attributes), ctypes.sizeof(attributes)
    return syscalls.call(_LANDLOCK_CREATE_RULESET, address, size, 0)


def allow_beneath(ruleset: int, folder: int, access: int) -> None:
    """Allow `access` to the file or folder that a descriptor stands for, and all below it."""
    rule = _PathBeneath(access, folder)
    address = ctypes.addressof(rule)
    syscalls.call(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, address, 0)


def restrict_self(ruleset: int) -> None:
    """Put this thread, and all that it will start, under the ruleset for good."""
    syscalls.call(_LANDLOCK_RESTRICT_SELF, ruleset, 0)


def join_new_session_keyring() -> None:
    """Leave the session keyring for a new one without a name."""
    syscalls.call(_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, 0)


def has_keyrings() -> bool:
    """Return whether there are keyrings that this process may ask about."""
    try:
        syscalls.call(_KEYCTL, _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING, 0)
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.EPERM)
    return True


def set_io_priority(kind: int, level: int) -> None:
    """Set the I/O priority of this thread; what it starts inherits it."""
    value = kind << _IOPRIO_CLASS_SHIFT | level
    syscalls.call(_IOPRIO_SET, _IOPRIO_WHO_PROCESS, 0, value)
