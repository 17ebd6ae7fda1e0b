"""A master's hands for the commands of exec_start_pre, exec_start_post and exec_stop_post.

One command of a generation runs at a time, as its application would: as the same user, in the
same cgroup, confinement, environment and directory. What it leaves behind is killed with it.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from limits.pidfd import send_signal
from vassal.failure import Failure
from vassal.generation import Generation
from vassal.master.guard import SIGKILL
from vassal.master.ledger import Ledger
from vassal.master.lines import escaped
from vassal.master.workload import ExecFailed, Process, Program, Surroundings, start

SHELL = "/bin/sh"
MAY_FAIL = "-"
"""In front of a command, as in systemd's units: its failure is none of ours."""

SHOWN_MAX = 200

Done = Callable[[int, Failure | None], None]


class _Running(NamedTuple):
    """The commands of one key: `line` is what `process` runs, `rest` comes after it."""

    key: str
    line: str
    rest: deque[str]
    process: Process
    began_at: float
    done: Done


class Hooks:
    """Runs commands. `surroundings_for` gives what a generation's processes are put into."""

    def __init__(
        self, ledger: Ledger, surroundings_for: Callable[[Generation], Surroundings]
    ) -> None:
        self._ledger = ledger
        self._surroundings_for = surroundings_for
        self._running: dict[int, _Running] = {}
        self._dying: list[_Running] = []

    def run(self, number: int, key: str, lines: tuple[str, ...], done: Done) -> None:
        """Run `lines` one after the other, then call `done` with the failure of the first that
        failed, behind which none is run; None = all went well."""
        self._next(number, key, deque(lines), done)

    def line(self, number: int) -> str:
        """Return the command that runs now, with its key, for people; "" = none does."""
        running = self._running.get(number)
        return _shown(running.key, running.line) if running is not None else ""

    @property
    def is_idle(self) -> bool:
        """Return whether no command runs, and none that was killed has still to be reaped."""
        return not self._running and not self._dying

    def forget(self, number: int) -> None:
        """Kill what a generation runs, and run no more of it. `done` is not called."""
        running = self._running.pop(number, None)
        if running is not None:
            send_signal(running.process.pidfd, SIGKILL)
            self._dying.append(running)

    def cut_short(self, number: int) -> None:
        """Kill what a generation runs, and run no more of it: `done` is called when it is gone."""
        running = self._running.get(number)
        if running is not None:
            running.rest.clear()
            send_signal(running.process.pidfd, SIGKILL)

    def owns(self, pid: int) -> bool:
        """Return whether this child, which has ended and is not reaped, was a command.

        All that is left of its session's first process group is killed: until the child is
        reaped, no other group has this number.
        """
        if not any(each.process.pid == pid for each in (*self._running.values(), *self._dying)):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, SIGKILL)
        return True

    def on_exit(self, pid: int, exit_status: int | None, signum: int | None) -> None:
        """Take in how a command ended, which was reaped."""
        for dead in self._dying:
            if dead.process.pid == pid:
                os.close(dead.process.pidfd)
                self._dying.remove(dead)
                return
        number = next(number for number, each in self._running.items() if each.process.pid == pid)
        running = self._running.pop(number)
        os.close(running.process.pidfd)
        how = f"signal {signum}" if signum else f"exit status {exit_status}"
        failure = None
        if exit_status != 0:
            failure = Failure(
                kind="hook",
                message=f"{_shown(running.key, running.line)} ended with {how}",
                exit_status=exit_status,
                signal=signum,
            )
        took_s = time.monotonic() - running.began_at
        self._ledger.output.drain()
        self._ledger.output.emit(
            f"event=command_ended key={running.key} ended={how!r} took_s={took_s:.3f}"
        )
        self._go_on(number, running.key, running.line, running.rest, failure, running.done)

    def _go_on(
        self,
        number: int,
        key: str,
        line: str,
        rest: deque[str],
        failure: Failure | None,
        done: Done,
    ) -> None:
        if failure is not None and not line.startswith(MAY_FAIL):
            done(number, failure)
        else:
            self._next(number, key, rest, done)

    def _next(self, number: int, key: str, rest: deque[str], done: Done) -> None:
        if not rest:
            done(number, None)
            return
        line = rest.popleft()
        generation = self._ledger.forces[number].generation
        command = line.removeprefix(MAY_FAIL)
        program = Program([SHELL, "-c", command], generation.env, generation.directory)
        output_fd = self._ledger.output.write_fd
        self._ledger.output.emit(f"event=command_started key={key} command={command[:SHOWN_MAX]!r}")
        try:
            surroundings = self._surroundings_for(generation)
            process = start(program, {1: output_fd, 2: output_fd}, surroundings)
        except (ExecFailed, OSError) as error:
            text = str(error) if isinstance(error, ExecFailed) else f"fork: {error.strerror}"
            message = f"{_shown(key, line)} could not be started: {text}"
            failure = Failure(kind="hook", message=message)
            self._go_on(number, key, line, rest, failure, done)
            return
        began_at = time.monotonic()
        self._running[number] = _Running(key, line, rest, process, began_at, done)


def _shown(key: str, line: str) -> str:
    return escaped(f'{key}: "{line[:SHOWN_MAX]}"')
