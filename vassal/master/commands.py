"""What the letters of a master's FIFO, and the signals to it, ask for. Pure.

The letters and signals are uWSGI's. Where it would refuse requests, or cut them off, this
does not: every reload is that of a new generation, and every stop waits for what runs.
"""

import signal
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Command(Enum):
    """What is to be done."""

    RELOAD = "reload"  # the emperor's to decide
    RESTART = "restart"  # the same; without an emperor it is the end
    PAUSE = "pause"  # and the next time go on
    MORE = "one worker more"
    FEWER = "one worker fewer"
    SLEEP = "sleep until the next connection"
    REOPEN = "open the log anew"
    ROTATE = "rotate the log"
    PIDFILE = "write the pidfile anew"
    STATISTICS = "write statistics into the log"


SIGNALS_OFF, SIGNALS_UWSGI, SIGNALS_DIE_ON_TERM = "ignore", "uwsgi", "uwsgi-die-on-term"
SIGNALS_WORDS = (SIGNALS_OFF, SIGNALS_UWSGI, SIGNALS_DIE_ON_TERM)

LETTERS: Mapping[str, Command] = {
    "+": Command.MORE,
    "-": Command.FEWER,
    "C": Command.SLEEP,
    "c": Command.RELOAD,
    "l": Command.REOPEN,
    "L": Command.ROTATE,
    "p": Command.PAUSE,
    "P": Command.PIDFILE,
    # uWSGI's emperor starts a vassal again that ends by itself: so it is a restart.
    "q": Command.RESTART,
    "Q": Command.RESTART,
    "r": Command.RELOAD,
    "R": Command.RELOAD,
    "s": Command.STATISTICS,
    "w": Command.RELOAD,
    "W": Command.RELOAD,
}

INSTEAD: Mapping[str, str] = {
    "B": "workers follow the load: write processes and cheaper",
    "E": "changes of files are noticed when they happen",
    "f": "a new master takes over with: emperor upgrade --vassals",
    "S": "nothing subscribes here: nginx finds the vassal by its hosts",
}
"""Letters that do nothing here, and why nobody misses that."""

_STEPS: Mapping[Command | None, int] = {Command.MORE: 1, Command.FEWER: -1}


class Heard(NamedTuple):
    """What a few letters come to: each command once, in their order. `workers` are so many more,
    `slot` is a FIFO's number; `strange` are letters that mean nothing."""

    commands: tuple[tuple[Command, str], ...]
    workers: int
    instead: tuple[tuple[str, str], ...]
    slot: int | None
    strange: str


def by_letters(letters: str) -> Heard:
    """Return what `letters` ask for; said twice, only pauses and workers are not the same as
    said once."""
    commands: dict[Command, str] = {}
    workers = 0
    instead: dict[str, str] = {}
    slot: int | None = None
    strange: dict[str, None] = {}
    for letter in letters:
        command = LETTERS.get(letter)
        if command in _STEPS:
            workers += _STEPS[command]
        elif command is Command.PAUSE and command in commands:
            del commands[command]  # and on again
        elif command is not None:
            commands.setdefault(command, letter)
        elif letter in INSTEAD:
            instead[letter] = INSTEAD[letter]
        elif letter.isascii() and letter.isdigit():
            slot = int(letter)
        elif not letter.isspace():  # echo ends with one
            strange[letter] = None
    return Heard(tuple(commands.items()), workers, tuple(instead.items()), slot, "".join(strange))


def by_signal(words: str) -> Mapping[int, Command]:
    """Return what each signal asks for; `words` is one of SIGNALS_WORDS."""
    if words not in (SIGNALS_UWSGI, SIGNALS_DIE_ON_TERM):
        return {}
    dies = words == SIGNALS_DIE_ON_TERM
    return {
        signal.SIGHUP: Command.RELOAD,
        signal.SIGTERM: Command.RESTART if dies else Command.RELOAD,
        signal.SIGQUIT: Command.RELOAD if dies else Command.RESTART,
        signal.SIGINT: Command.RESTART,
        signal.SIGTSTP: Command.PAUSE,
        signal.SIGUSR1: Command.STATISTICS,
    }


ALONE: Mapping[int, Command] = {
    signal.SIGHUP: Command.RELOAD,
    signal.SIGTERM: Command.RESTART,
    signal.SIGINT: Command.RESTART,
    signal.SIGQUIT: Command.RESTART,
    signal.SIGUSR1: Command.STATISTICS,
}
"""What signals ask of a master that somebody started in a terminal."""
