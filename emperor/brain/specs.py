"""Makes the spec of a vassal from its settings: asks the host, and applies the policy.

Everything that can be known to be impossible before a process is started is found here.
"""

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from emperor.brain import interpreter, withheld
from emperor.brain.binds import binds_of, unmountable, without_missing
from emperor.brain.birth import Logs, Spec, build
from emperor.brain.cgroups import Cgroups
from emperor.brain.lately import Lately
from emperor.brain.neighbours import Neighbours
from emperor.brain.patience import Patience
from emperor.brain.places import emperors_own, find_places, named_by
from emperor.brain.release_links import missing_folders, unseen_link
from emperor.brain.socket_owners import not_given, strangers
from emperor.brain.tenancy import far_sockets, refusals
from emperor.brain.unseen import unseen
from emperor.config.file_names import speaks_uwsgi
from emperor.config.identity import Identity, RunAs, decide, find, owner_of, why_not_group
from emperor.config.policy import (
    CUSTOMER,
    Holder,
    choose,
    no_such_customer,
    shared_uid,
    too_many,
)
from emperor.config.problems import ConfigError, Problem, printable
from emperor.config.settings import EmperorSettings, Remark, VassalSettings
from emperor.config.unsupported import refusals_of_unsupported
from emperor.uwsgi.environment import inherited
from limits.directives import Sandbox, Subject
from limits.facts import HostFacts
from limits.layout import Layout, done_by_landlock, lay_out, plans
from limits.plan import Unsupported
from limits.seccomp.compile import compile_filter

MISSING_MAX = 256
"""Confinements of which is remembered what they lack; a tenant may ask for ever new ones."""


class _Asked(NamedTuple):
    """What a file asks for, and as whom its vassal runs."""

    settings: VassalSettings
    identity: Identity
    owner_uid: int
    path: str


class SpecMaker:
    """Makes specs for one emperor on one host."""

    def __init__(
        self, settings: EmperorSettings, facts: HostFacts, cgroups: Cgroups, patience: Patience
    ) -> None:
        self._settings = settings
        self._patience = patience
        self._facts = facts
        self._cgroups = cgroups
        self._sockets_dir = f"{settings.runtime_dir}/sockets"
        self._machine = os.uname().machine
        self._filters: dict[bytes, bytes | None] = {}
        self._missing: dict[bytes, tuple[Unsupported, ...]] = {}
        self.neighbours = Neighbours()
        self._lately = Lately()
        self._emperors_own = emperors_own(settings, patience.without_links)
        # What this brain was started with: it changes when another is.
        self._inherited = inherited(os.environ)

    async def make(
        self,
        settings: VassalSettings,
        owner_uid: int,
        file_gid: int,
        path: str,
    ) -> Spec:
        """Return the spec of the file at `path`; raise ConfigError, NoInterpreter or OSError,
        also Silence.

        From then on it counts as one of the vassals, until `forget`.
        """
        policy = self._settings.policy
        decided = decide(owner_uid, file_gid, os.geteuid(), settings, policy, path)
        if isinstance(decided, Problem):
            raise ConfigError([decided])
        identity, decided, remarks = self._found(decided)
        if decided.group is None and decided.file_gid not in (None, 0, identity.gid):
            remarks += (Remark(key="group", reason=why_not_group(identity, file_gid)),)
        remarks += not_given(settings.socket, identity)
        settings = msgspec.structs.replace(settings, remarks=settings.remarks + remarks)
        asked = _Asked(settings, identity, owner_uid, path)
        problems = self._policy_problems(asked)
        problems += strangers(settings.socket, path)
        if owner_uid not in (0, os.geteuid()):
            is_far, sockets_dir = self._patience.is_foreign, self._sockets_dir
            problems += far_sockets(settings, is_far, sockets_dir, path)
        spec = await self._patience.look(
            named_by(settings, identity), owner_uid, lambda: self._look(asked, problems)
        )
        late = self._policy_problems(asked) if self._patience.is_needed else ()
        if late:  # while that took its time others have come
            raise ConfigError(late)
        self.neighbours.enter(_holder(settings, identity), owner_uid)
        return spec

    def _found(self, decided: RunAs) -> tuple[Identity, RunAs, tuple[Remark, ...]]:
        """Return the identity with what was decided and what is said of it; raise ConfigError."""

        def look_up() -> tuple[Identity, RunAs, tuple[Remark, ...]]:
            found = find(decided)
            if isinstance(found.identity, Problem):
                raise ConfigError(found.problems)
            return found.identity, found.run_as, found.remarks

        return self._lately.ask(msgspec.structs.replace(decided, file=""), look_up)

    def _interpreter(
        self, python: str | None, identity: Identity, on_host: Callable[[str], str]
    ) -> str:
        if python is not None:
            return interpreter.choose(python, identity, on_host)
        # A path of the file's own may be a link that is on its way to the next release.
        return self._lately.ask(identity, lambda: interpreter.choose(None, identity))

    def _look(self, asked: _Asked, problems: list[Problem]) -> Spec:
        """Return the spec, as the host's files are now; `problems` are those known already.

        May be in a thread beside others.
        """
        settings, identity, owner_uid, path = asked
        if owner_uid not in (0, os.geteuid()):
            problems += refusals(settings, identity, self._sockets_dir, path)
        if problems:
            raise ConfigError(problems)
        variables: Mapping[str, str] = {}
        if self._settings.uwsgi.inherit_environment and speaks_uwsgi(path):
            if not owner_of(owner_uid).tenant:
                variables = self._variables(settings)
                settings = _with_left_out(settings, self._inherited.left_out)
        written = settings.sandbox
        settings = msgspec.structs.replace(settings, sandbox=without_missing(written))
        binds = binds_of(settings.sandbox)
        python = self._interpreter(settings.python, identity, binds.on_host)
        logs = self._logs(settings, identity)
        by_tenant = owner_uid not in (0, os.geteuid())
        seen = find_places(self._emperors_own, settings, identity, python, logs, by_tenant)
        if seen.withheld:
            problem, remarks = withheld.explain(settings, identity.user, seen.withheld, path)
            if problem is not None:
                raise ConfigError([problem])
            settings = msgspec.structs.replace(settings, remarks=(*settings.remarks, *remarks))
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
        cgroup = self._cgroups.plan(settings.limits)
        lacking += cgroup.unsupported
        problems = refusals_of_unsupported(settings, lacking, path)
        problems += unmountable(settings.sandbox, layout.birth.root, path)
        problems += missing_folders(settings, layout.birth.root, path)
        link = unseen_link(settings.directory, binds, layout.birth.root, identity.user, path)
        if link is not None:
            problems.append(link)
        hidden, remarks = unseen(settings, layout, self._facts, by_tenant, seen.withheld, path)
        settings = msgspec.structs.replace(settings, remarks=(*settings.remarks, *remarks))
        problems += hidden
        if problems:
            raise ConfigError(problems)
        settings = msgspec.structs.replace(settings, sandbox=written)
        lang = os.environ.get("LANG", "C.UTF-8")
        return build(
            path, settings, identity, python, logs, lang, subject, layout, variables, cgroup
        )

    def _variables(self, settings: VassalSettings) -> Mapping[str, str]:
        """Return what a file of uWSGI's inherits: all but what its unenv takes away."""
        unset = {text for name, text in settings.uwsgi_options if name == "unenv"}
        found = self._inherited.variables
        return {name: text for name, text in found.items() if name not in unset}

    def forget(self, name: str) -> None:
        """The vassal's file is gone: it stands in nobody's way any more."""
        self.neighbours.leave(name)

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
        found = self._missing.get(key)
        if found is None:
            if len(self._missing) >= MISSING_MAX:
                self._missing.clear()
            birth, workload = plans(layout, self._facts)
            instead = done_by_landlock(layout, self._facts)
            missing = (*birth.missing(), *workload.missing())
            found = tuple(item for item in missing if item.key not in instead)
            self._missing[key] = found
        return found

    def _policy_problems(self, asked: _Asked) -> list[Problem]:
        """Return what cannot be beside the other vassals, one too many or a shared uid, and
        whether there is the customer."""
        settings, identity, owner_uid, path = asked
        owner = owner_of(owner_uid)
        faults = {}
        if owner.tenant:
            count = self.neighbours.count_of(owner_uid, settings.name)
            policy = choose(settings.plan, None, self._settings, owner).policy
            faults["file"] = too_many(owner.name, count, policy)
        if os.geteuid() == 0:  # else there is one uid for all, whoever the customers are
            new = _holder(settings, identity)
            faults["user"] = shared_uid(new, self.neighbours.rivals(new))
        faults[CUSTOMER] = no_such_customer(settings, self._settings)
        return [
            Problem(file=path, line=1, key=key, problem=fault.problem, remedy=fault.remedy)
            for key, fault in faults.items()
            if fault is not None
        ]

    def _logs(self, settings: VassalSettings, identity: Identity) -> Logs:
        """Return where the master writes; make the folder that belongs to it alone.

        It has one also where it is to write elsewhere: there it writes if it cannot, since not
        even by that may a tenant's lines get into the emperor's log.
        """
        log = settings.log
        own = log.target != "inherit"
        if not own and log.requests != "file":
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
        file = f"{folder}/{settings.name}.log"
        return Logs(
            file if log.target == "file" else log.target,
            f"{folder}/{settings.name}-requests.log"
            if log.requests == "file"
            else log.requests or "",
            file if own else "",
        )


def _with_left_out(settings: VassalSettings, names: Sequence[str]) -> VassalSettings:
    """Add a remark on each variable that is not inherited. Their values are nobody's affair."""
    reason = "is not inherited: it is no text, or there is more than 48 KiB"
    remarks = [Remark(key="env", reason=f"{printable(name[:100])} {reason}") for name in names[:8]]
    return msgspec.structs.replace(settings, remarks=(*settings.remarks, *remarks))


def _holder(settings: VassalSettings, identity: Identity) -> Holder:
    return Holder(settings.name, identity.uid, settings.limits.slice)
