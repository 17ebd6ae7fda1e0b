"""Decides what of a vassal's directives is a matter of its master's birth, of its workload, or
of its cgroup. Pure.

A master is born with what needs root and what everything below it inherits: identity,
namespaces, the private root. The workload is put under what a master must not suffer
itself: it has to be punctual while the application is throttled, filtered or out of memory.
What belongs to the cgroup is `limits.cgroups.writes`' business.
"""

import msgspec

from limits.confinement import Confinement
from limits.directives import OOM_SCORE_MAX, WORKER_OOM_SCORE, Limits, Sandbox, Subject
from limits.facts import Capability, HostFacts
from limits.landlock import ABI_MIN
from limits.landlock_rules import landlock_rules
from limits.namespaces import namespaces_for
from limits.plan import Plan, plan
from limits.rlimits import exceeds
from limits.root import private_root


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The two confinements of one vassal."""

    birth: Confinement
    workload: Confinement


def lay_out(
    limits: Limits,
    sandbox: Sandbox,
    subject: Subject,
    facts: HostFacts,
    system_call_filter: bytes | None,
) -> Layout:
    """Return the confinements for a master that is born under `facts`.

    `system_call_filter` is the sandbox's filter, compiled for this machine.
    """
    rlimits = limits.all_rlimits()
    root = private_root(sandbox, subject)
    namespaces = facts.has(Capability.SYS_ADMIN) and facts.mount_api
    first = limits.nice is not None and limits.nice < 0  # only root may be first
    realtime = limits.io_scheduling_class == "realtime"
    io_priority = None
    if limits.io_scheduling_class is not None:
        io_priority = (limits.io_scheduling_class, limits.io_scheduling_priority or 0)
    birth = Confinement(
        uid=subject.uid,
        gid=subject.gid,
        groups=tuple(sorted(subject.groups)),
        rlimits=_raised(rlimits, facts),
        umask=limits.umask,
        nice=limits.nice if first else None,
        io_priority=io_priority if realtime else None,
        oom_score_adjust=limits.oom_score_adjust,
        new_session=True,
        no_new_privs=True,
        drop_capabilities=True,
        capability_bounding_set=sandbox.capability_bounding_set,
        ambient_capabilities=sandbox.ambient_capabilities,
        pid_namespace=sandbox.private_pids,
        namespaces=namespaces_for(sandbox, root is not None),
        root=root,
        keyring="private" if sandbox.keyring_mode == "private" else None,
        dumpable=False,
    )
    workload = Confinement(
        rlimits=rlimits,
        nice=None if first else limits.nice,
        io_priority=None if realtime else io_priority,
        cpu_affinity=limits.cpu_affinity,
        oom_score_adjust=min(limits.oom_score_adjust + WORKER_OOM_SCORE, OOM_SCORE_MAX),
        landlock=landlock_rules(sandbox, subject, namespaces),
        system_call_filter=system_call_filter,
    )
    return Layout(birth=birth, workload=workload)


def plans(layout: Layout, facts: HostFacts) -> tuple[Plan, Plan]:
    """Return the plans of birth and workload, as the emperor can know them beforehand."""
    return plan(layout.birth, facts), plan(layout.workload, _after_birth(facts))


_LANDLOCKS_OWN = frozenset(
    {
        "protect_system",
        "protect_home",
        "read_only_paths",
        "read_write_paths",
        "inaccessible_paths",
        "no_exec_paths",
    }
)


def done_by_landlock(layout: Layout, facts: HostFacts) -> frozenset[str]:
    """Return the directives that Landlock stands in for where no mount namespace is possible.

    They are degraded, not missing: files are protected, but not replaced by empty places.
    """
    possible = facts.has(Capability.SYS_ADMIN) and facts.mount_api
    if possible or layout.workload.landlock is None or facts.landlock_abi < ABI_MIN:
        return frozenset()
    return _LANDLOCKS_OWN


def _raised(rlimits: dict[str, tuple[int, int]], facts: HostFacts) -> dict[str, tuple[int, int]]:
    """Return the hard limits that only root can raise. The rest waits for the workload: a
    master must not die of its tenant's limits."""
    return {
        name: (facts.rlimits[name][0], hard)
        for name, (_, hard) in rlimits.items()
        if name in facts.rlimits and exceeds(hard, facts.rlimits[name][1])
    }


def _after_birth(facts: HostFacts) -> HostFacts:
    """Return the facts as a process without privileges has them, with no_new_privs set."""
    return msgspec.structs.replace(facts, capabilities=0, no_new_privs=True)
