"""`emperor serve`: one application with a master and no emperor, or without a master too."""

import mmap
import os
import socket
import sys
from typing import NoReturn

import msgspec

from emperor.brain import interpreter
from emperor.brain.birth import Logs, Spec, build
from emperor.brain.listeners import ListenError
from emperor.brain.unheld import unheld
from emperor.cli.serve_options import ServeOptions
from emperor.config.identity import Identity, own_identity
from emperor.config.settings import VassalSettings
from emperor.standalone import FAILED, Standalone, subject_of
from limits.confinement import Confinement
from limits.layout import Layout
from vassal import bundle, packets
from vassal.generation import Generation
from vassal.master.commands import ALONE
from vassal.master.molds import CONTROL_FD, PARSER_FD, RUNTIME_FD
from vassal.master.workforce import layout_of, load_frame
from vassal.runtime import scoreboard


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM, SIGINT or SIGQUIT; return the exit status.

    SIGHUP loads the application anew.
    """
    settings = options.settings
    if not os.path.isdir(settings.directory):
        what = f"directory: {settings.directory} is no folder; create it, or correct the path"
        print(f"emperor serve: {what}", file=sys.stderr)
        return FAILED
    try:
        identity = own_identity()
        python = interpreter.choose(settings.python, identity)
        spec = _spec(settings, identity, python)
        # Loaded anew, it is the same with the code that is there then.
        standalone = Standalone(spec, ALONE, lambda: spec) if options.master else None
        listeners = unheld()
        sockets = [] if standalone else listeners.prepare(settings, identity, settings.listen, "")
    except (interpreter.NoInterpreter, ListenError) as error:
        print(f"emperor serve: {error}", file=sys.stderr)
        return FAILED
    if standalone is not None:
        return standalone.run()
    try:
        _become_worker(spec.generation, sockets)
    finally:
        listeners.close_all()


def _spec(settings: VassalSettings, identity: Identity, python: str) -> Spec:
    lang = os.environ.get("LANG", "C.UTF-8")
    subject = subject_of(settings.name, identity)
    # What runs in a terminal is its user's own: nothing confines it.
    unconfined = Layout(birth=Confinement(), workload=Confinement())
    spec = build("", settings, identity, python, Logs("inherit"), lang, subject, unconfined)
    # What starts a program from a shell expects it to see the shell's environment.
    env = dict(os.environ) | spec.generation.env
    return msgspec.structs.replace(
        spec, generation=msgspec.structs.replace(spec.generation, env=env)
    )


def _become_worker(generation: Generation, listeners: list[socket.socket]) -> NoReturn:
    """Exec the interpreter as a worker without a master; it never returns."""
    slots = generation.threads
    memory_fd = os.memfd_create("emperord-scoreboard")
    size = layout_of(generation, slots).size
    os.ftruncate(memory_fd, size)
    with mmap.mmap(memory_fd, size) as memory:
        for slot in range(slots):
            scoreboard.claim_slot(memory, slot, 1)
    ours, theirs = packets.pair()
    theirs.setblocking(True)
    parser_fd, parser_name = bundle.copy_parser() or (None, "")
    fds = [listener.fileno() for listener in listeners]
    frame = load_frame(generation, fds, slots, False, PARSER_FD, parser_name, raw_harakiri=True)
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
