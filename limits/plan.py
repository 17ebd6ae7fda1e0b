"""Decides which steps confine a process, in which order, and what this host cannot do. Pure.

Every key that a Confinement asks for ends in a step, in `unsupported`, or, when it was
done only in part, in both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limits import filter_steps, mount_steps, namespace_steps, scheduling_steps, steps
from limits.capabilities import mask
from limits.confinement import Confinement
from limits.facts import Capability, HostFacts
from limits.landlock import ABI_MIN
from limits.landlock_steps import EnterLandlock
from limits.mounts import FileSystem, Hide, PrivateRoot
from limits.namespaces import NAMESPACES
from limits.rlimits import INFINITY, as_text, exceeds
from limits.steps import Step


@dataclass(frozen=True)
class Unsupported:
    """A key that is not, or not fully, applied, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What `apply` will do, in this order, and what it cannot do."""

    steps: tuple[Step, ...]
    unsupported: tuple[Unsupported, ...]

    def degraded_keys(self) -> frozenset[str]:
        """Return the keys that are applied in part."""
        return frozenset(step.key for step in self.steps) & {u.key for u in self.unsupported}

    def missing(self) -> tuple[Unsupported, ...]:
        """Return what is not applied at all, as against in part."""
        degraded = self.degraded_keys()
        return tuple(item for item in self.unsupported if item.key not in degraded)

    def __str__(self) -> str:
        lines = [step.describe() for step in self.steps]
        lines += [f"not {item.key}: {item.reason}" for item in self.unsupported]
        return "\n".join(lines)


Item = Step | Unsupported


def plan(confinement: Confinement, facts: HostFacts) -> Plan:
    """Return the steps for `confinement` and what is impossible under `facts`."""
    items = [item for part in _ORDER for item in part(confinement, facts)]
    return Plan(
        steps=tuple(item for item in items if isinstance(item, Step)),
        unsupported=tuple(item for item in items if isinstance(item, Unsupported)),
    )


def _session(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if confinement.new_session:
        yield steps.StartSession()


def _pid_namespace(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if not confinement.pid_namespace:
        return
    if facts.can_pid_namespace:
        yield steps.CheckPidNamespace()
    else:
        yield Unsupported(
            "pid_namespace", f"making namespaces {_needs(Capability.SYS_ADMIN, facts)}"
        )


def _namespaces(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """All but that of users, which would take away the power to mount."""
    for name in NAMESPACES:
        if name == "user" or name not in confinement.namespaces:
            continue
        if reason := _why_no_namespace(name, facts):
            if name != "mnt":  # what needs it says so: see _private_root
                yield Unsupported(NAMESPACES[name][1], reason)
            continue
        yield namespace_steps.EnterNamespace(name)
        if name == "net":
            yield namespace_steps.BringLoopbackUp()


def _private_root(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    root = confinement.root
    if root is None:
        return
    reason = _why_no_namespace("mnt", facts)
    if not reason and not facts.mount_api:
        reason = (
            "this kernel has no mount_setattr (Linux 5.12), a container forbids it, "
            "or / is no mount: a plain chroot"
        )
    if reason:
        yield from (Unsupported(name, reason) for name in root.directives)
        return
    yield mount_steps.IsolateMounts()
    yield mount_steps.CopyRoot(root.base)
    yield from _mounts(root, confinement, facts)
    yield mount_steps.SwitchRoot()
    yield mount_steps.VerifyRoot(tuple(root.read_only_rules().items()))


def _mounts(root: PrivateRoot, confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    cgroups_are_own = "cgroup" in confinement.namespaces and "cgroup" in facts.namespaces
    for mount in root.mounts:
        if isinstance(mount, FileSystem) and mount.type == "cgroup2" and not cgroups_are_own:
            # In the host's namespace a new instance would show, and reconfigure, the host's.
            yield mount_steps.PlaceMount(Hide(path=mount.path, key=mount.key, optional=True))
        else:
            yield mount_steps.PlaceMount(mount)


def _user_namespace(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """After all that needs power over the host: mounts, and raising rlimits."""
    uid, gid = confinement.uid, confinement.gid
    if "user" not in confinement.namespaces or uid is None or gid is None:
        return
    if reason := _why_no_namespace("user", facts):
        yield Unsupported("private_users", reason)
    elif facts.euid != 0 or facts.gids[1] != 0:
        yield Unsupported("private_users", f"mapping ids needs root, and this is uid {facts.euid}")
    else:
        gids = tuple(sorted({gid, *(confinement.groups or ())}))
        yield namespace_steps.EnterUserNamespace((uid,), gids)


def _why_no_namespace(name: str, facts: HostFacts) -> str:
    """Return why a namespace cannot be made; "" = it can."""
    if not facts.has(Capability.SYS_ADMIN):
        return f"making namespaces {_needs(Capability.SYS_ADMIN, facts)}"
    if name not in facts.namespaces:
        return f"this kernel has no {name} namespaces, or they are forbidden here"
    return ""


def _scheduling(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if (score := confinement.oom_score_adjust) is not None:
        if score >= facts.oom_score_adjust or facts.has(Capability.SYS_RESOURCE):
            yield steps.SetOomScore(score)
        else:
            lowering = f"lowering it from {facts.oom_score_adjust} to {score}"
            yield Unsupported(
                "oom_score_adjust", f"{lowering} {_needs(Capability.SYS_RESOURCE, facts)}"
            )
    if (nice := confinement.nice) is not None:
        if nice >= _lowest_nice(facts):
            yield steps.SetNice(nice)
        else:
            lowering = f"lowering it from {facts.nice} to {nice}"
            yield Unsupported("nice", f"{lowering} {_needs(Capability.SYS_NICE, facts)}")
    if confinement.umask is not None:
        yield steps.SetUmask(confinement.umask)


def _lowest_nice(facts: HostFacts) -> int:
    if facts.has(Capability.SYS_NICE):
        return -20
    soft = facts.rlimits.get("nice", (0, 0))[0]
    by_rlimit = -20 if soft == INFINITY else 20 - soft  # setrlimit(2), RLIMIT_NICE
    return min(facts.nice, by_rlimit)


def _io_priority(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if confinement.io_priority is None:
        return
    kind, level = confinement.io_priority
    if kind != "realtime" or facts.has(Capability.SYS_NICE) or facts.has(Capability.SYS_ADMIN):
        yield scheduling_steps.SetIoPriority(kind, level)
    else:
        yield Unsupported("io_scheduling_class", f"realtime {_needs(Capability.SYS_NICE, facts)}")


def _cpu_affinity(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    wanted = confinement.cpu_affinity
    if wanted is None:
        return
    present = tuple(cpu for cpu in wanted if cpu in facts.cpus)
    if present:
        yield scheduling_steps.SetCpuAffinity(present)
    if present != wanted:
        absent = ", ".join(str(cpu) for cpu in wanted if cpu not in facts.cpus)
        yield Unsupported("cpu_affinity", f"there is no CPU {absent} online")


def _rlimits(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    for name, (soft, hard) in confinement.rlimits.items():
        bound, reason = _rlimit_bound(name, facts)
        if not exceeds(hard, bound):
            yield steps.SetRlimit(name, soft, hard)
            continue
        # The nearest that is possible: leaving it out could leave the process a looser one.
        soft = bound if exceeds(soft, bound) else soft
        yield steps.SetRlimit(name, soft, bound)
        yield Unsupported(
            f"limit_{name}",
            f"the hard limit {as_text(hard)} is above {reason}; "
            f"{as_text(soft)}:{as_text(bound)} is set instead",
        )


def _rlimit_bound(name: str, facts: HostFacts) -> tuple[int, str]:
    """Return the highest hard limit that can be set, and why not a higher one."""
    bound, reason = INFINITY, ""
    if not facts.has(Capability.SYS_RESOURCE):
        bound = facts.rlimits.get(name, (INFINITY, INFINITY))[1]
        need = _needs(Capability.SYS_RESOURCE, facts)
        reason = f"the present {as_text(bound)}, and raising it {need}"
    if name == "nofile" and exceeds(bound, facts.nofile_max):
        bound, reason = facts.nofile_max, f"fs.nr_open = {facts.nofile_max}"
    return bound, reason


def _capabilities_before(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if not confinement.drop_capabilities:
        return
    if facts.has(Capability.SETPCAP):
        kept = confinement.capability_bounding_set
        yield steps.LockCapabilities(kept, lock=not _ambient(confinement, facts))
    else:
        yield Unsupported(
            "drop_capabilities",
            "the effective, permitted, inheritable and ambient sets are emptied; emptying "
            f"the bounding set and locking the securebits {_needs(Capability.SETPCAP, facts)}",
        )


def _identity(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """Groups first: without root's uid they cannot be changed any more."""
    uid, gid, groups = confinement.uid, confinement.gid, confinement.groups
    if groups is not None and gid is not None:
        if _groups_possible(groups, gid, facts):
            yield steps.SetGroups(groups, gid)
        else:
            yield Unsupported(
                "groups", f"other groups than the present {_needs(Capability.SETGID, facts)}"
            )
    if gid is not None:
        if _gid_possible(gid, facts):
            yield steps.SetGid(gid)
        else:
            yield Unsupported("group", f"gid {gid} {_needs(Capability.SETGID, facts)}")
    if uid is not None:
        if _uid_possible(uid, facts):
            yield steps.SetUid(uid)
        else:
            yield Unsupported("user", f"uid {uid} {_needs(Capability.SETUID, facts)}")


def _capabilities_after(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    if not confinement.drop_capabilities:
        return
    possible = _ambient(confinement, facts)
    if possible:
        yield filter_steps.RaiseAmbient(possible)
    else:
        yield steps.EmptyCapabilities()
    missing = [name for name in confinement.ambient_capabilities if name not in possible]
    if missing and facts.has(Capability.SETPCAP):
        who = _who(facts)
        yield Unsupported("ambient_capabilities", f"{who} does not have {', '.join(missing)} here")
    elif missing:
        need = f"{', '.join(missing)}: keeping it {_needs(Capability.SETPCAP, facts)}"
        yield Unsupported("ambient_capabilities", need)


def _ambient(confinement: Confinement, facts: HostFacts) -> tuple[str, ...]:
    """Return which of the ambient capabilities can be kept."""
    if not facts.has(Capability.SETPCAP):
        return ()
    return tuple(
        name for name in confinement.ambient_capabilities if facts.capabilities & mask((name,))
    )


def _verification(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    uid, gid, groups = confinement.uid, confinement.gid, confinement.groups
    if uid is not None and not _uid_possible(uid, facts):
        uid = None
    if groups is not None and gid is not None and not _groups_possible(groups, gid, facts):
        groups = None
    if gid is not None and not _gid_possible(gid, facts):
        gid = None
    if uid is None and gid is None:
        return
    leaves_root = facts.euid == 0 and uid not in (None, 0)
    # With these in its hands it could, and is meant to.
    may_return = {"CAP_SETUID", "CAP_SETGID"} & {*_ambient(confinement, facts)}
    final = (confinement.drop_capabilities or leaves_root) and not may_return
    yield steps.VerifyIdentity(uid, gid, groups, final)


def _uid_possible(uid: int, facts: HostFacts) -> bool:
    return uid in facts.uids or facts.has(Capability.SETUID)


def _gid_possible(gid: int, facts: HostFacts) -> bool:
    return gid in facts.gids or facts.has(Capability.SETGID)


def _groups_possible(groups: tuple[int, ...], gid: int, facts: HostFacts) -> bool:
    same = {*groups, gid} == {*facts.groups, facts.gids[1]}
    return same or facts.has(Capability.SETGID)


def _privileges(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """After the uid change, which resets both the dumpable flag and the death signal."""
    if confinement.dumpable is not None:
        yield steps.SetDumpable(confinement.dumpable)
    if confinement.no_new_privs:
        yield steps.SetNoNewPrivs()
    if confinement.death_signal is not None:
        yield steps.SetDeathSignal(confinement.death_signal, facts.parent_pid)


def _keyring(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """Before the uid change: a user may have 200 keys (kernel.keys.maxkeys), and so no more
    vassals than that; root may have a million. The tenant's possession is what gives it rights.
    """
    if confinement.keyring != "private":
        return
    if facts.keyrings:
        yield filter_steps.JoinNewKeyring()
    else:
        yield Unsupported("keyring_mode", "this kernel, or a filter, has no keyrings for us")


def _landlock(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """After the last mount: under Landlock none is possible."""
    rules = confinement.landlock
    if rules is None:
        return
    if facts.landlock_abi < ABI_MIN:
        found = f"has ABI {facts.landlock_abi}" if facts.landlock_abi else "has none"
        yield Unsupported("landlock", f"the kernel {found}; it begins to be of use with Linux 5.19")
    elif problem := _irrevocable_problem(confinement, facts):
        yield Unsupported("landlock", problem)
    else:
        yield EnterLandlock(rules, facts.landlock_abi)
        if missing := rules.missing(facts.landlock_abi):
            reason = f"ABI {facts.landlock_abi} does not restrict {'; '.join(missing)}"
            yield Unsupported("landlock", reason)


def _system_call_filter(confinement: Confinement, facts: HostFacts) -> Iterator[Item]:
    """Last of all: it denies what other steps do."""
    if confinement.system_call_filter is None:
        return
    if not facts.seccomp:
        yield Unsupported("system_call_filter", "the kernel has no seccomp, or none for us")
    elif problem := _irrevocable_problem(confinement, facts):
        yield Unsupported("system_call_filter", problem)
    else:
        yield filter_steps.InstallFilter(confinement.system_call_filter)


def _irrevocable_problem(confinement: Confinement, facts: HostFacts) -> str | None:
    """Return why the kernel would not let the process, as it is at the end, restrict itself."""
    if confinement.no_new_privs or facts.no_new_privs:
        return None
    stays_privileged = confinement.uid in (None, facts.euid) and not confinement.drop_capabilities
    if stays_privileged and facts.has(Capability.SYS_ADMIN):
        return None
    return "without no_new_privs it needs CAP_SYS_ADMIN to the end"


def _needs(capability: Capability, facts: HostFacts) -> str:
    return f"needs CAP_{capability.name}, which {_who(facts)} does not have here"


def _who(facts: HostFacts) -> str:
    return "root" if facts.euid == 0 else f"uid {facts.euid}"


_ORDER: tuple[Callable[[Confinement, HostFacts], Iterator[Item]], ...] = (
    _session,
    _pid_namespace,
    _scheduling,
    _io_priority,
    _cpu_affinity,
    _namespaces,
    _private_root,
    _rlimits,  # while privileged
    _keyring,
    _user_namespace,
    _capabilities_before,
    _identity,
    _capabilities_after,
    _verification,
    _privileges,
    _landlock,
    _system_call_filter,
)
