"""Makes the spec of a vassal from its settings: asks the host, and applies the policy.

Everything that can be known to be impossible before a process is started is found here.
"""

import errno
import os
import stat

import msgspec

from emperor.brain import interpreter
from emperor.brain.birth import Logs, Spec, build
from emperor.brain.cgroups import Cgroups
from emperor.brain.neighbours import Neighbours
from emperor.brain.places import emperors_own, find_places
from emperor.brain.release_links import unseen_link
from emperor.brain.tenancy import refusals
from emperor.config.identity import Identity, decide, find, owner_of, why_not_group
from emperor.config.policy import Holder, choose, shared_uid, too_many
from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import EmperorSettings, Remark, VassalSettings
from emperor.config.unsupported import refusals_of_unsupported
from limits.directives import Sandbox, Subject
from limits.facts import HostFacts
from limits.layout import Layout, done_by_landlock, lay_out, plans
from limits.plan import Unsupported
from limits.seccomp.compile import compile_filter

MISSING_MAX = 256
"""Confinements of which is remembered what they lack; a tenant may ask for ever new ones."""


class SpecMaker:
    """Makes specs for one emperor on one host."""

    def __init__(self, settings: EmperorSettings, facts: HostFacts, cgroups: Cgroups) -> None:
        self._settings = settings
        self._facts = facts
        self._cgroups = cgroups
        self._machine = os.uname().machine
        self._filters: dict[bytes, bytes | None] = {}
        self._missing: dict[bytes, tuple[Unsupported, ...]] = {}
        self._neighbours = Neighbours()
        self._emperors_own = emperors_own(settings)

    def make(
        self,
        settings: VassalSettings,
        owner_uid: int,
        file_gid: int,
        path: str,
    ) -> Spec:
        """Return the spec of the file at `path`; raise ConfigError, NoInterpreter or OSError.

        From then on it counts as one of the vassals, until `forget`.
        """
        policy = self._settings.policy
        decided = decide(owner_uid, file_gid, os.geteuid(), settings, policy, path)
        if isinstance(decided, Problem):
            raise ConfigError([decided])
        identity, decided, remarks = find(decided)
        if isinstance(identity, Problem):
            raise ConfigError([identity])
        if decided.group is None and decided.file_gid not in (None, 0, identity.gid):
            remarks += (Remark(key="group", reason=why_not_group(identity, file_gid)),)
        settings = msgspec.structs.replace(settings, remarks=settings.remarks + remarks)
        problems = self._policy_problems(settings, identity, owner_uid, path)
        if owner_uid not in (0, os.geteuid()):
            sockets_dir = f"{self._settings.runtime_dir}/sockets"
            problems += refusals(settings, identity, sockets_dir, path)
        if problems:
            raise ConfigError(problems)
        python = interpreter.choose(settings.python, identity)
        logs = self._logs(settings, identity)
        seen = find_places(self._emperors_own, settings, identity, python, logs)
        subject = Subject(
            vassal=settings.name,
            customer=settings.limits.slice or identity.user,
            uid=identity.uid,
            gid=identity.gid,
            groups=identity.groups,
            homes=seen.homes,
            hidden=seen.hidden,
            written=settings.written,
        )
        program = self._filter(settings.sandbox)
        layout = lay_out(settings.limits, settings.sandbox, subject, self._facts, program)
        lacking = self._lacking(settings, subject, layout)
        lacking += self._cgroups.plan(settings.limits).unsupported
        problems = refusals_of_unsupported(settings, lacking, path)
        unseen = unseen_link(settings.directory, layout.birth.root, identity.user, path)
        if unseen is not None:
            problems.append(unseen)
        if problems:
            raise ConfigError(problems)
        self._neighbours.enter(_holder(settings, identity), owner_uid)
        lang = os.environ.get("LANG", "C.UTF-8")
        return build(path, settings, identity, python, logs, lang, subject, layout)

    def forget(self, name: str) -> None:
        """The vassal's file is gone: it stands in nobody's way any more."""
        self._neighbours.leave(name)

    def _filter(self, sandbox: Sandbox) -> bytes | None:
        """Return the compiled filter; most vassals share one, so each is compiled once."""
        key = msgspec.json.encode(sandbox)
        if key not in self._filters:
            try:
                self._filters[key] = compile_filter(sandbox, self._machine)
            except ValueError:
                self._filters[key] = None  # the numbers of this machine are not known
        return self._filters[key]

    def _lacking(
        self, settings: VassalSettings, subject: Subject, layout: Layout
    ) -> tuple[Unsupported, ...]:
        """Return what of a layout no process can have here.

        The paths in it have no part in that, and what this process may do does not change:
        most vassals, which have one plan's limits and one user each, are asked for once.
        """
        asked = (settings.limits, settings.sandbox, subject.uid, subject.gid, subject.groups)
        key = msgspec.json.encode(asked)
        if key not in self._missing:
            if len(self._missing) >= MISSING_MAX:
                self._missing.clear()
            birth, workload = plans(layout, self._facts)
            instead = done_by_landlock(layout, self._facts)
            missing = (*birth.missing(), *workload.missing())
            self._missing[key] = tuple(item for item in missing if item.key not in instead)
        return self._missing[key]

    def _policy_problems(
        self,
        settings: VassalSettings,
        identity: Identity,
        owner_uid: int,
        path: str,
    ) -> list[Problem]:
        """Return what cannot be beside the other vassals: one too many, a shared uid."""
        owner = owner_of(owner_uid)
        faults = {}
        if owner.tenant:
            count = self._neighbours.count_of(owner_uid, settings.name)
            policy = choose(settings.plan, None, self._settings, owner).policy
            faults["file"] = too_many(owner.name, count, policy)
        if os.geteuid() == 0:  # else there is one uid for all, whoever the customers are
            new = _holder(settings, identity)
            faults["user"] = shared_uid(new, self._neighbours.rivals(new))
        return [
            Problem(file=path, line=1, key=key, problem=fault.problem, remedy=fault.remedy)
            for key, fault in faults.items()
            if fault is not None
        ]

    def _logs(self, settings: VassalSettings, identity: Identity) -> Logs:
        """Return where the master writes; make the folder that belongs to it alone."""
        log = settings.log
        if "file" not in (log.target, log.requests):
            return Logs(log.target, log.requests or "")
        folder = f"{self._settings.log_dir}/{settings.name}"
        try:
            status = os.lstat(folder)
        except FileNotFoundError:
            os.mkdir(folder, 0o750)
            status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) and not os.path.isdir(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        if os.geteuid() == 0 and (status.st_uid, status.st_gid) != (identity.uid, identity.gid):
            os.chown(folder, identity.uid, identity.gid, follow_symlinks=False)
        return Logs(
            f"{folder}/{settings.name}.log" if log.target == "file" else log.target,
            f"{folder}/{settings.name}-requests.log"
            if log.requests == "file"
            else log.requests or "",
        )


def _holder(settings: VassalSettings, identity: Identity) -> Holder:
    return Holder(settings.name, identity.uid, settings.limits.slice)
