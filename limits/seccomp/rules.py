"""What is decided by a call's arguments: the restrict_* keys and their like. Pure.

A rule that matches gives its action; where none does, the call is allowed. Only what lies in
registers can be looked at. A call that takes the same request from memory is refused whole.
"""

import errno
from dataclasses import dataclass

from limits.directives import Sandbox

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_WHOLE = 0xFFFFFFFF


def failing(number: int) -> int:
    """Return the action with which a call fails with this errno."""
    return _ERRNO | number


EPERM = failing(errno.EPERM)
ENOSYS = failing(errno.ENOSYS)
EAFNOSUPPORT = failing(errno.EAFNOSUPPORT)


@dataclass(frozen=True)
class Test:
    """Whether the low half of an argument, masked, is among `values` (or, not `inside`: is not)."""

    __test__ = False  # no test for pytest

    argument: int
    mask: int
    values: tuple[int, ...]
    inside: bool = True


@dataclass(frozen=True)
class Rule:
    """Gives `action` when all tests hold. Without tests it always does."""

    tests: tuple[Test, ...]
    action: int


Rules = tuple[Rule, ...]

NAMESPACES = {
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
}
_NEW_TIME = 0x00000080  # part of the exit signal in clone's flags

_TTY_REQUESTS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD

_PERSONALITY_READ = 0xFFFFFFFF
_PERSONALITY_LINUX = 0

_RESET_ON_FORK = 0x40000000
_ORDINARY_POLICIES = (0, 3, 5)  # SCHED_OTHER, SCHED_BATCH, SCHED_IDLE

_SUID, _SGID = 0o4000, 0o2000
_CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
_MODE_ARGUMENTS = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mknod": 1,
    "mknodat": 2,
}
_OPENS = {"open": (1, 2), "openat": (2, 3)}  # flags, mode

_WRITE, _EXECUTE = 0x2, 0x4  # PROT_*
_SHM_EXECUTE = 0o100000

_FAMILIES = {
    "AF_UNIX": 1,
    "AF_LOCAL": 1,
    "AF_INET": 2,
    "AF_AX25": 3,
    "AF_IPX": 4,
    "AF_APPLETALK": 5,
    "AF_NETROM": 6,
    "AF_BRIDGE": 7,
    "AF_ATMPVC": 8,
    "AF_X25": 9,
    "AF_INET6": 10,
    "AF_ROSE": 11,
    "AF_NETLINK": 16,
    "AF_PACKET": 17,
    "AF_ASH": 18,
    "AF_ECONET": 19,
    "AF_ATMSVC": 20,
    "AF_RDS": 21,
    "AF_IRDA": 23,
    "AF_PPPOX": 24,
    "AF_LLC": 26,
    "AF_IB": 27,
    "AF_MPLS": 28,
    "AF_CAN": 29,
    "AF_TIPC": 30,
    "AF_BLUETOOTH": 31,
    "AF_IUCV": 32,
    "AF_RXRPC": 33,
    "AF_ISDN": 34,
    "AF_PHONET": 35,
    "AF_IEEE802154": 36,
    "AF_CAIF": 37,
    "AF_ALG": 38,
    "AF_NFC": 39,
    "AF_VSOCK": 40,
    "AF_KCM": 41,
    "AF_QIPCRTR": 42,
    "AF_SMC": 43,
    "AF_XDP": 44,
    "AF_MCTP": 45,
}


def check_families(names: tuple[str, ...]) -> list[str]:
    """Return what is wrong with a list of address families, one text for each wrong name."""
    if names == ("none",):
        return []
    return [f'"{name[:40]}": no such address family' for name in names if name not in _FAMILIES]


def rules_of(sandbox: Sandbox) -> dict[str, Rules]:
    """Return the rules by name of call. Raises ValueError for what does not exist."""
    rules: dict[str, Rules] = {}
    if sandbox.system_call_filter:
        rules["ioctl"] = (Rule((Test(1, _WHOLE, _TTY_REQUESTS),), EPERM),)
    if sandbox.lock_personality:
        own = (_PERSONALITY_READ, _PERSONALITY_LINUX)
        rules["personality"] = (Rule((Test(0, _WHOLE, own, inside=False),), EPERM),)
    if sandbox.restrict_realtime:
        rules |= _realtime()
    if sandbox.restrict_suid_sgid:
        rules |= _suid_sgid()
    if sandbox.memory_deny_write_execute:
        rules |= _write_execute()
    if sandbox.restrict_namespaces is not False:
        rules |= _namespaces(sandbox.restrict_namespaces)
    if sandbox.restrict_address_families:
        rules |= _address_families(sandbox.restrict_address_families)
    if sandbox.restrict_suid_sgid or sandbox.restrict_address_families:
        # It opens files and sockets behind the rules for them.
        rules["io_uring_setup"] = (Rule((), ENOSYS),)
    return rules


def _realtime() -> dict[str, Rules]:
    other = Test(1, _WHOLE & ~_RESET_ON_FORK, _ORDINARY_POLICIES, inside=False)
    return {
        "sched_setscheduler": (Rule((other,), EPERM),),
        "sched_setattr": (Rule((), EPERM),),  # the policy lies in memory
    }


def _suid_sgid() -> dict[str, Rules]:
    rules: dict[str, Rules] = {}
    for name, mode in _MODE_ARGUMENTS.items():
        rules[name] = (Rule((_any(mode, _SUID | _SGID),), EPERM),)
    for name, (flags, mode) in _OPENS.items():
        rules[name] = (Rule((_any(flags, _CREATES), _any(mode, _SUID | _SGID)), EPERM),)
    rules["openat2"] = (Rule((), ENOSYS),)  # its mode lies in memory; systemd does the same
    return rules


def _write_execute() -> dict[str, Rules]:
    both = Test(2, _WRITE | _EXECUTE, (_WRITE | _EXECUTE,))
    executable = (Rule((_any(2, _EXECUTE),), EPERM),)
    return {
        "mmap": (Rule((both,), EPERM),),
        # What is made executable later was written before.
        "mprotect": executable,
        "pkey_mprotect": executable,
        "shmat": (Rule((_any(2, _SHM_EXECUTE),), EPERM),),
    }


def _namespaces(restricted: bool | tuple[str, ...]) -> dict[str, Rules]:
    left = () if restricted is True else tuple(restricted or ())
    if unknown := [name for name in left if name not in NAMESPACES]:
        raise ValueError(
            f'"{unknown[0][:40]}": no such namespace; there are {", ".join(NAMESPACES)}'
        )
    denied = sum(flag for name, flag in NAMESPACES.items() if name not in left)
    return {
        "clone": (Rule((_any(0, denied),), EPERM),),
        "clone3": (Rule((), ENOSYS),),  # its flags lie in memory; callers fall back to clone
        "unshare": (Rule((_any(0, denied | _NEW_TIME),), EPERM),),
        # Type 0 joins whatever the descriptor stands for.
        "setns": (
            Rule((Test(1, _WHOLE, (0,)),), EPERM),
            Rule((_any(1, denied | _NEW_TIME),), EPERM),
        ),
    }


def _address_families(names: tuple[str, ...]) -> dict[str, Rules]:
    """As in systemd: no names = not restricted, "none" = no socket at all."""
    if problems := check_families(names):
        raise ValueError("; ".join(problems))
    allowed = tuple(sorted({_FAMILIES[name] for name in names if name != "none"}))
    other = (Rule((Test(0, _WHOLE, allowed, inside=False),), EAFNOSUPPORT),)
    return {"socket": other, "socketpair": other}


def _any(argument: int, mask: int) -> Test:
    """Return the test whether any bit of `mask` is set."""
    return Test(argument, mask, (0,), inside=False)
