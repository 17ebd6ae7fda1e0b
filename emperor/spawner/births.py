"""Forks masters: each with its end of a channel, and in a PID namespace if there is one."""

import os
import signal
from collections.abc import Mapping

from emperor.spawner.store import MasterChild
from limits.facts import HostFacts
from limits.pidns import fork, fork_in_new_pid_namespace
from vassal import packets
from vassal.master.mold_hands import Means
from vassal.master.service import become_master
from vassal.messages import SpawnMaster


def fork_master(
    order: SpawnMaster, fds: list[int], facts: Mapping[bool, HostFacts], means: Means
) -> MasterChild:
    """Return the forked master; raise OSError with nothing left of the attempt.

    `fds` are of the order's cgroup files and stay the caller's; `facts` are the host's, by
    whether the child has a PID namespace.
    """
    ours, theirs = packets.pair()
    try:
        pid = fork_in_new_pid_namespace() if order.pid_namespace else fork()
        if pid == 0:
            confinement = bytes(order.confinement)
            cgroup = dict(zip(order.cgroup_files, fds, strict=False))
            become_master(
                theirs, order.vassal, confinement, facts[order.pid_namespace], means, cgroup
            )
        try:
            return MasterChild(order.token, order.vassal, order.memo, pid, ours)
        except OSError:
            # Out of descriptors: the pid is still ours, nobody has reaped it.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
