"""What the spawner does to processes but forking masters: its own limits, an emperor's exec."""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Set

from emperor.children import children
from limits import kernel_files
from limits.pidfd import send_signal
from vassal import bundle
from vassal.master.mold_hands import Means

EMPEROR_FD = 3
TOLD = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG, signal.SIGWINCH)
"""What uWSGI's emperor is told by; the emperor knows what is meant, and whether anything is."""

REAP_TURN_S = 0.005

HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, *TOLD)
"""SIGQUIT stops like SIGTERM: units of uWSGI's say KillSignal=SIGQUIT."""


def become_emperor(channel: int, arguments: list[str]) -> None:
    """Exec the emperor in this freshly forked child; it never returns."""
    try:
        signal.set_wakeup_fd(-1)
        # A session of its own: Ctrl-C in a terminal is for the spawner alone.
        os.setsid()
        for signum in HANDLED:
            signal.signal(signum, signal.SIG_DFL)
        if channel != EMPEROR_FD:
            os.dup2(channel, EMPEROR_FD)
        os.set_inheritable(EMPEROR_FD, True)
        spawners = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
        environ = {key: value for key, value in os.environ.items() if key not in spawners}
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        command = [sys.executable, "-I", "-m", "emperor.brain", *arguments]
        os.execve(sys.executable, command, environ)
    finally:
        os._exit(127)


def _raise_nofile() -> int:
    """Allow as many descriptors as there may be; return what was allowed before.

    A vassal takes three of ours: with the usual 1,024 the spawner would end at 300 vassals.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def make_means(nofile_soft: int | None) -> Means:
    raised_from = _raise_nofile()
    parser_fd, parser_name = bundle.copy_parser() or (None, "")
    return Means(
        runtime_fd=bundle.build(),
        parser_fd=parser_fd,
        parser_name=parser_name,
        die_with_master=True,
        nofile_soft=raised_from if nofile_soft is None else nofile_soft,
    )


def dismiss_children(parent: int) -> None:
    """SIGTERM the children of a process of which the caller knows that `parent` is its pid."""
    for pid in children(parent):
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                # Who is its child after the descriptor was had is what the descriptor is of.
                if pid in children(parent):
                    send_signal(pidfd, signal.SIGTERM)
            finally:
                os.close(pidfd)


def is_dead(pid: int) -> bool:
    """Return whether a child's main thread has ended; another one may keep it from being reaped."""
    try:
        return kernel_files.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return False


def kill_strays_but(own: Set[int]) -> None:
    """Kill every child that we did not fork: what a dead master or emperor left behind.

    Without PID namespaces this is what takes a tenant's daemons down with its master. They
    become ours before we learn of that death.
    """
    for pid in set(children(os.getpid())) - own:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_children(deadline: float, but: Set[int]) -> list[int]:
    """Kill all children of this process and reap them; return who is left at `deadline`.

    `but`: those that have been killed, and are not waited for.
    """
    while True:
        for pid in set(children(os.getpid())) - but:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                pass
        except ChildProcessError:
            return []
        left = set(children(os.getpid())) - but
        if time.monotonic() > deadline or (but and not left):
            return sorted(left)
        time.sleep(REAP_TURN_S)
