"""The steps that a plan is made of: values that say what they do, and do it.

`execute()` acts on the calling process and raises OSError, or VerificationFailed when
the kernel agreed but the result is not what was asked for. `key` is what the step
answers to in a Confinement, in the words of a vassal file.
"""

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import prctl

from limits import kernel_files, syscalls
from limits.capabilities import NUMBERS
from limits.rlimits import RLIMITS, as_text

# SECBIT_NOROOT, NO_SETUID_FIXUP (left off: the uid change shall clear capabilities),
# KEEP_CAPS (off) and NO_CAP_AMBIENT_RAISE, each with its lock.
SECUREBITS = 0x01 | 0x02 | 0x08 | 0x20 | 0x40 | 0x80

_CAPABILITIES_MAX = 64  # bits of a set


class VerificationFailed(RuntimeError):
    """A system call succeeded, and yet the process is not confined as asked."""


@dataclass(frozen=True)
class Step:
    """Base of all steps."""

    key: ClassVar[str] = ""  # "" = a check of other steps

    def describe(self) -> str:
        """Return what the step does and to which value, for people."""
        raise NotImplementedError

    def execute(self) -> None:
        """Do it to the calling process."""
        raise NotImplementedError


@dataclass(frozen=True)
class StartSession(Step):
    key: ClassVar[str] = "new_session"

    def describe(self) -> str:
        return "start a session of its own"

    def execute(self) -> None:
        os.setsid()


@dataclass(frozen=True)
class CheckPidNamespace(Step):
    """A PID namespace begins with a fork: the step only makes sure that it was that fork."""

    key: ClassVar[str] = "pid_namespace"

    def describe(self) -> str:
        return "be PID 1 of a PID namespace"

    def execute(self) -> None:
        if os.getpid() != 1:
            raise VerificationFailed(f"this is pid {os.getpid()}")


@dataclass(frozen=True)
class SetOomScore(Step):
    value: int
    key: ClassVar[str] = "oom_score_adjust"

    def describe(self) -> str:
        return f"write {self.value} to /proc/self/oom_score_adj"

    def execute(self) -> None:
        try:
            self._write()
        except PermissionError:
            # A child of a master is not dumpable until it execs, and then even its own
            # /proc entries are root's.
            prctl.set_dumpable(1)
            try:
                self._write()
            finally:
                prctl.set_dumpable(0)

    def _write(self) -> None:
        kernel_files.write("/proc/self/oom_score_adj", str(self.value))


@dataclass(frozen=True)
class SetNice(Step):
    value: int
    key: ClassVar[str] = "nice"

    def describe(self) -> str:
        return f"set nice to {self.value}"

    def execute(self) -> None:
        os.setpriority(os.PRIO_PROCESS, 0, self.value)


@dataclass(frozen=True)
class SetUmask(Step):
    value: int
    key: ClassVar[str] = "umask"

    def describe(self) -> str:
        return f"set the umask to {self.value:04o}"

    def execute(self) -> None:
        os.umask(self.value)


@dataclass(frozen=True)
class SetRlimit(Step):
    name: str
    soft: int
    hard: int

    @property
    def key(self) -> str:  # type: ignore[override]
        return f"limit_{self.name}"

    def describe(self) -> str:
        return f"set limit_{self.name} to {as_text(self.soft)}:{as_text(self.hard)}"

    def execute(self) -> None:
        try:
            resource.setrlimit(RLIMITS[self.name].number, (self.soft, self.hard))
        except ValueError as error:  # how the resource module says EPERM and EINVAL
            raise PermissionError(errno.EPERM, str(error)) from error


@dataclass(frozen=True)
class LockCapabilities(Step):
    """Makes sure that no later exec, not even of a setuid-root file, gives any capability.

    `kept` stays in the bounding set. When `lock` is off, a RaiseAmbient step comes later,
    which needs some capabilities beyond the uid change, and locks the securebits itself.
    """

    kept: tuple[str, ...] = ()
    lock: bool = True
    key: ClassVar[str] = "drop_capabilities"

    def describe(self) -> str:
        bounding = f"reduce the bounding set to {', '.join(self.kept)}, empty the ambient set"
        what = bounding if self.kept else "empty the bounding and ambient sets"
        return f"{what} and lock the securebits" if self.lock else what

    def execute(self) -> None:
        kept = {NUMBERS[name] for name in self.kept}
        # Until the kernel knows no more: its /proc/sys is not there in every private root.
        for capability in range(_CAPABILITIES_MAX):
            if capability in kept:
                continue
            try:
                syscalls.drop_from_bounding_set(capability)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                break
        syscalls.clear_ambient_capabilities()
        if self.lock:
            syscalls.set_securebits(SECUREBITS)
        else:
            syscalls.keep_capabilities()


@dataclass(frozen=True)
class SetGroups(Step):
    groups: tuple[int, ...]
    gid: int
    key: ClassVar[str] = "groups"

    def describe(self) -> str:
        return f"set the supplementary groups to {_listed(self.groups)}"

    def execute(self) -> None:
        # An ordinary user may not call setgroups at all, not even with its own groups.
        if _same_groups(self.groups, self.gid, os.getegid()):
            return
        os.setgroups(self.groups)


@dataclass(frozen=True)
class SetGid(Step):
    gid: int
    key: ClassVar[str] = "group"

    def describe(self) -> str:
        return f"set the group id to {self.gid}"

    def execute(self) -> None:
        os.setresgid(self.gid, self.gid, self.gid)


@dataclass(frozen=True)
class SetUid(Step):
    uid: int
    key: ClassVar[str] = "user"

    def describe(self) -> str:
        return f"set the user id to {self.uid}"

    def execute(self) -> None:
        os.setresuid(self.uid, self.uid, self.uid)


@dataclass(frozen=True)
class EmptyCapabilities(Step):
    key: ClassVar[str] = "drop_capabilities"

    def describe(self) -> str:
        return "empty the effective, permitted, inheritable and ambient sets"

    def execute(self) -> None:
        syscalls.clear_ambient_capabilities()
        syscalls.clear_capabilities()


@dataclass(frozen=True)
class VerifyIdentity(Step):
    """None = not asked for. `final`: root must be out of reach now."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None
    final: bool

    def describe(self) -> str:
        checks = "that root cannot be regained" if self.final else "nothing more"
        return f"verify uid {self.uid}, gid {self.gid}, groups {self.groups} and {checks}"

    def execute(self) -> None:
        if self.uid is not None and set(os.getresuid()) != {self.uid}:
            raise VerificationFailed(f"user ids are {os.getresuid()}")
        if self.gid is not None and set(os.getresgid()) != {self.gid}:
            raise VerificationFailed(f"group ids are {os.getresgid()}")
        if self.groups is not None and not _same_groups(self.groups, self.gid, self.gid):
            raise VerificationFailed(f"supplementary groups are {os.getgroups()}")
        if self.final:
            self._check_that_root_is_gone()

    def _check_that_root_is_gone(self) -> None:
        if self.gid not in (None, 0) and _succeeds(lambda: os.setresgid(0, 0, 0)):
            raise VerificationFailed("group 0 could be regained")
        if self.uid not in (None, 0) and _succeeds(lambda: os.setresuid(0, 0, 0)):
            raise VerificationFailed("uid 0 could be regained")


@dataclass(frozen=True)
class SetDumpable(Step):
    value: bool
    key: ClassVar[str] = "dumpable"

    def describe(self) -> str:
        return "be dumpable" if self.value else "hide memory and descriptors from the same uid"

    def execute(self) -> None:
        prctl.set_dumpable(int(self.value))


@dataclass(frozen=True)
class SetNoNewPrivs(Step):
    key: ClassVar[str] = "no_new_privs"

    def describe(self) -> str:
        return "set no_new_privs"

    def execute(self) -> None:
        prctl.set_no_new_privs(1)


@dataclass(frozen=True)
class SetDeathSignal(Step):
    """Fires when the thread that forked us ends. `parent_pid` None = not checked."""

    number: int
    parent_pid: int | None
    key: ClassVar[str] = "death_signal"

    def describe(self) -> str:
        return f"get {signal.Signals(self.number).name} when the parent dies"

    def execute(self) -> None:
        prctl.set_pdeathsig(self.number)
        # A parent that died before the call sends nothing any more.
        if self.parent_pid is not None and os.getppid() != self.parent_pid:
            raise VerificationFailed(f"the parent {self.parent_pid} is gone already")


def _same_groups(wanted: Iterable[int], wanted_gid: int | None, egid: int | None) -> bool:
    """Compare as access does: whether the group id is listed once more makes no difference."""
    return {*wanted, wanted_gid} == {*os.getgroups(), egid}


def _succeeds(call: Callable[[], None]) -> bool:
    try:
        call()
    except PermissionError:
        return False
    return True


def _listed(groups: tuple[int, ...]) -> str:
    return ", ".join(map(str, groups)) or "none"
