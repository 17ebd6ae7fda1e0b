"""What the control API may ask of the brain: reads the fleet, and changes wishes."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from emperor.brain.catalog import Catalog
from emperor.brain.cgroups import Cgroups
from emperor.brain.eventstream import EventStream
from emperor.brain.fleet import Fleet
from emperor.brain.host import processes_below
from emperor.brain.incidents import Incidents
from emperor.brain.limits_view import applied, missing, usage_of
from emperor.brain.limits_view import steps as steps_of
from emperor.brain.patience import Patience
from emperor.brain.routing import Routing
from emperor.brain.views import (
    Confined,
    HostProcess,
    explanation,
    reload_waits_for,
    vassal_status,
)
from emperor.brain.wishes import Wish
from emperor.core.registry import RUNNING, Vassal
from emperor.status import (
    AppliedLimit,
    Backlog,
    EmperorStatus,
    Event,
    Explanation,
    NotPossible,
    Status,
    UnknownVassal,
    Unsupported,
    VassalState,
    VassalStatus,
)
from limits.facts import HostFacts
from vassal.generation import LogSettings
from vassal.master.backlog import open_diag, queue
from vassal.master.sinks import JOURNAL
from vassal.messages import Description

PASSED_ON_S = 5.0
"""So long a command may take to reach those who carry it out."""


class BrainSteering:
    """Implements `emperor.status.Steering` over a fleet and a catalog. `spawner_has_all` waits
    until the spawner has all that it was told."""

    def __init__(
        self,
        fleet: Fleet,
        catalog: Catalog,
        stream: EventStream,
        cgroups: Cgroups,
        incidents: Incidents,
        routing: Routing,
        facts: HostFacts,
        patience: Patience,
        about: EmperorStatus,
        begin_anew: Callable[[], str],
        spawner_has_all: Callable[[], Awaitable[None]],
    ) -> None:
        self._fleet = fleet
        self._catalog = catalog
        self._stream = stream
        self._cgroups = cgroups
        self._incidents = incidents
        self._routing = routing
        self._facts = facts
        self._patience = patience
        self._about = about
        self._began_at = time.monotonic()
        self._begin_anew = begin_anew
        self._spawner_has_all = spawner_has_all

    async def status(self) -> Status:
        """Return everything; masters that do not answer within a second show no workers."""
        with open_diag() as diag:
            found = await asyncio.gather(
                *(self._vassal_or_none(name, diag.fileno()) for name in self.names())
            )
        vassals = [vassal for vassal in found if vassal is not None]
        about = msgspec.structs.replace(
            self._about,
            # By the clock as it is now: who boots with a wrong one sets it right later.
            since=time.time() - (time.monotonic() - self._began_at),
            errors=self._catalog.stray_problems(),
        )
        return Status(emperor=about, vassals=tuple(vassals))

    async def _vassal_or_none(self, name: str, diag_fd: int) -> VassalStatus | None:
        try:
            return await self._vassal(name, diag_fd)
        except UnknownVassal:
            return None  # removed while its master was asked

    async def vassal(self, name: str) -> VassalStatus:
        """Return one vassal's status; raise UnknownVassal."""
        with open_diag() as diag:
            return await self._vassal(name, diag.fileno())

    async def _vassal(self, name: str, diag_fd: int) -> VassalStatus:
        vassal, wish, found = await self._described(name)
        if not vassal.since:  # stopped before this brain began: that is all it knows
            vassal = msgspec.structs.replace(vassal, since=self._began_at)
        status = vassal_status(
            vassal,
            wish,
            self._catalog.path_of(name),
            found,
            _processes(vassal, found),
            Confined(
                self._missing(name, wish, found),
                usage_of(self._cgroups.usage(name)),
                self._incidents.of(name),
                self._fleet.limit_change(name),
            ),
            self._backlog(wish, diag_fd),
            self._catalog.rolled_back_to(name),
            time.monotonic(),
            time.time(),
        )
        refused = self._routing.refusals_of(name)
        return msgspec.structs.replace(
            status,
            hosts=tuple(host for host in status.hosts if host not in refused),
            hosts_refused=tuple(refused.values()),
            refusing=self._fleet.refuses(name),
        )

    def _backlog(self, wish: Wish | None, diag_fd: int) -> tuple[Backlog, ...]:
        """Return how many connections wait at a vassal's sockets, as far as they are bound."""
        if wish is None or wish.spec is None:
            return ()
        bound = self._fleet.listeners.bound(wish.spec.settings)
        queues = [(url, queue(held.fileno(), diag_fd)) for url, held in bound]
        return tuple(Backlog(url=url, waiting=one.waiting, max=one.max) for url, one in queues)

    def _missing(
        self, name: str, wish: Wish | None, found: Description | None
    ) -> tuple[Unsupported, ...]:
        """Return what is not applied of a vassal's limits, whoever found it out."""
        if wish is None or wish.spec is None:
            return ()
        texts = (
            *self._fleet.unsupported.get(name, ()),
            *(found.unsupported if found is not None else ()),
            *self._cgroups.unsupported(name),
        )
        settings = wish.spec.settings
        said = (Unsupported(key=one.key, reason=one.reason) for one in settings.remarks)
        return (*missing(texts, wish.spec.cgroup), *said)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._fleet.wishes.keys() | self._fleet.vassals.keys()))

    def is_now(self, name: str) -> str:
        """Return what the vassal is called now that was called `name` before it was renamed."""
        return self._fleet.renames.is_now(name)

    def owner_uid(self, name: str) -> int:
        """Return the uid that may read and steer this vassal; raise UnknownVassal."""
        self._check(name)
        return self._catalog.owner_uid(name)

    async def reload(self, name: str) -> str:
        """Read the file anew and start a new generation."""
        vassal, wish = await self._fresh(name)
        if vassal.state is VassalState.DORMANT:
            return f"{name} sleeps: the first connection starts it with code and file of now"
        if vassal.state not in RUNNING:
            raise NotPossible(
                f"{name} is {vassal.state}, not running", f"Run: emperor start {name}"
            )
        self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=wish.reload_serial + 1))
        await self.passed_on(name)
        now = self._fleet.vassals.get(name, vassal)
        waits = reload_waits_for(now, self._fleet.waits_for_room(name))
        return f"{name}: {waits or f'building generation {vassal.generation + 1}'}"

    async def rollback(self, name: str) -> str:
        """Go back to the last other version of the file that served."""
        self._check(name)
        version = await self._catalog.roll_back(name)
        _, wish = self._look_up(name)
        problems = self._catalog.problems_of(name)
        if wish is None or problems:
            raise NotPossible("\n".join(problems) or f"{name} has no file any more")
        self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=wish.reload_serial + 1))
        self._fleet.forgive(name)
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(version.at))
        if self._catalog.rolled_back_to(name) is None:
            return f"{name}: back to what its file says, which served first at {since}"
        return (
            f"{name}: back to the version that served first at {since}; "
            "the file counts again when its content changes"
        )

    async def restart(self, name: str) -> str:
        """Stop the vassal and start it anew."""
        vassal, wish = await self._fresh(name)
        restarted = msgspec.structs.replace(
            wish,
            run=True,
            restart_serial=wish.restart_serial + 1,
            reload_serial=wish.reload_serial + 1,
        )
        self._fleet.wish(name, restarted)
        self._fleet.forgive(name)
        then = "asleep until the first connection" if wish.desired().on_demand else "starting"
        return f"{name}: " + (f"stopping, then {then}" if vassal.state in RUNNING else then)

    async def renew(self, name: str) -> str:
        """Let a new master of the newest code take the place of the one that serves."""
        vassal, wish = await self._fresh(name)
        if vassal.state not in RUNNING:
            raise NotPossible(f"{name} is {vassal.state}: its next start takes the newest code")
        self._fleet.wish(name, msgspec.structs.replace(wish, renew_serial=wish.renew_serial + 1))
        return f"{name}: building a new master"

    async def reopen(self, name: str) -> str:
        """Let the vassal's log be opened anew, because somebody has moved the file away."""
        vassal, wish = self._look_up(name)
        log = wish.spec.generation.log if wish and wish.spec else LogSettings()
        files = [target for target in (log.target, log.requests) if "/" in target]
        if not files:
            raise NotPossible(f"{name} has no log file of its own: nothing is to be opened anew")
        if vassal.token is None:
            return f"{name}: it does not run, and opens its log when it starts"
        self._fleet.renew_log(name)
        return f"{name}: opening {', '.join(files)} anew"

    async def upgrade(self) -> str:
        """Take new code and settings into spawner and brain."""
        problem = self._begin_anew()
        if problem:
            raise NotPossible(problem)
        return f"brain {os.getpid()} makes way for the next"

    async def stop(self, name: str) -> str:
        """Stop gracefully and stay stopped until `start`."""
        _, wish = self._look_up(name)
        if wish is None:
            raise NotPossible(f"{name} is being removed already")
        self._fleet.wish(name, msgspec.structs.replace(wish, run=False))
        return f"{name}: stopping; until emperor start {name} its clients are answered 503"

    async def start(self, name: str) -> str:
        """Start a stopped, parked or waiting vassal now."""
        vassal, wish = await self._fresh(name)
        if wish.run and vassal.state in RUNNING:
            raise NotPossible(
                f"{name} is {vassal.state} already", f"To load it anew, run: emperor reload {name}"
            )
        self._fleet.wish(name, msgspec.structs.replace(wish, run=True))
        if vassal.state is VassalState.DORMANT:
            self._fleet.wake(name)
            return f"{name}: starting"
        self._fleet.forgive(name)
        if wish.desired().on_demand:
            return f"{name}: asleep until the first connection (on_demand)"
        return f"{name}: starting"

    async def passed_on(self, name: str) -> None:
        """Wait until who carries it out has what was ordered for a vassal, or it is kept for the
        next brain; raise NotPossible if that takes too long.

        What is to wait (`reload_waits_for`) is ordered later, and dies with this brain.
        """
        try:
            await asyncio.wait_for(self._passed_on(name), PASSED_ON_S)
        except TimeoutError:
            raise NotPossible(
                f"{name}: begun, and not passed on within {PASSED_ON_S:g} s (is the machine too "
                "busy, or a process stopped?): see whether it is done, else say it again"
            ) from None

    async def _passed_on(self, name: str) -> None:
        await self._fleet.looked()
        await self._spawner_has_all()
        wish = self._fleet.wishes.get(name)
        if wish is not None and wish.run:
            # The spawner keeps who is to be stopped: those the next brain stops as well.
            await self._fleet.until_told(name)

    async def explain(self, name: str) -> Explanation:
        """Return what is wanted of a vassal, what is, and all that confines it."""
        vassal, wish, found = await self._described(name)
        limits: tuple[AppliedLimit, ...] = ()
        steps: tuple[str, ...] = ()
        others: tuple[Unsupported, ...] = ()
        if wish is not None and wish.spec is not None:
            lacking = self._missing(name, wish, found)
            limits = applied(wish.spec, lacking, self._facts)
            shown = {limit.key for limit in limits}
            others = tuple(one for one in lacking if one.key not in shown)
            steps = steps_of(wish.spec, self._facts, wish.spec.cgroup)
        scaling = found.scaling[:200] if found is not None else ""
        return explanation(vassal, wish, limits, others, steps, scaling, time.monotonic())

    def events(self) -> AsyncIterator[Event]:
        """Yield events from now on; a slow reader loses the oldest."""
        return self._stream.subscribe()

    def open_log(self, name: str) -> BinaryIO:
        """Open the vassal's log file for reading; raise NotPossible when there is none."""
        _, wish = self._look_up(name)
        if wish is None or wish.spec is None:
            raise NotPossible(f"{name} has never run: its file has problems")
        uid, log = wish.spec.identity.uid, wish.spec.generation.log
        target, own = log.target, log.own
        if target == "journal":
            if os.path.exists(JOURNAL):
                raise NotPossible("its log is in the journal", f"Run: journalctl -t vassal-{name}")
            target = own
        if target == "inherit":
            raise NotPossible(
                "its log is the emperor's own (log = inherit)",
                "Look there: in its terminal, or with journalctl -u emperor",
            )
        if wish.spec.settings.log.target != "file" and self._patience.is_foreign(target):
            raise NotPossible(f"{target} is on a file system that others serve: read it there")
        try:
            return _open_safely(Path(target), uid)
        except NotPossible:
            # What its master cannot open either is not where its lines are.
            if own in ("", target) or not os.path.exists(own):
                raise
            return _open_safely(Path(own), uid)

    # ── helpers ──────────────────────────────────────────────────────────────────────

    def _check(self, name: str) -> None:
        if name not in self._fleet.wishes and name not in self._fleet.vassals:
            raise UnknownVassal(name)

    async def _described(self, name: str) -> tuple[Vassal, Wish | None, Description | None]:
        """Return the record of a vassal with what its master says: both of the same time."""
        self._check(name)
        before = self._fleet.vassals.get(name)
        found = await self._fleet.describe(name)
        vassal, wish = self._look_up(name)
        if before is not None and before.state is not vassal.state:
            # "Ready" came right behind the answer, which still told of a start.
            found = await self._fleet.describe(name)
            vassal, wish = self._look_up(name)
        return vassal, wish, found

    def _look_up(self, name: str) -> tuple[Vassal, Wish | None]:
        self._check(name)
        return self._fleet.vassals.get(name) or Vassal(name=name), self._fleet.wishes.get(name)

    async def _fresh(self, name: str) -> tuple[Vassal, Wish]:
        """Return record and wish after the file was read anew; raise NotPossible."""
        self._check(name)
        await self._catalog.refresh(name)
        vassal, wish = self._look_up(name)
        if wish is None:
            raise NotPossible(f"{name} has no file any more")
        problems = self._catalog.problems_of(name)
        if problems:
            raise NotPossible("\n".join(problems))
        return vassal, wish


def _processes(vassal: Vassal, found: Description | None) -> dict[int, HostProcess]:
    if not vassal.pid:
        return {}
    return processes_below(vassal.pid, (row.ns_pid for row in found.workers) if found else ())


def _open_safely(path: Path, uid: int) -> BinaryIO:
    """Open a log that a tenant may have replaced: only its own regular file is shown."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotPossible(f"{path}: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != uid or status.st_nlink != 1:
        os.close(fd)
        raise NotPossible(f"{path} is not a plain file of the vassal's own")
    return os.fdopen(fd, "rb")
