"""`emperor uwsgi …` for one application: uWSGI's command line, served by a master in this process.

What needs root is done first, as uWSGI does it: sockets, log and pidfile. Then root is given
up, and only then is anything of the application's loaded.
"""

import os
import sys
from collections.abc import Callable

import msgspec

from emperor.brain import interpreter
from emperor.brain.birth import Logs, Spec, build
from emperor.brain.listeners import ListenError
from emperor.brain.tenancy import may_write
from emperor.config.identity import Identity, RunAs, look_up
from emperor.config.problems import ConfigError, Problem
from emperor.config.resolve import weak_spot
from emperor.config.settings import VassalSettings
from emperor.handed import handed_over
from emperor.standalone import FAILED, Standalone, subject_of
from emperor.uwsgi.report import NEEDS_A_PERSON, verdict_line
from emperor.uwsgi.single import Single
from emperor.uwsgi.words import COMMAND_LINE
from limits.apply import StepFailed, apply
from limits.confinement import Confinement
from limits.facts import probe
from limits.layout import Layout, lay_out
from limits.plan import plan

Read = Callable[[], Single | ConfigError]


def serve_uwsgi(read: Read) -> int:
    """Serve what `read` returns until it is told to end; return the exit status.

    A reload calls `read` again: its files may have changed.
    """
    source = _Source(read)
    single = source.read()
    if single is None:
        return FAILED
    identity = _identity(single.settings)
    if isinstance(identity, Problem):
        print(identity, file=sys.stderr)
        return FAILED
    if identity.uid == 0:
        print("emperor: the application runs as root: write uid = www-data", file=sys.stderr)
    spec = source.spec(single, identity)
    if spec is None:
        return FAILED
    try:
        handed = handed_over(os.environ, os.getpid())
        for key in handed.keys() - {each.key for each in spec.settings.addresses}:
            print(f"emperor uwsgi: {key}: name it with --socket to serve it", file=sys.stderr)
        standalone = Standalone(spec, single.signals, lambda: source.again(identity), handed)
        if os.geteuid() != identity.uid:
            _while_root(standalone, spec.settings, identity)
        apply(plan(spec.confinement, probe()).steps)
    except (ListenError, StepFailed) as error:
        _complain(error)
        return FAILED
    return standalone.run()


class _Source:
    """What is to be served; says what is wrong with it, and what of it is not done, once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._said: set[str] = set()

    def read(self) -> Single | None:
        """Return what is asked for; None = it is no use."""
        single = self._read()
        if isinstance(single, ConfigError):
            print(single, file=sys.stderr)
            return None
        lines = [verdict_line(each) for each in single.verdicts if each.verdict in NEEDS_A_PERSON]
        for line in lines:
            if line not in self._said:
                print(f"emperor: {line}", file=sys.stderr)
        self._said = set(lines)
        return single

    def spec(self, single: Single, identity: Identity) -> Spec | None:
        """Return the same, ready to run."""
        try:
            return _spec(single, identity)
        except interpreter.NoInterpreter as error:
            _complain(error)
            return None

    def again(self, identity: Identity) -> Spec | None:
        """Return what is to be served after a reload; None = what serves stays."""
        single = self.read()
        return None if single is None else self.spec(single, identity)


def _complain(error: Exception) -> None:
    print(f"emperor uwsgi: {error}", file=sys.stderr)


def _identity(settings: VassalSettings) -> Identity | Problem:
    """Return whom the application runs as; without root it is always the same."""
    uid = os.geteuid()
    if uid == 0:
        user = settings.user or "root"
        return look_up(
            RunAs(file=COMMAND_LINE, user=user, group=settings.group, allow_root=True, numbers=True)
        )
    return look_up(
        RunAs(
            file=COMMAND_LINE,
            user=settings.user,
            group=settings.group,
            only_uid=uid,
            as_root=False,
        )
    )


def _spec(single: Single, identity: Identity) -> Spec:
    """Return what is served, under the limits that the options ask for and no others."""
    settings = single.settings
    python = interpreter.choose(settings.python, identity)
    subject = subject_of(settings.name, identity)
    full = lay_out(settings.limits, settings.sandbox, subject, probe(), None)
    is_root = os.geteuid() == 0
    becomes = is_root and identity.uid != 0
    regroups = becomes or (is_root and settings.group is not None)
    birth = Confinement(
        uid=identity.uid if becomes else None,
        gid=identity.gid if regroups else None,
        groups=identity.groups if regroups else None,
        drop_capabilities=becomes,
        rlimits=full.birth.rlimits,
        umask=full.birth.umask,
        nice=full.birth.nice,
    )
    workload = Confinement(
        rlimits=settings.limits.rlimits,
        nice=full.workload.nice,
        cpu_affinity=full.workload.cpu_affinity,
    )
    layout = Layout(birth=birth, workload=workload)
    logs = Logs(settings.log.target, settings.log.requests or "")
    spec = build("", settings, identity, python, logs, "", subject, layout)
    generation = msgspec.structs.replace(
        spec.generation, env=dict(single.environ), idle_stop_s=settings.idle_stop
    )
    return msgspec.structs.replace(spec, generation=generation)


# ── while it is root ─────────────────────────────────────────────────────────────────


def _while_root(standalone: Standalone, settings: VassalSettings, identity: Identity) -> None:
    """Open the log and write the pidfile where the user could not do it.

    In a folder that the user can change, it is done later with that user's rights: root would
    follow where the user leads.
    """
    files = [log for log in (settings.log.target, settings.log.requests or "") if "/" in log]
    if files and all(is_roots_alone(os.path.dirname(file), identity) for file in files):
        problem = standalone.open_log()
        if problem:
            print(f"emperor uwsgi: {problem}", file=sys.stderr)
    if settings.pidfile and is_roots_alone(os.path.dirname(settings.pidfile), identity):
        standalone.write_pidfile()


def is_roots_alone(folder: str, identity: Identity) -> bool:
    """Return whether the user can change neither this folder nor what the way to it leads to."""
    try:
        weak = weak_spot(folder, lambda status: may_write(status, identity))
        return weak is None and not may_write(os.stat(folder), identity)
    except OSError:
        return False
