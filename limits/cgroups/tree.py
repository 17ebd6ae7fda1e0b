"""The delegated tree: makes, limits, freezes, kills and removes cgroups. Decides nothing.

    supervisor/                      the spawner and the brain
    tenants/c-CUSTOMER/              what its apps share
        a-APP/master/                no limits: it must be punctual when the app is not
        a-APP/workload/              the app's limits

Paths are those of `limits.cgroups.names`, relative to the root.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from limits.cgroups import devices, files, protection
from limits.cgroups.counters import Usage, cpu_us_of, held_bytes_of, memory_max_of, usage_of
from limits.cgroups.facts import MARKS, CgroupFacts
from limits.cgroups.files import Failed
from limits.cgroups.names import APP_PREFIX, CUSTOMER_PREFIX, MASTER, SUPERVISOR, TENANTS, WORKLOAD
from limits.cgroups.names import parent as parent_of
from limits.cgroups.protection import PROTECTIONS
from limits.cgroups.writes import CgroupHost, Write, device_reset

_MOVE_ROUNDS = 10  # each finds what was forked during the one before
_REMOVE_TRIES = 5
_DISSOLVE_TRIES = 200
_REMOVE_WAIT_S = 0.005
_KILL_ROUNDS = 100


class NotDelegated(Exception):
    """No cgroup tree is ours; the text says why, and what to do."""


def claim(facts: CgroupFacts, pids: Collection[int]) -> "Tree":
    """Make our tree below the delegated root and move `pids` into supervisor/.

    Whoever else is in the root itself is moved along: controllers can be handed down only
    from a cgroup without processes. Safe to repeat. Raises NotDelegated, or OSError when
    the tree cannot be made at all.
    """
    if facts.root is None:
        raise NotDelegated(facts.reason)
    root = facts.root
    files.make(root)
    files.make(f"{root}/{SUPERVISOR}")
    files.make(f"{root}/{TENANTS}")
    if facts.private:
        _mark(root)
    _move(pids, f"{root}/{SUPERVISOR}")
    for _ in range(_MOVE_ROUNDS):
        if not (left := files.procs(root)):
            break
        _move(left, f"{root}/{SUPERVISOR}")
    failed = files.enable(parent_of(root), facts.controllers) if facts.private else []
    failed += files.enable(root, _available(root))
    failed += files.enable(f"{root}/{TENANTS}", _available(f"{root}/{TENANTS}"))
    return Tree(root, facts.advice(), tuple(failed), facts.private)


def _mark(directory: str) -> None:
    """Say to a later brain, which finds itself inside, that this tree is emperord's."""
    for name in MARKS:
        try:
            os.setxattr(directory, name, b"1")
        except OSError as error:
            # Before Linux 5.6 cgroupfs has no user.*; trusted.* is for root alone.
            if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise


def _move(pids: Iterable[int], directory: str) -> None:
    for pid in pids:
        try:
            files.write(f"{directory}/cgroup.procs", str(pid))
        except ProcessLookupError:
            pass  # it ended meanwhile


def _available(directory: str) -> list[str]:
    return (files.read(f"{directory}/cgroup.controllers") or "").split()


class Tree:
    """A claimed tree. `failed` are the controllers that could not be handed down."""

    def __init__(
        self, root: str, advice: str = "", failed: tuple[Failed, ...] = (), private: bool = False
    ) -> None:
        self.root = root
        self.failed = failed
        self._advice = advice
        self._private = private

    def directory(self, path: str) -> str:
        """Return the absolute path."""
        return f"{self.root}/{path}"

    def host(self, io_paths: Iterable[str] = ()) -> CgroupHost:
        """Return what a cgroup below tenants/ can limit; `io_paths` as writes.io_paths says."""
        names = frozenset(os.listdir(f"{self.root}/{TENANTS}"))
        found, problems = devices.resolve(io_paths)
        zero = (file for file in PROTECTIONS if files.read(f"{self.root}/{file}") == "0\n")
        return CgroupHost(
            files=names,
            devices=found,
            no_device=problems,
            unprotected=frozenset() if self._private else frozenset(zero),
            advice=self._advice,
        )

    def create(
        self, path: str, workload: Iterable[Write] = (), customer: Iterable[Write] = ()
    ) -> list[Failed]:
        """Make an app's cgroups with their limits, and its customer's, before anybody is in;
        return what failed.

        What is there already stays as it is, but for the limits.
        """
        app = self.directory(path)
        failed = self._create_customer(parent_of(path), customer)
        files.make(app)
        failed += files.enable(app, _available(app))
        files.make(f"{app}/{MASTER}")
        files.make(f"{app}/{WORKLOAD}")
        return failed + self.apply(f"{path}/{WORKLOAD}", workload)

    def _create_customer(self, path: str, writes: Iterable[Write]) -> list[Failed]:
        directory = self.directory(path)
        files.make(directory)
        return files.enable(directory, _available(directory)) + self.apply(path, writes)

    def apply(self, path: str, writes: Iterable[Write]) -> list[Failed]:
        """Write all of `writes`; return what failed. Goes on after a failure.

        Limits of devices that `writes` no longer names are taken away.
        """
        directory = self.directory(path)
        writes = tuple(writes)
        failed = []
        for write in (*self._stale_devices(directory, writes), *writes):
            failure = files.try_write(f"{directory}/{write.file}", write.text, write.keys)
            if failure is not None:
                failed.append(failure)
        if path.endswith(f"/{WORKLOAD}"):
            failed += protection.pass_up(self.root, parent_of(path), self._private)
        return failed

    def _stale_devices(self, directory: str, writes: tuple[Write, ...]) -> list[Write]:
        if not any(write.controller == "io" for write in writes):
            return []
        named = {(write.file, write.device) for write in writes}
        stale = []
        for file in ("io.max", "io.latency"):
            for line in (files.read(f"{directory}/{file}") or "").splitlines():
                device = line.partition(" ")[0]
                if device and (file, device) not in named:
                    stale.append(device_reset(file, device))
        return stale

    def open_procs(self, path: str) -> tuple[int, int]:
        """Return descriptors by which a child joins master/ and workload/ (see JoinCgroup).

        They are the caller's to close, and must not reach the tenant. Whoever joins a
        frozen cgroup hangs, so the app is thawed first.
        """
        self.thaw(path)
        flags = os.O_WRONLY | os.O_CLOEXEC
        master = os.open(f"{self.directory(path)}/{MASTER}/cgroup.procs", flags)
        try:
            workload = os.open(f"{self.directory(path)}/{WORKLOAD}/cgroup.procs", flags)
        except OSError:
            os.close(master)
            raise
        return master, workload

    def freeze(self, path: str) -> None:
        """Stop all processes; cgroup.events says when they have."""
        files.write(f"{self.directory(path)}/cgroup.freeze", "1")

    def thaw(self, path: str) -> None:
        """Let them go on. SIGKILL and `kill` need no thawing."""
        files.write(f"{self.directory(path)}/cgroup.freeze", "0")

    def kill(self, path: str) -> None:
        """Kill every process in the cgroup and below; nothing if it has gone.

        Returns when they were signalled, not when they are gone: see `is_populated`.
        """
        try:
            files.write(f"{self.directory(path)}/cgroup.kill", "1")
        except FileNotFoundError:
            if Path(self.directory(path)).is_dir():  # before Linux 5.14
                self._kill_one_by_one(path)

    def _kill_one_by_one(self, path: str) -> None:
        """Frozen, nobody forks and nobody's number is given to another."""
        self.freeze(path)
        try:
            for _ in range(_KILL_ROUNDS):
                if not (pids := self.pids(path)):
                    return
                for pid in pids:
                    self._kill_member(path, pid)
                time.sleep(0.001)
        finally:
            self.thaw(path)

    def _kill_member(self, path: str, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            # Looked at again: only now the number cannot become somebody else's.
            if pid in self.pids(path):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)

    def is_populated(self, path: str) -> bool:
        """Return whether a process is in the cgroup or below."""
        return self._event(path, "populated")

    def is_frozen(self, path: str) -> bool:
        """Return whether all processes of the cgroup have stopped."""
        return self._event(path, "frozen")

    def _event(self, path: str, name: str) -> bool:
        text = files.read(f"{self.directory(path)}/cgroup.events") or ""
        return f"{name} 1" in text.splitlines()

    def wait_empty(self, path: str, timeout_s: float) -> bool:
        """Block until no process is in the cgroup; return whether that came in time.

        For those without an event loop; others use CgroupWatch.
        """
        deadline = time.monotonic() + timeout_s
        try:
            fd = os.open(f"{self.directory(path)}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        try:
            # Reading re-arms POLLPRI.
            while b"populated 1" in os.pread(fd, 4096, 0):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                poll.poll(left_s * 1000)
            return True
        except OSError as error:
            if error.errno == errno.ENODEV:  # removed by somebody else
                return True
            raise
        finally:
            os.close(fd)

    def remove(self, path: str) -> bool:
        """Remove an app's cgroup with those below; return False if processes are still in it.

        The customer's slice goes with its last app, and its limits with it.
        """
        if not self._remove(self.directory(path)):
            return False
        _rmdir(self.directory(parent_of(path)), tries=1)
        protection.pass_up(self.root, path, self._private)
        return True

    def _remove(self, directory: str, tries: int = _REMOVE_TRIES) -> bool:
        for name in files.children(directory):
            if not self._remove(f"{directory}/{name}", tries):
                return False
        return _rmdir(directory, tries)

    def has_app(self, path: str) -> bool:
        """Return whether this is the path of an app's cgroup, and there is one."""
        match path.split("/"):
            case [top, customer, app] if top == TENANTS:
                named = customer.startswith(CUSTOMER_PREFIX) and app.startswith(APP_PREFIX)
                return named and os.path.isdir(self.directory(path))
        return False

    def apps(self) -> list[str]:
        """Return the paths of all apps' cgroups that exist, after a crash of the brain too."""
        tenants = f"{self.root}/{TENANTS}"
        return [
            f"{TENANTS}/{customer}/{app}"
            for customer in files.children(tenants)
            if customer.startswith(CUSTOMER_PREFIX)
            for app in files.children(f"{tenants}/{customer}")
            if app.startswith(APP_PREFIX)
        ]

    def customers(self) -> list[str]:
        """Return the paths of all customers' slices."""
        found = files.children(f"{self.root}/{TENANTS}")
        return [f"{TENANTS}/{name}" for name in found if name.startswith(CUSTOMER_PREFIX)]

    def orphans(self, wanted: Collection[str]) -> list[str]:
        """Return the apps' cgroups that are not wanted: to be killed and removed."""
        return [path for path in self.apps() if path not in wanted]

    def pids(self, path: str) -> list[int]:
        """Return the processes in the cgroup and below. For display: they may end at any time."""
        return _procs_below(self.directory(path))

    def usage(self, path: str) -> Usage:
        """Return what an app's workload, or a customer's slice, uses and has counted."""
        return usage_of(self._counted(path))

    def cpu_us(self, path: str) -> int | None:
        """Return the CPU time of the same in µs; None if it is not counted, or has gone."""
        return cpu_us_of(self._counted(path))

    def held_bytes(self, path: str) -> int | None:
        """Return the memory of the same that the kernel cannot just take back; None = unknown."""
        return held_bytes_of(self._counted(path))

    def memory_bounds(self, path: str) -> list[tuple[str, int, int]]:
        """Return (directory, memory.max, bytes held) of the app's customer, our root and all
        that it is in, where there is a limit; the customer's first."""
        found = []
        directory = self.directory(parent_of(path))
        while directory:  # what is above the mount has no such files
            limit, held = memory_max_of(directory), held_bytes_of(directory)
            if limit is not None and held is not None:
                found.append((directory, limit, held))
            directory = parent_of(directory)
        return found

    def _counted(self, path: str) -> str:
        directory = self.directory(path)
        is_app = path.rpartition("/")[2].startswith(APP_PREFIX)
        return f"{directory}/{WORKLOAD}" if is_app else directory

    def dissolve(self) -> bool:
        """Remove a private tree at the very end, moving ourselves out; False = apps remain.

        A delegated root is removed by systemd, when the unit has stopped.
        """
        if not self._private:
            return False
        if any(self.is_populated(path) for path in self.customers()):
            return False
        supervisor = f"{self.root}/{SUPERVISOR}"
        for _ in range(_MOVE_ROUNDS):
            pids = files.procs(supervisor)
            if not pids:
                break
            _move(pids, parent_of(self.root))
        # A process that was killed cannot be moved, and on a busy host it takes a while to end.
        return self._remove(self.root, _DISSOLVE_TRIES)


def _procs_below(directory: str) -> list[int]:
    found = files.procs(directory)
    for name in files.children(directory):
        found += _procs_below(f"{directory}/{name}")
    return found


def _rmdir(directory: str, tries: int = _REMOVE_TRIES) -> bool:
    for left in reversed(range(tries)):
        try:
            os.rmdir(directory)
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            # The kernel may still be busy with the last process that went.
            if left:
                time.sleep(_REMOVE_WAIT_S)
    return False
