"""Does what an admin tells the emperor by a letter in its fifo, or by a signal.

The letters are those of uWSGI's master-fifo, as far as an emperor can do something of the
kind; for the others the log says what to use instead.
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum

from emperor.brain.catalog import Catalog
from emperor.brain.fleet import Fleet
from emperor.brain.roll import Publish
from emperor.config.resolve import problem_with_place
from emperor.config.settings import EmperorSettings
from vassal.master.fifo import Fifo

DEAF_S = 0.2
"""How long nothing more is read after something was: whoever writes all the time is heard too."""


class Order(Enum):
    """What an emperor can be told."""

    BEGIN_ANEW = "read everything anew"
    STOP = "stop"
    TELL_ROLL = "write the state of all vassals into the log"
    RESCAN = "look at all directories"
    FORGIVE = "start at once what waits after failures"
    WRITE_PIDFILE = "write the pidfile anew"


LETTERS: Mapping[str, Order] = {
    **dict.fromkeys("rRwWc", Order.BEGIN_ANEW),
    **dict.fromkeys("qQ", Order.STOP),
    "s": Order.TELL_ROLL,
    "E": Order.RESCAN,
    "P": Order.WRITE_PIDFILE,
}
SIGNALS: Mapping[str, Order] = {
    "SIGUSR1": Order.TELL_ROLL,
    "SIGURG": Order.FORGIVE,
    "SIGWINCH": Order.RESCAN,
}
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys("+-C", "the emperor has no workers: write it into a vassal's fifo"),
    **dict.fromkeys("lL", "rotate the emperor's log with copytruncate, or leave it to systemd"),
    **dict.fromkeys("0123456789", "an emperor has one fifo"),
    "B": "workers follow the load: write processes and cheaper",
    "f": "new code is taken in with: emperor upgrade",
    "p": "a vassal is paused by its own fifo, or stopped with: emperor stop NAME",
    "S": "nothing subscribes here",
}


class Ears:
    """The emperor's ears, and its hands for what changes no wish."""

    def __init__(
        self,
        settings: EmperorSettings,
        fleet: Fleet,
        catalog: Catalog,
        publish: Publish,
        begin_anew: Callable[[], object],
        stop: Callable[[], None],
        write_pidfile: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._catalog = catalog
        self._publish = publish
        self._begin_anew = begin_anew
        self._stop = stop
        self._write_pidfile = write_pidfile
        self._loop = asyncio.get_running_loop()
        self._fifo = Fifo(self._complain, self._watch, self._loop.remove_reader)
        self._waking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Make the fifo, if there shall be one, and listen."""
        path = self._settings.fifo
        if path is None:
            return
        problem = problem_with_place(path, "fifo")
        if problem:
            self._complain(problem)
        else:
            self._fifo.keep(path)

    def on_signal(self, name: str) -> None:
        """Do what a signal asks for."""
        order = SIGNALS.get(name)
        if order is not None:
            self._carry_out(order, name)

    def close(self) -> None:
        """Hear nothing any more, and remove the fifo."""
        if self._waking is not None:
            self._waking.cancel()
        self._fifo.close()

    def _watch(self, fd: int) -> None:
        self._loop.add_reader(fd, self._on_letters)

    def _on_letters(self) -> None:
        letters = dict.fromkeys(self._fifo.read())
        if not letters:
            return
        self._fifo.rest()
        self._waking = self._loop.call_later(DEAF_S, self._fifo.wake)
        for letter in letters:
            if letter in LETTERS:
                self._carry_out(LETTERS[letter], f"letter {letter}")
            elif not letter.isspace():
                answer = INSTEAD.get(letter, "it means nothing")
                self._publish("info", "told", None, {"by": f"letter {letter}", "answer": answer})

    def _carry_out(self, order: Order, by: str) -> None:
        self._publish("info", "told", None, {"by": by, "answer": order.value})
        match order:
            case Order.BEGIN_ANEW:
                self._begin_anew()
            case Order.STOP:
                self._stop()
            case Order.TELL_ROLL:
                self._tell_roll()
            case Order.RESCAN:
                for directory in self._settings.directories:
                    self._catalog.on_rescan(directory)
            case Order.FORGIVE:
                for name in tuple(self._fleet.vassals):
                    self._fleet.forgive(name)
            case Order.WRITE_PIDFILE:
                self._write_pidfile()

    def _tell_roll(self) -> None:
        for name, vassal in sorted(self._fleet.vassals.items()):
            fields = {"state": vassal.state.value, "pid": vassal.pid or None}
            self._publish("info", "vassal_state", name, fields)

    def _complain(self, problem: str) -> None:
        self._publish("error", "fifo_unavailable", None, {"error": problem})
