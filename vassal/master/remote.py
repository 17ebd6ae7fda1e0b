"""Does what somebody tells the master by signal or FIFO, or asks its emperor to do it.

What changes which code serves, or ends it, is the emperor's to decide, or whose place it
takes: `emperor serve`. Whoever tells it things without a pause is heard a few times a second.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping

from limits.syscalls import signalfd
from vassal.generation import Generation
from vassal.loop import Loop
from vassal.master import report
from vassal.master.commands import Command, by_letters, by_signal
from vassal.master.fifo import Fifo
from vassal.master.lines import escaped
from vassal.master.master import Master
from vassal.master.output import Output
from vassal.messages import AskForReload, AskForRestart, Idle, Message, Told

DEAF_S = 0.2
"""How long nothing more is heard after something was: a tenant's loop around kill or write
must not keep its master busy, which has no quota."""

PATIENCE_S = 1.0
"""The same after the emperor was told of it, and at the beginning: what waits is heard then. A
loop must not have it start masters and generations without end, and fill its log."""

HEARABLE = (
    signal.SIGHUP,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGTSTP,
    signal.SIGUSR1,
)
ASKED: Mapping[Command, str] = {
    Command.RELOAD: "asked the emperor for a reload",
    Command.RESTART: "asked the emperor for a restart",
    Command.SLEEP: "asked the emperor to let it sleep",
}
_SIGNAL_BYTES = 128
"""A struct signalfd_siginfo; it begins with the signal's number."""


class Remote:
    """One master's ears. `tell` receives what the emperor has to know, and `asked` says what
    that comes to. `signals` are heard from the beginning, whatever a file asks for; None = those
    that the file of what serves asks for, and no others of HEARABLE.
    """

    def __init__(
        self,
        loop: Loop,
        output: Output,
        master: Master,
        tell: Callable[[Message], None],
        asked: Mapping[Command, str] = ASKED,
        signals: Mapping[int, Command] | None = None,
    ) -> None:
        self._loop = loop
        self._emit = output.emit
        self._master = master
        self._tell = tell
        self._asked = asked
        self._are_fixed = signals is not None
        self._hearable = tuple(signals) if signals is not None else HEARABLE
        self._patience_s = DEAF_S if signals is not None else PATIENCE_S
        self._fifo = Fifo(output.emit, self._watch, loop.unwatch)
        self._generation: Generation | None = None
        self._deaf_until: float | None = None
        self._by_signal: Mapping[int, Command] = {}
        self._signals_fd = -1
        if signals:
            self._hear_signals(signals)

    def act(self) -> float | None:
        """Follow what serves now; return how many seconds nothing will be due, None = ever."""
        serving = self._master.serving_generation()
        known = self._generation.number if self._generation is not None else 0
        if serving is None:
            self._generation = None  # should it serve again, another master has had its fifo
        elif serving.number != known:
            self._follow(serving)
        if self._deaf_until is None:
            return None
        left_s = self._deaf_until - time.monotonic()
        if left_s > 0:
            return left_s
        self._deaf_until = None
        self._fifo.wake()
        if self._signals_fd >= 0:
            self._loop.watch(self._signals_fd, self._on_signals)
        return None

    def close(self) -> None:
        """Hear nothing any more."""
        self._fifo.close()
        self._hear_signals({})

    def _follow(self, generation: Generation) -> None:
        """Be told things in the way that this generation's file asks for."""
        before, self._generation = self._generation, generation
        words = before.signals if before is not None else ""
        if generation.signals != words and not self._are_fixed:
            self._hear_signals(by_signal(generation.signals))
        self._keep_fifo(generation.fifo[0] if generation.fifo else "")
        if before is None:
            self._become_deaf(self._patience_s)
        elif self._deaf_until is not None:
            self._rest()

    def _hear_signals(self, heard: Mapping[int, Command]) -> None:
        """Read these from a descriptor, and ignore the others.

        No handler runs: while somebody sends a signal without end, one would run again and
        again before the master could so much as block it.
        """
        if self._signals_fd >= 0:
            self._loop.unwatch(self._signals_fd)
            os.close(self._signals_fd)
            self._signals_fd = -1
        self._by_signal = heard
        signal.pthread_sigmask(signal.SIG_BLOCK, heard)
        for signum in self._hearable:
            signal.signal(signum, signal.SIG_DFL if signum in heard else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(self._hearable) - heard.keys())
        if heard:
            self._signals_fd = signalfd(heard)
            self._loop.watch(self._signals_fd, self._on_signals)

    def _on_signals(self) -> None:
        try:
            data = os.read(self._signals_fd, _SIGNAL_BYTES * len(HEARABLE))
        except BlockingIOError:
            return  # a SIGCONT takes a SIGTSTP back
        self._become_deaf(DEAF_S)
        for at in range(0, len(data), _SIGNAL_BYTES):
            signum = int.from_bytes(data[at : at + 4], sys.byteorder)
            command = self._by_signal.get(signum)
            if command is not None:
                self._obey(command, signal.Signals(signum).name)

    def _rest(self) -> None:
        self._fifo.rest()
        if self._signals_fd >= 0:
            self._loop.unwatch(self._signals_fd)

    def _watch(self, fd: int) -> None:
        self._loop.watch(fd, self._on_letters)

    def _on_letters(self) -> None:
        letters = self._fifo.read()
        if not letters:
            return
        self._become_deaf(DEAF_S)
        heard = by_letters(letters)
        if heard.workers:
            by = f"letter {'+' if heard.workers > 0 else '-'}"
            self._done(by, self._master.staffing.change(heard.workers, by))
        for command, letter in heard.commands:
            self._obey(command, f"letter {letter}")
        for letter, instead in heard.instead:
            self._answer(f"letter {letter}", instead)
        if heard.strange:
            self._answer(f"letters {escaped(heard.strange)}", "these mean nothing")
        if heard.slot is not None and self._generation is not None:
            self._select(self._generation.fifo, heard.slot)

    def _select(self, paths: tuple[str, ...], slot: int) -> None:
        path = paths[slot] if slot < len(paths) else paths[0]
        self._keep_fifo(path)
        self._fifo.rest()
        self._answer(f"letter {slot}", f"the fifo is now {path}")

    def _keep_fifo(self, path: str) -> None:
        self._fifo.keep(path)
        self._master.ledger.complain("fifo", self._fifo.problem)

    def _become_deaf(self, seconds: float) -> None:
        self._deaf_until = max(self._deaf_until or 0.0, time.monotonic() + seconds)
        self._rest()  # what comes meanwhile waits in the pipe, or is pending once

    def _tell_emperor(self, message: Message) -> None:
        self._become_deaf(self._patience_s)
        self._tell(message)

    def _obey(self, command: Command, by: str) -> None:
        master = self._master
        match command:
            case Command.RELOAD:
                self._tell_emperor(AskForReload(by=by))
                self._answer(by, self._asked[command])
            case Command.RESTART:
                self._tell_emperor(AskForRestart(by=by))
                self._answer(by, self._asked[command])
            case Command.PAUSE:
                self._done(by, master.staffing.pause())
            case Command.SLEEP:
                self._sleep(by)
            case Command.REOPEN | Command.ROTATE:
                master.reopen_logs(rotate=command is Command.ROTATE)
                self._done(by, "began a new log" if command is Command.ROTATE else "log reopened")
            case Command.PIDFILE:
                master.write_pidfile()
                self._answer(by, "the pidfile is written anew")
            case Command.STATISTICS:
                for line in report.lines(master.describe()):
                    self._emit(line)

    def _sleep(self, by: str) -> None:
        if self._generation is None:
            self._answer(by, "it does not serve")
        elif self._generation.on_demand:
            self._tell_emperor(Idle())
            self._answer(by, self._asked[Command.SLEEP])
        else:
            self._answer(by, "write cheap = true: then the first connection wakes it")

    def _done(self, by: str, what: str) -> None:
        self._answer(by, what)
        self._tell_emperor(Told(what=what, by=by))

    def _answer(self, by: str, what: str) -> None:
        self._emit(f"event=told by={by!r} answer={what!r}")
