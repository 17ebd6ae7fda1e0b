"""A master's hands for molds: starts them, hears them, and deals with their end.

A building generation ends with its mold; a serving one gets another, and its workers
serve on meanwhile.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from limits.pidfd import send_signal
from limits.steps import Step
from vassal import packets
from vassal.failure import Failure
from vassal.generation import Generation
from vassal.loop import Loop
from vassal.master import crew as crews
from vassal.master.crew import MoldState, Role
from vassal.master.guard import SIGKILL
from vassal.master.hooks import Hooks
from vassal.master.ledger import Ledger
from vassal.master.molds import PARSER_FD, REQUESTS_FD, start_mold
from vassal.master.workforce import load_frame
from vassal.master.workload import ExecFailed, Surroundings
from vassal.messages import MEMORY_FILES, WORKLOAD_PROCS, Message, MoldDied
from vassal.runtime import frames
from vassal.runtime.signals import STACK_DUMP_SIGNAL

StepsFor = Callable[[Generation], tuple[Sequence[Step], tuple[str, ...]]]

LAST_FRAMES_MAX = 8
"""A mold that goes has said less than that since it was last heard."""

NO_INTERPRETER = (
    "is no Python interpreter, or none that works: write python = a virtualenv's folder or an "
    "interpreter, such as /usr/bin/python3"
)

KILL_PATIENCE_S = 1.0
"""A command that was killed and is still there is killed again."""


def memory_files(cgroup: Mapping[str, int]) -> list[int]:
    """Return the descriptors by which memory is watched: no, one or two of MEMORY_FILES."""
    found = [cgroup[name] for name in MEMORY_FILES if name in cgroup]
    return found if MEMORY_FILES[0] in cgroup else []


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a master was born with. Descriptors are borrowed from the process.

    `nofile_soft` is the soft RLIMIT_NOFILE that a mold gets: ours was raised. `cgroup`
    has the files of the vassal's cgroup, by their names in messages.CGROUP_FILES.
    """

    runtime_fd: int
    parser_fd: int | None
    parser_name: str
    die_with_master: bool
    nofile_soft: int
    cgroup: dict[str, int] = {}


def not_loaded(generation: Generation, fields: dict[str, str]) -> Failure:
    """Return what a mold or a worker said that could not load the application."""
    return Failure(
        kind="load",
        message=f"{generation.app or 'mounts'}: {fields.get('error', '')}"[:2000],
        traceback=fields.get("traceback", ""),
    )


class MoldHands:
    """Starts and ends molds, and runs the commands before, behind and after them. `give_up`
    ends a building generation, `close` one that is cleared; `fork_failed` is told the fields of
    a mold's refusal."""

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        means: Means,
        steps_for: StepsFor,
        tell: Callable[[Message], None],
        give_up: Callable[[int, Failure], None],
        fork_failed: Callable[[int, dict[str, str]], None],
        close: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._means = means
        self._steps_for = steps_for
        self._tell = tell
        self._give_up = give_up
        self._fork_failed = fork_failed
        self._close = close
        self.hooks = Hooks(ledger, self._surroundings)
        self._failures: dict[int, int] = {}

    def start(self, number: int) -> None:
        generation = self._ledger.forces[number].generation
        # A serving generation that has lost its mold was prepared long ago.
        is_new = self._ledger.crews[number].role is Role.BUILDING
        # The deadline is armed before the fork: whatever hangs after it is covered.
        self._ledger.set_crew(
            number,
            mold=MoldState.PREPARING,
            mold_at=time.monotonic() + generation.spawn_timeout_s,
            clears=bool(generation.exec_stop_post),
        )
        commands = generation.exec_start_pre if is_new else ()
        self.hooks.run(number, "exec_start_pre", commands, self._on_prepared)

    def _surroundings(self, generation: Generation) -> Surroundings:
        steps, self._ledger.unsupported = self._steps_for(generation)
        return Surroundings(steps, self._means.nofile_soft, self._means.cgroup.get(WORKLOAD_PROCS))

    def _on_prepared(self, number: int, failure: Failure | None) -> None:
        if failure is not None:
            self._lost(number, failure)
        else:
            self._load(number)

    def _load(self, number: int) -> None:
        force = self._ledger.forces[number]
        means = self._means
        self._ledger.set_crew(number, mold=MoldState.LOADING)
        output = self._ledger.output
        requests_fd = output.requests_fd if force.generation.log.requests else None
        try:
            mold = start_mold(
                force.generation,
                means.runtime_fd,
                means.parser_fd,
                output.write_fd,
                requests_fd,
                self._surroundings(force.generation),
            )
        except ExecFailed as error:
            self._lost(number, Failure(kind="exec", message=str(error)))
            return
        except OSError as error:
            self._lost(number, Failure(kind="crash", message=f"fork: {error.strerror}"))
            return
        force.mold = mold
        watched = memory_files(means.cgroup)
        frame = load_frame(
            force.generation,
            force.listeners,
            force.slots,
            means.die_with_master,
            PARSER_FD,
            means.parser_name,
            requests_fd=2 if requests_fd is None else REQUESTS_FD,
            memory_files=len(watched),
        )
        with contextlib.suppress(OSError):
            # Refused: it ended at once. Its exit, which SIGCHLD tells, says more.
            packets.send(mold.channel, frame, [force.memory_fd, *force.listeners, *watched])
        self._loop.watch(mold.channel.fileno(), partial(self._on_readable, number))

    def _on_readable(self, number: int) -> None:
        self._on_frame(number)

    def _on_frame(self, number: int) -> bool:
        """Take in one frame; return whether there may be more."""
        mold = self._ledger.forces[number].mold
        if mold is None:
            return False
        try:
            packet = packets.receive(mold.channel)
            verb, fields = frames.decode(packet.data)
        except BlockingIOError:
            return False
        except (packets.PeerGone, OSError, frames.FrameError):
            # Its exit, which SIGCHLD tells, says more.
            self._loop.unwatch(mold.channel.fileno())
            return False
        packets.close_all(packet.fds)
        mold.has_begun = True
        if self._ledger.crews[number].role is Role.DRAINING:
            return False
        if verb == frames.LOADED:
            self._failures.pop(number, None)
            self._ledger.forces[number].load_s = _seconds(fields.get("load_s", ""))
            self._warn_of_threads(number, fields.get("threads", "")[:200])
            if self._ledger.forces[number].generation.lazy_apps:
                self._ledger.set_crew(number, mold=MoldState.LOADED, mold_at=0.0)
            else:
                self.finish(number)
        elif verb == frames.LOAD_FAILED:
            self._on_load_failed(number, fields)
        elif verb == frames.FORK_FAILED:
            self._fork_failed(number, fields)
        return True

    def _warn_of_threads(self, number: int, threads: str) -> None:
        """Say that no worker will have these threads, once for each generation."""
        if threads and self._ledger.crews[number].role is Role.BUILDING:
            self._ledger.output.emit(
                f"event=threads_lost generation={number} threads={threads!r} message='they were "
                "started while the application was loaded, and no worker has them, since those are "
                "forked: start them with the first request, or write lazy_apps = true'"
            )

    def finish(self, number: int) -> None:
        """The application is loaded: run exec_start_post, and fork more workers after that."""
        crew, generation = self._ledger.crews[number], self._ledger.forces[number].generation
        commands = generation.exec_start_post if crew.role is Role.BUILDING else ()
        deadline = crew.mold_at or time.monotonic() + generation.spawn_timeout_s
        self._ledger.set_crew(number, mold=MoldState.FINISHING, mold_at=deadline)
        self.hooks.run(number, "exec_start_post", commands, self._on_finished)

    def _on_finished(self, number: int, failure: Failure | None) -> None:
        if failure is not None:
            self._lost(number, failure)
        else:
            self._ledger.set_crew(number, mold=MoldState.LOADED, mold_at=0.0)

    def _on_load_failed(self, number: int, fields: dict[str, str]) -> None:
        self._lost(number, not_loaded(self._ledger.forces[number].generation, fields))

    def on_exit(self, number: int, exit_status: int | None, signum: int | None) -> None:
        for _ in range(LAST_FRAMES_MAX):  # what it has said may be known after its exit
            if not self._on_frame(number):
                break
        force = self._ledger.forces[number]
        mold_was = self._ledger.crews[number].mold
        has_begun = force.mold is not None and force.mold.has_begun
        self.release(number)
        if mold_was in {MoldState.CLOSED, MoldState.ABSENT}:
            return
        if self._ledger.crews[number].role is Role.DRAINING:
            return
        how = _how(exit_status, signum)
        kind, message = "crash", f"the mold died ({how})"
        if mold_was is MoldState.LOADING and not has_begun and not signum:
            kind, message = "exec", f"{force.generation.python} {NO_INTERPRETER} ({how})"
        elif mold_was is MoldState.LOADING and not has_begun:
            message = f"the interpreter died ({how}) before it began to load the application"
        elif mold_was is MoldState.LOADING:
            message = "the application ended its interpreter while it was loaded"
        failure = Failure(kind=kind, message=message, exit_status=exit_status, signal=signum)
        self._lost(number, failure)

    def _lost(self, number: int, failure: Failure) -> None:
        """A building generation ends with its mold; a serving one gets another, later."""
        if self._ledger.crews[number].role is Role.BUILDING:
            self._give_up(number, failure)
            return
        failures = self._failures[number] = self._failures.get(number, 0) + 1
        if self._ledger.is_hopeless(number, failures):
            self._give_up(number, failure)
            return
        pause_s = crews.backoff_s(failures)
        self._ledger.output.emit(
            f"event=mold_died generation={number} reason={failure.kind} message={failure.message!r}"
        )
        self._tell(MoldDied(failure=self._ledger.note(failure)))
        self.release(number)
        self._ledger.set_crew(number, mold=MoldState.ABSENT, mold_at=time.monotonic() + pause_s)

    def dump(self, number: int) -> None:
        mold = self._ledger.forces[number].mold
        if mold is not None:
            send_signal(mold.pidfd, STACK_DUMP_SIGNAL)
        self._ledger.set_crew(
            number, mold=MoldState.DUMPED, mold_at=time.monotonic() + crews.DUMP_GRACE_S
        )

    def give_up_slow(self, number: int) -> None:
        self._give_up(number, self._too_slow(number))

    def _too_slow(self, number: int) -> Failure:
        generation = self._ledger.forces[number].generation
        command = self.hooks.line(number)
        if command:
            return Failure(
                kind="spawn-timeout",
                message=f"{command} was not done within spawn_timeout = "
                f"{generation.spawn_timeout_s:g} s",
            )
        return Failure(
            kind="spawn-timeout",
            message=f"{generation.app or 'mounts'} was not loaded within spawn_timeout = "
            f"{generation.spawn_timeout_s:g} s; its stack is in the output",
        )

    def replace(self, number: int) -> None:
        mold = self._ledger.forces[number].mold
        if mold is not None:
            send_signal(mold.pidfd, SIGKILL)
        self._lost(number, self._too_slow(number))

    def release(self, number: int) -> None:
        force = self._ledger.forces[number]
        if force.mold is not None:
            self._loop.unwatch(force.mold.channel.fileno())
            send_signal(force.mold.pidfd, SIGKILL)
            force.mold.close()
            force.mold = None

    def clear(self, number: int) -> None:
        """Nothing of the generation runs any more: run exec_stop_post, then close it.

        How that went is in the log; nothing else comes of it.
        """
        generation = self._ledger.forces[number].generation
        deadline = time.monotonic() + generation.spawn_timeout_s
        self._ledger.set_crew(number, clears=False, mold=MoldState.CLEARING, mold_at=deadline)
        commands = generation.exec_stop_post
        self.hooks.run(number, "exec_stop_post", commands, lambda gone, failure: self._close(gone))

    def end_command(self, number: int) -> None:
        """Kill a command of exec_stop_post that takes longer than spawn_timeout."""
        self._ledger.output.emit(
            f"event=command_killed reason=spawn_timeout {self.hooks.line(number)}"
        )
        self._ledger.set_crew(number, mold_at=time.monotonic() + KILL_PATIENCE_S)
        self.hooks.cut_short(number)

    def forget(self, number: int) -> None:
        """The generation is closed: let its mold go too."""
        self.release(number)
        self._failures.pop(number, None)


def _how(exit_status: int | None, signum: int | None) -> str:
    return f"signal {signum}" if signum else f"exit status {exit_status}"


def _seconds(text: str) -> int:
    """Return what a mold says that its import took: the tenant's word, for display alone."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
