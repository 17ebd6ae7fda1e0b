"""The brain's hands on cgroups: a vassal's exist from its first start until its file is gone.

What is written is decided in `limits.cgroups.writes`. Where no tree is ours nothing is
made, and every limit that would need one is said to be unsupported, with the reason.
"""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Mapping

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.patience import Patience, Silence
from emperor.core.allotment import Bound
from limits.cgroups import counters
from limits.cgroups.facts import probe_cgroups
from limits.cgroups.names import SUPERVISOR, app_name, app_path, parent
from limits.cgroups.tree import NotDelegated, claim
from limits.cgroups.watch import MEMORY, PIDS, CgroupWatch
from limits.cgroups.writes import CgroupHost, CgroupPlan, cgroup_writes, io_paths
from limits.directives import Limits, Sandbox
from limits.egress import programs
from limits.egress_hooks import EgressFilter, EgressUnavailable, detach_egress, keep_listeners
from limits.quota import QuotaUnavailable, set_quota
from vassal.messages import CGROUP_FILES

Problem = Callable[[str, str], None]
"""(what was tried, why it failed)"""

DEFAULT_RUNTIME_DIR = "/run/emperor"
EVERYWHERE = ("0.0.0.0/0", "::/0")


PLANS_MAX = 256
"""Plans of limits that are remembered; a tenant may write ever new ones."""

FILTERS_MAX = 64
"""The same of network filters, which have five descriptors each."""

Networks = tuple[tuple[str, ...], tuple[str, ...]]
"""Those that are allowed, and those that are not."""


class CgroupError(Exception):
    """A vassal's cgroups could not be made; str() names the path and the reason."""


class Cgroups:
    """All vassals' cgroups. `slices` are the budgets of customers; `problem` is told of
    what could not be done to the tree itself."""

    def __init__(
        self,
        pids: list[int],
        slices: Mapping[str, Limits],
        runtime_dir: str,
        patience: Patience,
        problem: Problem,
    ) -> None:
        self._slices = slices
        self._patience = patience
        self._problem = problem
        self._paths: dict[str, str] = {}  # of vassals
        self._of_masters: dict[str, str] = {}  # by their tokens
        self._plans: dict[bytes, CgroupPlan] = {}  # by the limits they are for
        self._leaving: set[str] = set()
        self._failed: dict[str, tuple[str, ...]] = {}
        name = tree_name(runtime_dir)
        self._tree, self._facts = None, probe_cgroups(pids, private_name=name)
        self._filters: dict[Networks, EgressFilter] = {}
        self._watch: CgroupWatch | None = None
        self._no_egress = ""
        try:
            self._tree = claim(self._facts, pids)
            self._watch = CgroupWatch(self._tree.root)
            # Before any listener is bound: a tenant must not connect anywhere by one of ours.
            keep_listeners(self._tree.directory(SUPERVISOR))
        except NotDelegated:
            pass
        except EgressUnavailable as error:
            self._no_egress = str(error)
        except OSError as error:
            problem("cgroup", f"{error.filename or self._facts.root}: {error.strerror}")
        self.advice = "" if self._tree else self._facts.advice()

    # ── what is possible ─────────────────────────────────────────────────────────────

    def plan(self, limits: Limits) -> CgroupPlan:
        """Return what is written for these limits here, and what is unsupported.

        Looks at the paths that they name. May be called in a thread beside others.
        """
        if io_paths(limits):
            return cgroup_writes(limits, self._host(limits))  # disks come and go
        # Most vassals have one plan's limits.
        key = msgspec.json.encode(limits)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            found = self._plans[key] = cgroup_writes(limits, self._host(limits))
        return found

    def _host(self, limits: Limits) -> CgroupHost:
        if self._tree is None:
            return CgroupHost(advice=self.advice)
        return self._tree.host(io_paths(limits))

    @property
    def mode(self) -> str:
        """Return how cgroups are used, in a few words for status."""
        if self._tree is None:
            return f"none: {self.advice}"
        limited = ", ".join(sorted(self._facts.controllers)) or "no controllers"
        return f"{self._facts.mode}: {limited}"

    # ── what is done ─────────────────────────────────────────────────────────────────

    def prepare(self, spec: Spec, token: str) -> tuple[tuple[str, ...], list[int]]:
        """Make a vassal's cgroups with their limits for the master `token`.

        Returns the names and descriptors of the files that the master is given. The
        descriptors are the caller's. Raises CgroupError.
        """
        try:
            found = self._prepare(spec)
        except OSError as error:
            raise CgroupError(f"cgroup {error.filename}: {error.strerror}") from error
        self._of_masters[token] = self._paths.get(spec.settings.name, "")
        return found

    def path_of(self, token: str) -> str:
        """Return the cgroup of a master, "" = it has none."""
        return self._of_masters.get(token, "")

    def adopt(self, vassal: str, token: str, path: str) -> None:
        """A master that outlived an earlier emperor is in the cgroup at `path`."""
        if self._tree is not None and self._tree.has_app(path):
            self._of_masters[token] = path
            self._paths.setdefault(vassal, path)

    def _prepare(self, spec: Spec) -> tuple[tuple[str, ...], list[int]]:
        if self._tree is None:
            self._set_quota(spec, [])
            return (), []
        name, path = spec.settings.name, _path(spec)
        self._leaving.discard(path)
        before = self._paths.get(name)
        self._paths[name] = path
        if before not in (None, path) and before not in self._of_masters.values():
            self._leaving.add(before or "")
        failed = self._tree.create(
            path,
            spec.cgroup.writes,
            self._slice_plan(spec.subject.customer).writes,
        )
        problems = [f"{key}: {one}" for one in failed for key in one.keys]
        problems += self._filter_egress(spec.settings.sandbox, path)
        self._set_quota(spec, problems)
        self._failed[name] = tuple(problems)
        if self._watch is not None:
            self._watch.add(path)
        return self._open(path)

    def change(self, spec: Spec) -> None:
        """Put what runs under the limits of `spec`; what fails is unsupported from now on.

        Raises CgroupError.
        """
        try:
            fds = self._prepare(spec)[1]
        except OSError as error:
            raise CgroupError(f"cgroup {error.filename}: {error.strerror}") from error
        for fd in fds:
            os.close(fd)

    def _slice_plan(self, customer: str) -> CgroupPlan:
        nothing = Limits(tasks_max=None)
        return self.plan(self._slices.get(customer, nothing))

    def _open(self, path: str) -> tuple[tuple[str, ...], list[int]]:
        assert self._tree is not None
        self._tree.thaw(path)  # whoever joins a frozen cgroup hangs
        names, fds = [], []
        for name in CGROUP_FILES:
            flags = os.O_WRONLY if name.endswith(".procs") else os.O_RDONLY
            try:
                fds.append(os.open(f"{self._tree.directory(path)}/{name}", flags | os.O_CLOEXEC))
            except FileNotFoundError:
                continue  # no memory controller
            names.append(name)
        return tuple(names), fds

    def _filter_egress(self, sandbox: Sandbox, path: str) -> list[str]:
        assert self._tree is not None
        directory = f"{self._tree.directory(path)}/workload"
        deny = EVERYWHERE if sandbox.network == "egress-filter" else sandbox.ip_address_deny
        try:
            if not deny or sandbox.network == "none":
                detach_egress(directory)
            else:
                self._filter(sandbox.ip_address_allow, deny).attach(directory)
        except EgressUnavailable as error:
            if sandbox.network == "egress-filter":
                raise CgroupError(f"network = egress-filter: {error}") from error
            return [f"ip_address_deny: {error}"]
        return [f"ip_address_deny: {self._no_egress}"] if self._no_egress else []

    def _filter(self, allow: tuple[str, ...], deny: tuple[str, ...]) -> EgressFilter:
        """Return the loaded programs: most vassals, which have one plan's networks, share them."""
        if (allow, deny) not in self._filters:
            if len(self._filters) >= FILTERS_MAX:
                self._close_filters()
            self._filters[allow, deny] = EgressFilter(programs(allow, deny))
        return self._filters[allow, deny]

    def _close_filters(self) -> None:
        for one in self._filters.values():
            one.close()
        self._filters.clear()

    def _set_quota(self, spec: Spec, problems: list[str]) -> None:
        limits, directory, uid = spec.settings.limits, spec.settings.directory, spec.identity.uid
        if limits.disk_quota is None and limits.inode_quota is None:
            return

        def limit() -> None:
            set_quota(directory, uid, limits.disk_quota, limits.inode_quota)

        try:
            self._patience.look_now((directory,), uid, limit)
        except (QuotaUnavailable, Silence) as error:
            key = "disk_quota" if limits.disk_quota is not None else "inode_quota"
            problems.append(f"{key}: {error}")
            self._failed[spec.settings.name] = tuple(problems)

    # ── what is known ────────────────────────────────────────────────────────────────

    def unsupported(self, name: str) -> tuple[str, ...]:
        """Return what could not be done of a vassal's limits, "KEY: reason" each."""
        return self._failed.get(name, ())

    def usage(self, name: str) -> counters.Usage | None:
        """Return what a vassal uses and has counted; None without a cgroup."""
        path = self._paths.get(name)
        return self._tree.usage(path) if self._tree is not None and path else None

    def work_of(self, token: str) -> int | None:
        """Return the CPU time in µs that a master's workload has used; None = it is not counted."""
        path = self._of_masters.get(token)
        return self._tree.cpu_us(path) if self._tree is not None and path else None

    def held_bytes(self, name: str) -> int | None:
        """Return the memory of a vassal's workload that cannot be taken back; None = unknown."""
        path = self._paths.get(name)
        return self._tree.held_bytes(path) if self._tree is not None and path else None

    def memory_bounds(self, spec: Spec) -> list[Bound]:
        """Return the limits of memory that a vassal shares with others, with their use."""
        if self._tree is None or (path := self._paths.get(spec.settings.name)) is None:
            return []
        customer = spec.subject.customer
        slice_of_it = self._tree.directory(parent(path))
        return [
            Bound(f"customer {customer} (memory_max)", limit, held, customer)
            if directory == slice_of_it
            else Bound(f"cgroup {directory} (memory.max)", limit, held)
            for directory, limit, held in self._tree.memory_bounds(path)
        ]

    def pids(self, name: str) -> list[int]:
        """Return a vassal's processes as the host numbers them, its master's among them."""
        path = self._paths.get(name)
        return self._tree.pids(path) if self._tree is not None and path else []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when counters changed; -1 = none."""
        return self._watch.fileno() if self._watch is not None else -1

    def changed(self) -> set[str]:
        """Return the vassals whose limits may have been hit since the last call."""
        if self._watch is None:
            return set()
        paths = {change.path for change in self._watch.read() if change.file in (MEMORY, PIDS)}
        self.sweep()
        return {name for name, path in self._paths.items() if path in paths}

    # ── going ────────────────────────────────────────────────────────────────────────

    def serves_on(self, name: str, token: str | None) -> None:
        """The vassal's master is `token`, after another one was tried in its place."""
        path, tried = self._of_masters.get(token or "", ""), self._paths.get(name)
        if not path or path == tried:
            return
        self._paths[name] = path
        if tried is not None and tried not in self._of_masters.values():
            self._leaving.add(tried)
            self.sweep()

    def rename(self, old: str, new: str) -> None:
        """The cgroup of `old` is that of `new` until another is made for it."""
        path = self._paths.pop(old, None)
        if path is not None:
            self._paths[new] = path
        self._failed[new] = self._failed.pop(old, ())

    def released(self, token: str) -> None:
        """A master was reaped: kill what it left behind, if no other one lives there.

        A daemon that its tenant hid from it ends here too.
        """
        path = self._of_masters.pop(token, "")
        if self._tree is None or not path or path in self._of_masters.values():
            return
        self._tree.kill(path)
        if path not in self._paths.values():
            self._leaving.add(path)
            self.sweep()

    def forget(self, name: str) -> None:
        """The vassal's file is gone: remove its cgroups as soon as they are empty."""
        path = self._paths.pop(name, None)
        self._failed.pop(name, None)
        if self._tree is not None and path and path not in self._of_masters.values():
            self._tree.kill(path)
            self._leaving.add(path)
            self.sweep()

    def sweep(self) -> None:
        """Remove the cgroups that are to go and are empty by now."""
        if self._tree is None:
            return
        for path in list(self._leaving):
            if not self._tree.is_populated(path) and self._tree.remove(path):
                self._leaving.discard(path)
                if self._watch is not None:
                    self._watch.discard(path)

    def remove_orphans(self, specs: list[Spec], unread: Collection[str] = ()) -> None:
        """Kill and remove what an earlier emperor left of vassals that are gone; know again what
        it made for those of which nothing runs now. Of those that are `unread` is not known whose
        customers' they are."""
        if self._tree is None:
            return
        for spec in specs:
            if self._tree.has_app(_path(spec)):
                self._paths.setdefault(spec.settings.name, _path(spec))
        wanted = {*self._paths.values(), *self._of_masters.values()}
        spared = {app_name(app_path("any", name)) for name in unread}
        for path in self._tree.orphans(wanted):
            if app_name(path) in spared:
                continue
            self._problem("cgroup", f"{path} belongs to no vassal: removed")
            self._tree.kill(path)
            self._leaving.add(path)
        self.sweep()

    def close(self, patience_s: float) -> None:
        """The emperor stops for good: leave no cgroup of a vassal behind. May block, so long in
        all: whoever waits for a file system that does not answer does not end."""
        if self._tree is None:
            return
        paths = {*self._tree.apps(), *self._leaving}
        for path in paths:
            self._tree.kill(path)
        deadline = time.monotonic() + patience_s
        for path in paths:
            if self._tree.wait_empty(path, max(0.0, deadline - time.monotonic())):
                self._tree.remove(path)
        self._tree.dissolve()
        self._close_filters()
        if self._watch is not None:
            self._watch.close()


def tree_name(runtime_dir: str) -> str:
    """Return the name of our tree where nobody manages cgroups: each emperor has its own."""
    if runtime_dir == DEFAULT_RUNTIME_DIR:
        return "emperord"
    return f"emperord-{hashlib.sha256(runtime_dir.encode()).hexdigest()[:12]}"


def _path(spec: Spec) -> str:
    return app_path(spec.subject.customer, spec.settings.name)
