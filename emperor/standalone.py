"""A master in this very process, without spawner and brain: it decides itself what those would.

Who started it tells it things by signals, by its FIFO and by touched files.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
import prctl

from emperor import notify
from emperor.brain.birth import Spec
from emperor.brain.listeners import ListenError
from emperor.brain.unheld import unheld
from emperor.config.identity import Identity
from emperor.logfmt import Log
from emperor.touches import Stamp, Touch, stamp, touches
from limits.directives import Subject
from vassal import bundle
from vassal.loop import Loop
from vassal.master.backlog import diag_for
from vassal.master.commands import Command
from vassal.master.master import Master, MasterState
from vassal.master.mold_hands import Means
from vassal.master.output import Output
from vassal.master.pidfile import PidFile, in_output
from vassal.master.remote import DEAF_S, Remote
from vassal.master.service import steps_for
from vassal.messages import (
    AskForReload,
    AskForRestart,
    GenerationFailed,
    GenerationReady,
    Idle,
    Message,
    MoldDied,
    WorkerDied,
)

FAILED = 1
ONE_WISH_S = DEAF_S + 0.1
"""Some send a signal to the process and to its group: the second one is heard after a while."""

LOOK_S = 1.0
"""How often touched files are looked for."""

_ASKED = {
    Command.RELOAD: "a new generation is built",
    Command.RESTART: "it ends",
    Command.SLEEP: "it ends",
}


class Standalone:
    """One application. `again` is asked at each reload for what is to be served then; None =
    nothing, for a reason that it has told."""

    def __init__(
        self,
        spec: Spec,
        signals: Mapping[int, Command],
        again: Callable[[], Spec | None],
        handed: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Bind the sockets that are not `handed` over by their keys; raise ListenError."""
        self._spec = spec
        self._signals = signals
        self._again = again
        self._number = 0
        self._failed = False
        self._log = Log()
        self._loop = Loop()
        self._notifier = notify.Notifier()
        self._output = Output(self._loop, spec.settings.name, is_alone=True)
        self._touched: dict[str, Stamp] = {}
        self._look_at = 0.0
        self._stop_asked_at = 0.0
        # Who is to serve may have no right to read where emperord is.
        self._parser = bundle.copy_parser() or (None, "")
        self._runtime_fd = bundle.build()
        self._listeners = unheld()
        for address in spec.settings.addresses:
            if address.key in handed:
                self._listeners.take_over(address.key, handed[address.key])
        self._sockets(spec)

    def open_log(self) -> str | None:
        """Open the log now, with the rights there are now; return why it is impossible."""
        return "; ".join(self._output.configure(self._spec.generation.log).values()) or None

    def write_pidfile(self) -> None:
        """Write the pid now; whoever serves then finds it written."""
        file = PidFile(in_output(self._output.emit))
        file.keep(self._spec.settings.pidfile or "", os.getpid())

    def run(self) -> int:
        """Serve; return the exit status."""
        try:
            return self._run()
        finally:
            self._listeners.close_all()

    def _run(self) -> int:
        prctl.set_child_subreaper(1)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        parser_fd, parser_name = self._parser
        means = Means(
            runtime_fd=self._runtime_fd,
            parser_fd=parser_fd,
            parser_name=parser_name,
            die_with_master=True,
            nofile_soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        output, tell = self._output, self._tell
        self._master = Master(self._loop, output, means, tell, steps_for)
        self._loop.handle_signals([signal.SIGCHLD], lambda signum: self._master.reap())
        remote = Remote(self._loop, output, self._master, tell, _ASKED, self._signals)
        self._start(self._spec)
        while True:
            sleeps = (self._master.act(), remote.act(), self._look_at_files())
            if self._master.state is MasterState.DONE:
                remote.close()
                return FAILED if self._failed else 0
            self._loop.turn(min((each for each in sleeps if each is not None), default=None))

    def _sockets(self, spec: Spec) -> list[int]:
        settings = spec.settings
        held = self._listeners.prepare(settings, spec.identity, settings.addresses, "")
        return [each.fileno() for each in held]

    def _start(self, spec: Spec) -> None:
        """Build a generation; raise ListenError with nothing changed."""
        fds = self._sockets(spec)
        self._spec = spec
        self._number += 1
        generation = msgspec.structs.replace(spec.generation, number=self._number)
        with diag_for(generation) as diag:
            self._master.start_generation(generation, [os.dup(fd) for fd in fds + diag])
        paths = {path for path, _ in touches(spec.settings)}
        self._touched = {path: self._touched.get(path) or stamp(path) for path in paths}

    # ── what it is told ──────────────────────────────────────────────────────────────

    def _reload(self) -> None:
        if self._master.state is MasterState.STOPPING:
            return
        spec = self._again()
        if spec is None:
            return
        self._notifier.send(notify.reloading(time.monotonic()))
        try:
            self._start(spec)
        except ListenError as error:
            self._log.error("reload_refused", vassal=spec.settings.name, message=str(error))
            self._notifier.send(notify.ready())

    def _stop(self) -> None:
        self._notifier.send(notify.STOPPING)
        now = time.monotonic()
        if self._master.state is not MasterState.STOPPING:
            self._stop_asked_at = now
            self._master.stop(self._spec.generation.stop_timeout_s)
        elif now - self._stop_asked_at >= ONE_WISH_S:
            self._master.stop(0.0)  # asked twice: do not wait for requests

    def _look_at_files(self) -> float | None:
        """Do what files are touched for; return when to look again, None = never."""
        if not self._touched:
            return None
        left_s = self._look_at - time.monotonic()
        if left_s > 0:
            return left_s
        self._look_at = time.monotonic() + LOOK_S
        now = {path: stamp(path) for path in self._touched}
        changed = {path for path, seen in self._touched.items() if now[path] != seen}
        self._touched = now
        wanted = {touch for path, touch in touches(self._spec.settings) if path in changed}
        if wanted & {Touch.REOPEN, Touch.ROTATE}:
            self._master.reopen_logs(rotate=Touch.ROTATE in wanted)
        if Touch.RELOAD in wanted:
            self._log.info("touched", vassal=self._spec.settings.name, path=min(changed))
            self._reload()
        return LOOK_S

    # ── what its master says ─────────────────────────────────────────────────────────

    def _tell(self, message: Message) -> None:
        name = self._spec.settings.name
        if isinstance(message, AskForReload):
            self._reload()
        elif isinstance(message, AskForRestart | Idle):
            self._stop()
        elif isinstance(message, GenerationReady):
            self._on_ready(message.number)
        elif isinstance(message, GenerationFailed):
            failure = message.failure
            self._log.error("load_failed", vassal=name, message=failure.message)
            if details := failure.traceback or failure.output:
                print(details.rstrip("\n"), file=sys.stderr)
            self._failed = not message.serving
            if message.serving:
                self._notifier.send(notify.ready("the reload failed: the old code serves"))
        elif isinstance(message, WorkerDied):
            self._log.warning("worker_died", vassal=name, message=message.failure.message)
        elif isinstance(message, MoldDied):
            self._log.warning("mold_died", vassal=name, message=message.failure.message)

    def _on_ready(self, number: int) -> None:
        if number != self._number:
            return
        settings = self._spec.settings
        self._listeners.keep_only(settings.name, {each.key for each in settings.addresses})
        urls = " ".join(each.url for each in settings.listen)
        self._log.info("ready", vassal=settings.name, generation=number, listen=urls)
        self._notifier.send(notify.ready())


def subject_of(name: str, identity: Identity) -> Subject:
    """Return who is limited where there is no emperor: a user that is its own customer."""
    return Subject(
        vassal=name,
        customer=identity.user,
        uid=identity.uid,
        gid=identity.gid,
        groups=identity.groups,
    )
