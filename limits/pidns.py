"""Forks, with or without a PID namespace, with no signal lost on either side.

All signals are blocked across the fork. The parent gets its mask back before these
functions return or raise. The child returns with everything blocked: its birth code
sets its own handlers first, then unblocks with
`signals.set_mask()`.

The caller must have a single thread: a forked copy of a lock that another thread held
is never released.
"""

import os
import signal

from limits import signals, syscalls


def fork() -> int:
    """Fork with all signals blocked; return 0 in the child, which must unblock them."""
    mask = signals.block_all()
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            signals.set_mask(mask)
    return pid


def fork_in_new_pid_namespace() -> int:
    """Fork a child that is PID 1 of a new PID namespace; return 0 in it.

    It is the caller's own child, pids returned are the caller's, and the caller's next
    child is born in the caller's namespace again. Raises OSError with nothing changed.
    """
    mask = signals.block_all()
    pid = -1
    try:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.unshare(syscalls.CLONE_NEWPID)
            try:
                pid = os.fork()
            finally:
                if pid != 0:
                    _return_to(own, pid)
        finally:
            os.close(own)
    finally:
        if pid != 0:
            signals.set_mask(mask)
    return pid


def can_fork_in_new_pid_namespace() -> bool:
    """Try it, without a fork: capabilities alone do not tell what a container forbids."""
    try:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        syscalls.unshare(syscalls.CLONE_NEWPID)
    except OSError:
        return False
    else:
        syscalls.setns(own, syscalls.CLONE_NEWPID)
        return True
    finally:
        os.close(own)


def _return_to(own: int, child: int) -> None:
    """Let the next child be born in `own`, the namespace that the caller never left itself."""
    try:
        syscalls.setns(own, syscalls.CLONE_NEWPID)
    except OSError:
        # The caller learns of no child, so there must be none.
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
