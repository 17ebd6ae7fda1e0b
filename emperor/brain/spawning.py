"""Asks the spawner for masters, each with all that it needs to be born."""

from collections.abc import Callable

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.cgroups import CgroupError, Cgroups
from emperor.brain.listeners import ListenError, Listeners
from emperor.brain.live_limits import LiveLimits
from emperor.brain.memo import memo_of
from emperor.core.reconcile import Desired
from limits.facts import HostFacts
from vassal import packets
from vassal.encoding import MessageError
from vassal.failure import Failure
from vassal.messages import Message, SpawnMaster

START_GRACE_S = 10.0
"""So much longer than `spawn_timeout` a master may take to be born and to answer."""


class CannotSpawn(Exception):
    """No master could even be asked for; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Spawning:
    """Binds, makes cgroups and asks; enters nothing into the roll."""

    def __init__(
        self,
        listeners: Listeners,
        cgroups: Cgroups,
        limits: LiveLimits,
        to_spawner: Callable[[Message, list[int]], None],
        facts: HostFacts,
    ) -> None:
        self._listeners = listeners
        self._cgroups = cgroups
        self._limits = limits
        self._to_spawner = to_spawner
        self._facts = facts

    def ask(self, token: str, desired: Desired, spec: Spec, beside: bool) -> None:
        """Ask for the master `token`; `beside`, something else of its vassal serves.

        Raises CannotSpawn; what was bound by then stays so.
        """
        addresses = spec.settings.addresses
        try:
            self._listeners.prepare(spec.settings, spec.identity, addresses, token, beside)
            names, fds = self._cgroups.prepare(spec, token)
        except (ListenError, CgroupError) as error:
            raise CannotSpawn(not_begun(error)) from error
        self._limits.born(spec)
        order = SpawnMaster(
            token=token,
            vassal=spec.settings.name,
            memo=memo_of(desired, spec, self._cgroups.path_of(token)),
            pid_namespace=spec.confinement.pid_namespace and self._facts.can_pid_namespace,
            confinement=msgspec.Raw(msgspec.json.encode(spec.confinement)),
            cgroup_files=names,
        )
        try:
            self._to_spawner(order, fds)
        except MessageError as error:  # its file asks for more than fits
            raise CannotSpawn(Failure(kind="config", message=str(error))) from error
        finally:
            packets.close_all(fds)


def not_begun(error: ListenError | CgroupError) -> Failure:
    """Return why no master could even be asked for."""
    # A full machine may have room later; a socket that somebody else has is theirs.
    kind = "listen" if isinstance(error, ListenError) else "crash"
    return Failure(kind=kind, message=str(error))
