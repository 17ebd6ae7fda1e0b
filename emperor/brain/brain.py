"""The brain: takes over what runs, then watches, reconciles and reports, until it is to leave."""

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from emperor import __version__
from emperor.brain.catalog import Catalog
from emperor.brain.cgroups import Cgroups
from emperor.brain.eventstream import EventStream
from emperor.brain.faults import fault_fields
from emperor.brain.fleet import Fleet
from emperor.brain.history import History
from emperor.brain.holders import Holders
from emperor.brain.homes import Homes, KeptHomes
from emperor.brain.incidents import Incidents
from emperor.brain.inventory import (
    ATTEMPTS,
    HOMES,
    NAMES,
    STOPPED,
    TOUCHED,
    Inventory,
    Keeper,
)
from emperor.brain.links import Link
from emperor.brain.patience import Patience
from emperor.brain.pidfile import EmperorPidFile
from emperor.brain.readiness import Readiness
from emperor.brain.routing import Routing
from emperor.brain.specs import SpecMaker
from emperor.brain.startup import CannotStart, remove_traces
from emperor.brain.stats_server import EmperorStats
from emperor.brain.steering import BrainSteering
from emperor.brain.takeover import Takeover
from emperor.brain.told import Ears
from emperor.brain.touch_memory import KeptStamps, TouchMemory
from emperor.brain.version_reader import VersionReader
from emperor.config.settings import EmperorSettings
from emperor.core.allotment import Caps
from emperor.logfmt import Log, text_of
from emperor.status import EmperorStatus, Event
from emperor.watch.events import Changed, Degraded, FileChanged, Rescan, WatchEvent
from emperor.watch.watcher import Watcher
from limits.facts import probe
from limits.pidns import can_fork_in_new_pid_namespace
from vassal.encoding import decode_from_spawner
from vassal.messages import (
    Exit,
    FromSpawner,
    Ping,
    Pong,
    ReloadRequested,
    RestartEmperor,
    ShutdownRequested,
    Signalled,
    StopAll,
)

CGROUP_PATIENCE_S = 2.0
"""How long the last processes of a vassal may take to die when the emperor stops."""

TOLD_PATIENCE_S = 5.0
"""How long somebody may take to read who is told something last."""


class Brain:
    """Wires the parts together; every decision is made in one of them.

    `read_settings` reads them anew, or raises CannotStart.
    """

    def __init__(
        self,
        settings: EmperorSettings,
        read_settings: Callable[[], EmperorSettings],
        channel: socket.socket,
        inventory: Inventory,
        keeper: Keeper,
        log: Log,
    ) -> None:
        self._settings = settings
        self._read_settings = read_settings
        self._channel = channel
        self._inventory = inventory
        self._keeper = keeper
        self._log = log
        self._stream = EventStream()
        self._kept_stopped = sorted(inventory.kept(STOPPED, frozenset[str]) or ())
        self._watcher: Watcher | None = None
        self._ears: Ears | None = None
        self._pidfile = EmperorPidFile(self._on_pidfile_problem)
        self._stopping = asyncio.Event()
        self._spawner_gone = asyncio.Event()
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Serve until there is nothing left to serve."""
        settings, inventory = self._settings, self._inventory
        asyncio.get_running_loop().set_exception_handler(self._on_fault)
        self._link: Link[FromSpawner] = Link(
            self._channel,
            decode_from_spawner,
            self._on_spawner_message,
            lambda problem: self._log.error("message_not_understood", error=problem),
            self._spawner_gone.set,
        )
        self._keeper.send_by(self._link.send)
        self._pidfile.keep(settings.pidfile)
        facts = probe(can_pid_namespace=can_fork_in_new_pid_namespace())
        patience = Patience(self._on_answer)
        self._cgroups = Cgroups(
            [os.getppid(), os.getpid()],
            {name: budget.limits for name, budget in settings.customers.items()},
            settings.runtime_dir,
            patience,
            self._on_cgroup_problem,
        )
        self._fleet = Fleet(
            self._link.send,
            facts,
            settings.spawn_concurrency,
            _caps(settings),
            self._cgroups,
            self._publish,
            self._on_change,
            self._on_served,
            self._on_renamed,
            self._keeper.keep,
            patience.look_now,
        )
        self._readiness = Readiness(self._fleet, self._link.send, self._publish)
        self._fleet.renames.restore(inventory.kept(NAMES, dict[str, str]) or {})
        self._fleet.listeners.restore(
            inventory.kept(ATTEMPTS, dict[str, dict[str, frozenset[str]]]) or {}
        )
        self._incidents = Incidents(self._cgroups, self._fleet, self._publish)
        specs = SpecMaker(settings, facts, self._cgroups, patience)
        reader = VersionReader(settings, specs, patience, self._publish)
        history = History(Path(settings.state_dir), self._on_history_problem)
        homes = Homes(inventory.kept(HOMES, KeptHomes) or KeptHomes())
        self._holders = Holders(
            settings.state_dir,
            lambda: {**self._fleet.listeners.holders, **self._catalog.choices},
            self._on_history_problem,
        )
        self._catalog = Catalog(
            settings,
            reader,
            self._fleet,
            self._publish,
            inventory.kept(STOPPED, frozenset[str]) or frozenset(),
            history,
            patience,
            homes,
            self._on_scanned,
            self._holders.note,
            self._touch_memory(),
        )
        self._takeover = takeover = Takeover(
            inventory, self._fleet, self._catalog, self._cgroups, homes, self._keeper
        )
        held = self._holders.load()
        self._fleet.listeners.remember(held)
        self._routing = Routing(settings.runtime_dir, self._fleet, self._publish)
        # All that is made from here to gc.freeze() is kept: looking for garbage among it again
        # and again would be a fifth of the start over thousands of files.
        gc.disable()
        chosen = [key for key in held if key.startswith("/")]
        await self._catalog.rescan_all(first=[*chosen, *takeover.paths_of_masters()])
        await takeover.take_over()
        # Masters answer meanwhile: it is a third of all that a brain has to load.
        from emperor.control.server import ControlServer

        await takeover.until_described()
        for name in self._fleet.vassals:
            self._incidents.begin(name)
        self._watcher = watcher = Watcher(
            settings.directories,
            self._on_watch,
            mode=settings.watch,
            poll_interval_s=settings.poll_interval,
        )
        await watcher.start()
        steering = BrainSteering(
            self._fleet,
            self._catalog,
            self._stream,
            self._cgroups,
            self._incidents,
            self._routing,
            facts,
            patience,
            self._about(facts.euid),
            self._begin_anew,
            self._link.until_sent,
        )
        control = ControlServer(steering, Path(settings.runtime_dir), self._log)
        await control.start()
        self._ears = Ears(
            settings,
            self._fleet,
            self._catalog,
            self._publish,
            self._begin_anew,
            self._stop,
            lambda: self._pidfile.keep(settings.pidfile),
        )
        self._ears.start()
        stats = EmperorStats(settings, steering.status, self._on_stats_problem)
        await stats.start()
        self._publish(
            "info",
            "emperor_started",
            None,
            {"version": __version__, "runtime_dir": settings.runtime_dir},
        )
        gc.freeze()
        gc.enable()
        if self._stopping.is_set():
            self._fleet.stop_all()  # before the first look: what has ended already stays so
        self._fleet.begin()
        await self._until_stopped()
        await watcher.close()
        stats.stop()
        self._ears.close()
        await control.stop()
        await self._catalog.close()
        self._incidents.close()
        self._routing.close()
        if self._leaving.is_set():
            await self._until_told()
            return  # who asked for a stop since is heard by the next emperor
        self._pidfile.remove()
        if self._stopping.is_set():
            self._finish()
            await self._until_told()

    # ── stopping ─────────────────────────────────────────────────────────────────────

    async def _until_stopped(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        gone = asyncio.create_task(self._spawner_gone.wait())
        leaving = asyncio.create_task(self._leaving.wait())
        tasks = (stopping, gone, leaving)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        if self._spawner_gone.is_set():
            return  # masters stop by themselves; nobody is left who could hold anything
        if self._leaving.is_set():
            return  # the next emperor takes over
        self._fleet.stop_all()
        deadline = time.monotonic() + self._settings.shutdown_timeout
        while not self._fleet.is_empty and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        if not self._fleet.is_empty:
            self._publish("error", "shutdown_incomplete", None, {"action": "killing the rest"})

    async def _until_told(self) -> None:
        """What was said last goes out before this brain does: it may be why it goes."""
        told = asyncio.gather(self._link.until_sent(), self._fleet.until_all_told())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told, TOLD_PATIENCE_S)

    def _finish(self) -> None:
        self._holders.keep()
        self._cgroups.close(CGROUP_PATIENCE_S)
        self._fleet.close_doors()
        self._fleet.listeners.close_all()
        remove_traces(self._settings)
        self._publish("info", "emperor_stopped", None, {})
        self._link.send(Exit(status=0))

    # ── facts ────────────────────────────────────────────────────────────────────────

    def _on_answer(self) -> None:
        self._catalog.on_answer()

    def _on_scanned(self) -> None:
        if self._watcher is not None:  # else this brain has not begun
            self._takeover.on_scanned()

    def _on_fault(self, _: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """Something that the loop called raised: what it was for is not done, the rest goes on."""
        error, doing = context.get("exception"), str(context.get("message"))
        told = error if isinstance(error, Exception) else RuntimeError(doing)
        self._publish("error", "fault", None, fault_fields(told, doing))

    def _on_pidfile_problem(self, problem: str) -> None:
        self._publish("error", "pidfile_not_written", None, {"error": problem})

    def _on_stats_problem(self, problem: str) -> None:
        self._publish("error", "stats_unavailable", None, {"error": problem})

    def _on_spawner_message(self, message: FromSpawner, fds: list[int]) -> None:
        if isinstance(message, ShutdownRequested):
            self._stopping.set()
        elif isinstance(message, ReloadRequested):
            self._begin_anew()
        elif isinstance(message, Signalled):
            if self._ears is not None:
                self._ears.on_signal(message.signal)
        elif isinstance(message, Ping):
            self._link.send(Pong())
        else:
            self._takeover.hear(message, fds)

    def _stop(self) -> None:
        """Stop everything; if this emperor ends before it has done so, the next one does."""
        self._readiness.stopping()
        self._link.send(StopAll())
        self._stopping.set()

    def _begin_anew(self) -> str:
        """Make way for an emperor with the settings, files and code as they are now.

        What runs is handed over as after a crash. With settings that cannot be used this
        emperor stays, and what is wrong with them is returned.
        """
        if self._stopping.is_set():
            return "the emperor stops"
        self._readiness.reloading()
        try:
            settings = self._read_settings()
        except CannotStart as error:
            self._publish("error", "reload_refused", None, {"error": str(error)})
            self._readiness.stays()
            return str(error)
        self._publish("info", "emperor_restarting", None, {})
        # The next emperor does not know that there was another.
        self._pidfile.keep(settings.pidfile)
        self._link.send(RestartEmperor())
        self._leaving.set()
        return ""

    def _on_watch(self, event: WatchEvent) -> None:
        match event:
            case Changed(directory, name):
                self._catalog.on_changed(directory, name)
            case Rescan(directory):
                self._catalog.on_rescan(directory)
            case FileChanged(path):
                self._catalog.touching.on_touched(path)
                self._watch_files()  # it may be where nobody watches by now
            case Degraded(path, reason):
                self._publish("warning", "watch_degraded", None, {"path": path, "reason": reason})

    def _on_change(self, names: Collection[str]) -> None:
        """These may have changed: links, files to watch, status, readiness."""
        self._routing.update(names)
        self._watch_files()
        self._keep_stopped()
        self._holders.note()
        for name in names:
            if name not in self._fleet.vassals:
                self._incidents.forget(name)
        self._readiness.on_change()

    def _watch_files(self) -> None:
        if self._watcher is not None:
            self._watcher.set_files(self._catalog.touching.files_to_watch())
            self._catalog.touching.on_watched()

    def _publish(
        self, level: str, event: str, vassal: str | None, fields: Mapping[str, object]
    ) -> None:
        getattr(self._log, level)(event, vassal=vassal, **fields)
        texts = {key: text_of(value) for key, value in fields.items() if value is not None}
        self._stream.publish(Event(at=time.time(), event=event, vassal=vassal, fields=texts))

    def _on_renamed(self, old: str, new: str) -> None:
        self._incidents.rename(old, new)

    def _on_served(self, name: str) -> None:
        self._catalog.on_served(name)

    def _on_history_problem(self, problem: str) -> None:
        self._publish("warning", "version_not_kept", None, {"error": problem})

    def _on_cgroup_problem(self, what: str, problem: str) -> None:
        self._publish("warning", "cgroup_problem", None, {"what": what, "error": problem})

    def _touch_memory(self) -> TouchMemory:
        kept = self._inventory.kept(TOUCHED, KeptStamps) or {}
        # Where nothing runs all is built anyway from what there is now.
        known = kept if self._inventory.has_masters else {}
        return TouchMemory(known, partial(self._keeper.keep, TOUCHED))

    # ── what is told to others ───────────────────────────────────────────────────────

    def _about(self, euid: int) -> EmperorStatus:
        return EmperorStatus(
            pid=os.getpid(),
            spawner_pid=os.getppid(),
            version=__version__,
            spawner_version=self._inventory.spawner_version,
            mode="root" if euid == 0 else "rootless",
            cgroups=self._cgroups.mode,
            runtime_dir=self._settings.runtime_dir,
            directories=self._settings.directories,
        )

    def _keep_stopped(self) -> None:
        """What people stopped by hand stays stopped when the brain is started again."""
        if self._stopping.is_set():
            return
        stopped = sorted(self._fleet.stopped_by_hand | self._catalog.unseen_stopped())
        if stopped != self._kept_stopped:
            self._kept_stopped = stopped
            self._keeper.keep(STOPPED, stopped)


def _caps(settings: EmperorSettings) -> Caps:
    budgets = settings.customers.items()
    return Caps(
        settings.workers_max,
        {name: one.workers_max for name, one in budgets if one.workers_max is not None},
    )
