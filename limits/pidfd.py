"""Signals and exits by pidfd: a pid may belong to somebody else by the time it is used."""

import os
import signal
from typing import NamedTuple

from limits import syscalls


class Exited(NamedTuple):
    """How a child ended. Exactly one of `exit_status` and `signal` is set."""

    pid: int
    exit_status: int | None
    signal: int | None


def pidfd_open(pid: int) -> int:
    """Return a close-on-exec pidfd of `pid`; the caller owns it and must know the pid is right.

    Right are: a child not yet reaped, and oneself.
    """
    return os.pidfd_open(pid)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """Return a duplicate of descriptor `fd` of that process; the caller owns it."""
    return syscalls.pidfd_getfd(pidfd, fd)


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; return False when the process has ended already.

    A zombie takes signals without effect and counts as there.
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def peek_exited() -> Exited | None:
    """Return a child that has ended, without reaping it: its pid stays taken until `reap`.

    None = no child has ended, or there is none.
    """
    return _wait(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def take_stopped() -> int | None:
    """Return, once for each stop, the pid of a child that a signal has stopped; None = none."""
    try:
        result = os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return None
    return None if result is None else result.si_pid


def take_stop(pidfd: int) -> bool | None:
    """Return, once for each, whether a signal has stopped a child (True) or let it go on (False).

    None = neither, since it was asked last.
    """
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
    except ChildProcessError:
        return None  # it has ended
    return None if result is None else result.si_code != os.CLD_CONTINUED


def reap(pid: int) -> Exited | None:
    """Reap this child if it has ended; None = it runs, or is no child."""
    return _wait(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def reap_by_pidfd(pidfd: int) -> Exited | None:
    """Reap this child if it has ended; None = it runs, or is no child."""
    return _wait(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def _wait(kind: int, which: int, options: int) -> Exited | None:
    try:
        result = os.waitid(kind, which, options)
    except ChildProcessError:
        return None
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return Exited(result.si_pid, result.si_status, None)
    return Exited(result.si_pid, None, result.si_status)
