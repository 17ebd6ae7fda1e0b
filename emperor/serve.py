"""`emperor serve`: one application with a master and no emperor, or without a master too."""

import mmap
import os
import pwd
import resource
import signal
import socket
import sys
from pathlib import Path

import msgspec
import prctl

from emperor.brain import interpreter
from emperor.brain.birth import build
from emperor.brain.listeners import bind, explain
from emperor.cli.serve_options import ServeOptions
from emperor.config.identity import Identity
from emperor.config.settings import VassalSettings
from emperor.logfmt import Log
from limits.confinement import Confinement
from limits.directives import Subject
from limits.layout import Layout
from vassal import bundle, packets
from vassal.loop import Loop
from vassal.master.master import Master, MasterState
from vassal.master.mold_hands import Means
from vassal.master.molds import CONTROL_FD, PARSER_FD, RUNTIME_FD
from vassal.master.output import Output
from vassal.master.workforce import load_frame
from vassal.messages import Generation, GenerationFailed, GenerationReady, Message, WorkerDied
from vassal.runtime import scoreboard

FAILED = 1


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP loads the application anew. Return the exit status."""
    settings = options.settings
    try:
        identity = _myself()
        python = interpreter.choose(settings.python, identity)
        listeners = [_bind(settings, index, identity) for index in range(len(settings.listen))]
    except (interpreter.NoInterpreter, OSError) as error:
        print(f"emperor serve: {error}", file=sys.stderr)
        return FAILED
    lang = os.environ.get("LANG", "C.UTF-8")
    subject = Subject(
        vassal=settings.name,
        customer=identity.user,
        uid=identity.uid,
        gid=identity.gid,
        groups=identity.groups,
    )
    # What runs in a terminal is its user's own: nothing confines it.
    unconfined = Layout(birth=Confinement(), workload=Confinement())
    spec = build("", settings, identity, python, "inherit", lang, subject, unconfined)
    # What starts a program from a shell expects it to see the shell's environment.
    generation = _with_environment(spec.generation, dict(os.environ))
    try:
        if not options.master:
            _become_worker(generation, listeners)
        return _Standalone(generation, listeners).run()
    finally:
        _remove_sockets(settings)


class _Standalone:
    """A master in this very process: orders are signals."""

    def __init__(self, generation: Generation, listeners: list[socket.socket]) -> None:
        self._generation = generation
        self._listeners = listeners
        self._number = 0
        self._log = Log()
        self._loop = Loop()
        self._failed = False
        parser_fd, parser_name = bundle.copy_parser() or (None, "")
        means = Means(
            runtime_fd=bundle.build(),
            parser_fd=parser_fd,
            parser_name=parser_name,
            die_with_master=True,
            nofile_soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        output = Output(self._loop, generation.vassal)
        self._master = Master(self._loop, output, means, self._tell, lambda generation: ((), ()))

    def run(self) -> int:
        """Serve; return the exit status."""
        prctl.set_child_subreaper(1)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        orders = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        self._loop.handle_signals(orders, self._on_signal)
        self._start()
        while True:
            sleep_s = self._master.act()
            if self._master.state is MasterState.DONE:
                return FAILED if self._failed else 0
            self._loop.turn(sleep_s)

    def _start(self) -> None:
        self._number += 1
        generation = msgspec.structs.replace(self._generation, number=self._number)
        fds = [os.dup(listener.fileno()) for listener in self._listeners]
        self._master.start_generation(generation, fds)

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            self._master.reap()
        elif signum == signal.SIGHUP:
            self._start()
        elif self._master.state is MasterState.STOPPING:
            self._master.stop(0.0)  # asked twice: do not wait for requests
        else:
            self._master.stop(self._generation.stop_timeout_s)

    def _tell(self, message: Message) -> None:
        name = self._generation.vassal
        if isinstance(message, GenerationReady):
            urls = " ".join(listener.url for listener in self._generation.listeners)
            self._log.info("ready", vassal=name, generation=message.number, listen=urls)
        elif isinstance(message, GenerationFailed):
            failure = message.failure
            self._log.error("load_failed", vassal=name, message=failure.message)
            print(failure.traceback or failure.output, file=sys.stderr)
            self._failed = not message.serving
        elif isinstance(message, WorkerDied):
            self._log.warning("worker_died", vassal=name, message=message.failure.message)


def _become_worker(generation: Generation, listeners: list[socket.socket]) -> None:
    """Exec the interpreter as a worker without a master; it never returns."""
    slots = generation.threads
    memory_fd = os.memfd_create("emperord-scoreboard")
    os.ftruncate(memory_fd, scoreboard.size_for(slots))
    with mmap.mmap(memory_fd, scoreboard.size_for(slots)) as memory:
        for slot in range(slots):
            scoreboard.claim_slot(memory, slot, 1)
    ours, theirs = packets.pair()
    theirs.setblocking(True)
    parser_fd, parser_name = bundle.copy_parser() or (None, "")
    fds = [listener.fileno() for listener in listeners]
    frame = load_frame(generation, fds, False, PARSER_FD, parser_name, raw_harakiri=True)
    packets.send(ours, frame, [memory_fd, *fds])
    runtime_fd = bundle.build()
    os.dup2(theirs.fileno(), 100)
    os.dup2(runtime_fd, 101)
    if parser_fd is not None:
        os.dup2(parser_fd, 102)
    os.dup2(100, CONTROL_FD)
    os.dup2(101, RUNTIME_FD)
    if parser_fd is not None:
        os.dup2(102, PARSER_FD)
    os.closerange(PARSER_FD + 1, 4096)
    arguments = [
        generation.python,
        "-I",
        "-c",
        bundle.PROGRAM,
        "solo",
        generation.vassal,
    ]
    os.execve(generation.python, arguments, generation.env)


def _bind(settings: VassalSettings, index: int, identity: Identity) -> socket.socket:
    address = settings.listen[index]
    try:
        return bind(address, settings, identity)
    except OSError as error:
        raise OSError(error.errno, f"{address.url}: {explain(error)}") from error


def _remove_sockets(settings: VassalSettings) -> None:
    for address in settings.listen:
        if address.path is not None:
            Path(address.path).unlink(missing_ok=True)


def _with_environment(generation: Generation, environ: dict[str, str]) -> Generation:
    return msgspec.structs.replace(generation, env=environ | generation.env)


def _myself() -> Identity:
    entry = pwd.getpwuid(os.geteuid())
    return Identity(
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=tuple(os.getgroups()),
        user=entry.pw_name,
        home=entry.pw_dir,
        shell=entry.pw_shell,
    )
