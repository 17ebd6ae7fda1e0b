"""The spawner's loop: starts emperors, forks masters, reaps, hands everything on.

It obeys only the emperor, over an inherited socketpair, and believes nobody else.
"""

import contextlib
import gc
import os
import signal
import time
from functools import partial

import prctl

from emperor import __version__
from emperor.children import children
from emperor.logfmt import Log
from emperor.notify import STOPPING, WATCHDOG, Notifier, watchdog_interval_s
from emperor.spawner import handover
from emperor.spawner.births import fork_master
from emperor.spawner.channel import EmperorChannel
from emperor.spawner.deaths import Deaths
from emperor.spawner.ending import Ending, SpawnerState
from emperor.spawner.fdstore import FdStore, inherited
from emperor.spawner.processes import (
    HANDLED,
    TOLD,
    become_emperor,
    dismiss_children,
    end_children,
    is_dead,
    kill_strays_but,
    make_means,
)
from emperor.spawner.pulse import Pulse, Step
from emperor.spawner.renewal import Renewal
from emperor.spawner.store import Store
from limits.facts import probe
from limits.pidfd import Exited, peek_exited, reap, take_stopped
from limits.pidns import fork
from vassal import packets
from vassal.encoding import MessageError, decode_from_emperor
from vassal.loop import Loop
from vassal.master.rehearsal import rehearse
from vassal.messages import (
    DismissWorkers,
    DropListener,
    Exit,
    FromEmperor,
    HoldListener,
    InventoryComplete,
    KillMaster,
    MasterExited,
    MasterNotSpawned,
    MasterSpawned,
    MasterStopped,
    Message,
    NotifySystemd,
    Ping,
    Pong,
    ReloadRequested,
    RestartEmperor,
    ShutdownRequested,
    Signalled,
    SpawnMaster,
    StopAll,
)

PAUSE_FIRST_S = 0.05
PAUSE_CAP_S = 5.0
SETTLED_S = 60.0
"""An emperor that ran this long is started again at once when it dies."""

FINISH_S = 10.0
"""How long who was killed is waited for in the end."""


class Spawner:
    """One spawner; `arguments` are passed on to every emperor it starts."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._loop = Loop()
        self._log = Log()
        self._notifier = Notifier()
        self._watchdog_s = watchdog_interval_s(os.environ, os.getpid())
        self._watchdog_at = 0.0
        before = handover.taken_over()
        beyond = FdStore(os.environ.get("NOTIFY_SOCKET"))
        held = before.held if before is not None else self._inherited(beyond)
        self._store = Store(beyond, held, before.holders if before is not None else {})
        for master in before.masters if before is not None else ():
            self._store.adopt(master)
        self._ending = Ending()
        self._emperor_pid = 0
        self._restart_wanted_of = 0  # the pid of an emperor that goes on purpose
        self._abandoned: set[int] = set()  # dead, and not to be reaped yet
        self._channel = EmperorChannel()
        self._pulse = Pulse(0.0)
        self._deaths = Deaths(before.deaths if before is not None else ())
        self._renewal = Renewal()
        self._starts = before.starts if before is not None else 0
        self._pauses = 0
        self._started_at = 0.0
        self._start_at: float | None = 0.0
        self._means = make_means(before.nofile_soft if before is not None else None)
        # By whether the child gets a PID namespace. A child's parent is not checked: it
        # asks for no death signal.
        self._facts = {namespace: probe(can_pid_namespace=namespace) for namespace in (True, False)}

    def _inherited(self, beyond: FdStore) -> dict[str, int]:
        """Return what systemd kept for us; what it hands over besides is closed, and said."""
        held, foreign = inherited(os.environ, os.getpid())
        for name, fd in foreign:
            os.close(fd)
            beyond.remove_name(name)
            remedy = "no vassal listens on it: bind it by listen, and remove the .socket unit"
            self._log.error("descriptor_refused", name=name, remedy=remedy)
        return held

    def run(self) -> int:
        """Run until everything is stopped; return the exit status."""
        prctl.set_child_subreaper(1)
        # Before our own signals: closing a rehearsal's loop takes the wake-up pipe away.
        rehearse(self._means, self._facts[True])
        self._loop.handle_signals(HANDLED, self._on_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._reap()  # who ended while this process was between two images
        self._abandoned = {pid for pid in children(os.getpid()) if is_dead(pid)}
        # What was loaded until now is shared with every master: nobody writes into it.
        gc.collect()
        gc.freeze()
        while self._ending.state is not SpawnerState.EXITING:
            now = time.monotonic()
            self._end_by_force(now)
            if self._start_at is not None and now >= self._start_at:
                self._start_emperor()
            self._feel_pulse(now)
            self._pat_watchdog(now)
            self._channel.retell()
            self._loop.turn(self._sleep_s(time.monotonic()))
        self._finish()
        return self._ending.status

    # ── the emperor ──────────────────────────────────────────────────────────────────

    def _start_emperor(self) -> None:
        if self._renewal.is_wanted:
            # It came while no emperor lived, or the one that was told has not lived to decide.
            self._renewal.decided()
            if self._ending.state is SpawnerState.RUNNING:
                self._begin_anew()
        self._start_at = None
        self._starts += 1
        self._started_at = time.monotonic()
        self._pulse = Pulse(self._started_at)
        try:
            self._emperor_pid = self._fork_emperor()
        except OSError as error:
            self._channel.close()
            self._log.error("emperor_not_started", error=error.strerror)
            self._schedule_emperor()
            return
        if self._channel.end is not None:
            self._loop.watch(self._channel.end.fileno(), self._on_order)
        for message, fd in self._store.inventory():
            self._tell(message, [fd])
        for lost in self._deaths.begin():
            self._tell(lost)
        self._tell(InventoryComplete(starts=self._starts, version=__version__))
        self._tell(Ping())
        if self._ending.is_wanted:
            self._tell(ShutdownRequested())

    def _fork_emperor(self) -> int:
        with self._channel.open() as theirs:
            pid = fork()
            if pid == 0:
                become_emperor(theirs.fileno(), self._arguments)
        return pid

    def _on_emperor_exit(self, exited: Exited) -> None:
        # What it had said before it died still counts: a master that it asked for is
        # spawned, and the next emperor finds it in the inventory.
        while self._on_order():
            pass
        self._disconnect()
        self._emperor_pid = 0
        if self._ending.state is SpawnerState.EXITING:
            return
        goes = exited.pid == self._restart_wanted_of
        if not goes or exited.exit_status != 0:
            self._log.error(
                "emperor_died", pid=exited.pid, exit_status=exited.exit_status, signal=exited.signal
            )
        if goes:  # what it was to make way for is still wanted
            self._follow_on()
        else:
            self._go_on()

    def _abandon_emperor(self) -> None:
        """It was killed, and does not end: start the next one all the same."""
        pid, self._emperor_pid = self._emperor_pid, 0
        self._abandoned.add(pid)
        self._log.error("emperor_not_reaped", pid=pid, why="a file system does not answer it")
        if pid == self._restart_wanted_of:
            self._follow_on()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """An emperor has died: start the next one, unless they die over a stop."""
        if self._ending.emperor_died():
            self._log.error("stop_forced", why="no emperor lives long enough to stop anything")
        else:
            self._schedule_emperor()

    def _follow_on(self) -> None:
        """An emperor has gone on purpose: start the next one at once, of new code if there is."""
        self._start_at = 0.0
        if self._ending.state is SpawnerState.RUNNING:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Take new code in too, if there is any that works; else go on with this."""
        # What comes from now on waits for the next image, and what came is dealt with here:
        # a signal that was noticed, and not acted on, would be lost with this one.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            self._loop.turn(0)
            # Who has asked for it meanwhile gets this try, and not another one when it fails.
            self._renewal.decided()
            # To try new code, and then to load it, takes seconds each on a busy host: systemd
            # must not take that for silence.
            alive = partial(self._notifier.send, WATCHDOG)
            running = self._ending.state is SpawnerState.RUNNING
            problem = handover.complaint(alive) if running else "stopping"
            alive()
            if not problem:
                nofile_soft, deaths = self._means.nofile_soft, self._deaths.unheard
                handover.exec_with(self._store.handover(self._starts, nofile_soft, deaths))
        except OSError as error:
            problem = str(error)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        self._log.error("upgrade_refused", error=problem)

    def _schedule_emperor(self) -> None:
        now = time.monotonic()
        self._pauses = 0 if now - self._started_at >= SETTLED_S else self._pauses + 1
        pause_s = min(PAUSE_CAP_S, PAUSE_FIRST_S * 2.0 ** min(self._pauses, 20))
        self._start_at = now + (pause_s if self._pauses > 1 else 0.0)

    def _disconnect(self) -> None:
        if self._channel.end is not None:
            self._loop.unwatch(self._channel.end.fileno())
        self._channel.close()

    def _on_order(self) -> bool:
        """Carry out one order; return whether there may be more."""
        if self._channel.end is None:
            return False
        try:
            packet = packets.receive(self._channel.end)
        except BlockingIOError:
            return False
        except packets.PeerGone:
            self._disconnect()
            self._pulse.leaves(time.monotonic())
            return False
        except OSError as error:
            # Its descriptors did not fit any more. The emperor cannot go on as if they had.
            self._log.error("order_lost", error=error.strerror)
            self._restart_emperor()
            return False
        self._pulse.heard(time.monotonic())
        try:
            order = decode_from_emperor(packet.data)
        except MessageError as error:
            packets.close_all(packet.fds)
            self._log.error("order_not_understood", error=error)
            return True
        self._obey(order, packet.fds)
        return True

    def _obey(self, order: FromEmperor, fds: list[int]) -> None:
        if isinstance(order, HoldListener):
            self._store.hold(order.key, order.holder, fds)
            return
        if isinstance(order, SpawnMaster):
            self._spawn(order, fds)
        packets.close_all(fds)
        if isinstance(order, DropListener):
            self._store.drop(order.key)
        elif isinstance(order, KillMaster):
            self._kill(order.token)
        elif isinstance(order, DismissWorkers):
            master = self._store.find(order.token)
            if master is not None:
                dismiss_children(master.pid)
        elif isinstance(order, NotifySystemd):
            self._notifier.send(order.state)
        elif isinstance(order, Pong):
            self._deaths.answered()
            self._renewal.answered(self._deaths.pongs)
        elif isinstance(order, RestartEmperor):
            self._renewal.decided()
            self._restart_wanted_of = self._emperor_pid
            self._pulse.leaves(time.monotonic())
        elif isinstance(order, StopAll):
            self._ending.told()
        elif isinstance(order, Exit):
            self._ending.done(order.status)

    # ── masters ──────────────────────────────────────────────────────────────────────

    def _spawn(self, order: SpawnMaster, fds: list[int]) -> None:
        try:
            master = fork_master(order, fds, self._facts, self._means)
        except OSError as error:
            problem = f"fork: {error.strerror}"
            self._tell(
                MasterNotSpawned(
                    token=order.token,
                    vassal=order.vassal,
                    errno=error.errno or 0,
                    message=problem,
                )
            )
            return
        self._store.add(master)
        spawned = MasterSpawned(token=order.token, vassal=order.vassal, pid=master.pid)
        self._tell(spawned, [master.channel.fileno()])

    def _kill(self, token: str) -> None:
        """Kill a master; an emperor that waits for one that there is not is told so."""
        master = self._store.find(token)
        if master is not None:
            master.kill()
        else:
            self._tell(MasterExited(token=token, vassal="", pid=0, signal=signal.SIGKILL))

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            self._note_stopped()
            self._reap()
        elif signum == signal.SIGHUP:
            self._on_renewal()
        elif signum in TOLD:
            self._tell(Signalled(signal=signal.Signals(signum).name))
        else:
            self._on_stop(signal.Signals(signum).name)

    def _on_renewal(self) -> None:
        """All is wanted anew: the emperor decides; without one it is done at once."""
        self._tell(ReloadRequested())
        self._deaths.pinged()
        self._renewal.ask(self._deaths.pings)
        self._tell(Ping())
        if not self._emperor_pid and self._start_at is not None:
            self._start_at = time.monotonic()

    def _on_stop(self, signal_name: str) -> None:
        state = self._ending.asked(time.monotonic())
        if state is SpawnerState.STOPPING:
            self._notifier.send(STOPPING)
            self._log.info("stop_requested", signal=signal_name)
            self._tell(ShutdownRequested())
        elif state is SpawnerState.FORCED:
            action = "what runs is killed, and what is left of it removed"
            self._log.warning("stop_forced", signal=signal_name, action=action)
        elif state is SpawnerState.EXITING:
            self._log.warning("stop_forced", signal=signal_name, action="nothing is waited for")

    def _end_by_force(self, now: float) -> None:
        """Nobody waits for requests any more: kill all masters, also those that come yet. What
        is left of them the emperor removes, which hears of their deaths."""
        self._ending.look(now)
        if self._ending.state is SpawnerState.FORCED:
            for master in self._store.masters:
                if not master.was_killed:
                    master.kill()

    def _note_stopped(self) -> None:
        """Whoever was stopped does not answer: whether that lasts others find out."""
        while (pid := take_stopped()) is not None:
            master = self._store.find_by_pid(pid)
            if pid == self._emperor_pid:
                self._pulse.doubt(time.monotonic())
            elif master is not None:
                self._tell(MasterStopped(token=master.token))

    def _reap(self) -> None:
        while (exited := peek_exited()) is not None:
            self._abandoned.discard(exited.pid)
            if exited.pid == self._emperor_pid:
                reap(exited.pid)
                self._on_emperor_exit(exited)
                kill_strays_but(self._own)
                continue
            master = self._store.remove_by_pid(exited.pid)
            reap(exited.pid)
            if master is None:
                kill_strays_but(self._own)
                continue
            master.close()
            kill_strays_but(self._own)
            death = MasterExited(
                token=master.token,
                vassal=master.vassal,
                pid=exited.pid,
                exit_status=exited.exit_status,
                signal=exited.signal,
            )
            self._tell(death)
            if exited.exit_status != 0 and not master.was_killed:
                self._deaths.note(death)
                self._tell(Ping())

    @property
    def _own(self) -> set[int]:
        """The pids of whom this process has forked."""
        return {self._emperor_pid, *(master.pid for master in self._store.masters)}

    # ── talking ──────────────────────────────────────────────────────────────────────

    def _tell(self, message: Message, fds: list[int] | None = None) -> None:
        try:
            self._channel.tell(message, fds)
        except OSError as error:
            self._log.error("message_lost", error=error.strerror)
            self._restart_emperor()

    def _restart_emperor(self) -> None:
        """The emperor missed something: a new one begins with the whole inventory."""
        self._disconnect()
        if self._emperor_pid:
            os.kill(self._emperor_pid, signal.SIGKILL)
            self._pulse.killed(time.monotonic())

    def _feel_pulse(self, now: float) -> None:
        """An emperor that hangs is replaced: nobody could steer anything meanwhile."""
        if not self._emperor_pid:
            return
        step = self._pulse.step(now)
        if step in (Step.ASK, Step.LOOK) and is_dead(self._emperor_pid):
            # It was killed by others, or has gone, and does not end. What it said still counts.
            while self._on_order():
                pass
            self._restart_emperor()
        elif step is Step.ASK:
            self._deaths.pinged()
            self._tell(Ping())
        elif step is Step.GIVE_UP:
            self._log.error("emperor_hung", pid=self._emperor_pid)
            self._restart_emperor()
        elif step is Step.ABANDON:
            self._abandon_emperor()

    def _pat_watchdog(self, now: float) -> None:
        if self._watchdog_s is not None and now >= self._watchdog_at:
            self._watchdog_at = now + self._watchdog_s
            self._notifier.send(WATCHDOG)

    def _sleep_s(self, now: float) -> float | None:
        if self._ending.state is SpawnerState.EXITING:
            return 0.0
        times = [at for at in (self._start_at, self._ending.look_at) if at is not None]
        if self._watchdog_s is not None:
            times.append(self._watchdog_at)
        if self._emperor_pid:
            times.append(self._pulse.look_at)
        if self._channel.has_untold:
            times.append(now + 0.02)
        return max(0.0, min(times) - now) if times else None

    def _finish(self) -> None:
        """Leave nothing behind: kill what is left, wait for it, close the listeners."""
        for master in self._store.masters:
            master.kill()
        self._disconnect()
        if self._emperor_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._emperor_pid, signal.SIGKILL)
        left = end_children(time.monotonic() + FINISH_S, self._abandoned)
        if left:
            self._log.error("processes_left", pids=left, why="a file system does not answer them")
        self._store.close()
        self._loop.close()
