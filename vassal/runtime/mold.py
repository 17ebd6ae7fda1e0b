"""The mold: loads the application once and forks workers when the master asks.

Its descriptors: 0 /dev/null, 1 and 2 the vassal's output, 3 the channel to the master.
Everything else arrives over the channel. One thread, no event loop: a mold that is told
nothing sleeps in recvmsg.
"""

from __future__ import annotations

import _socket
import gc
import os
import sys

from . import apploader, frames, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any, Callable, Dict, List, Tuple

CONTROL_FD = 3
_INT_BYTES = 4


class Loaded:
    """What the workers of this mold share."""

    def __init__(
        self,
        app: Callable[..., Any],
        settings: Dict[str, str],
        listeners: List[Tuple[int, str, int]],
        memory: mmap,
    ):
        self.app = app
        self.settings = settings
        self.listeners = listeners
        self.memory = memory


def main(mode: str, name: str) -> None:
    """Serve the master until it closes the channel; the process ends with this call."""
    import faulthandler

    faulthandler.register(signals.STACK_DUMP_SIGNAL, file=2, all_threads=True, chain=False)
    _line_buffer_output()
    _name_process("mold " + name)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, CONTROL_FD)
    verb, fields, fds = _receive(control)
    if verb != frames.LOAD:
        raise frames.FrameError("expected %r first, not %r" % (frames.LOAD, verb))
    try:
        loaded = _load(fields, fds)
    except BaseException as error:
        control.send(frames.encode(frames.LOAD_FAILED, _describe(error)))
        raise SystemExit(1) from None
    if mode == "solo":
        control.close()
        raise SystemExit(_work(loaded, None, "1", 0))
    control.send(frames.encode(frames.LOADED, {"python": sys.version.split()[0]}))
    _serve(control, loaded, name)


def _load(fields: Dict[str, str], fds: List[int]) -> Loaded:
    """Take over the descriptors and import the application.

    fds: scoreboard, listeners and, if the frame says so, the cgroup's memory.current.
    """
    import mmap

    memory = mmap.mmap(fds[0], 0)
    os.close(fds[0])
    listeners = []
    if fields.get("watches_memory"):
        fields["memory_current_fd"] = str(fds.pop())
    for fd, item in zip(fds[1:], frames.decode_list(fields["listeners"])):
        protocol, family = item.split(" ")
        listeners.append((fd, protocol, int(family)))
    os.chdir(fields["directory"])
    app = apploader.load(
        fields["app"], fields["directory"], frames.decode_list(fields["pythonpath"])
    )
    if any(protocol == "http" for _, protocol, _ in listeners):
        _prepare_http(int(fields["parser_fd"]), fields["parser_name"])
    return Loaded(app, fields, listeners, memory)


def _prepare_http(parser_fd: int, parser_name: str) -> None:
    """Load the HTTP parser: httptools if it was built for this interpreter, else h11."""
    from . import parsers
    from .wire import http

    httptools = None
    if parser_name:
        httptools = parsers.load_httptools("/proc/self/fd/%d" % parser_fd, parser_name)
        os.close(parser_fd)
    h11 = None if httptools is not None else parsers.load_h11(_loader().h11_sources())
    http.use_parsers(httptools, h11)


def _loader() -> Any:
    """Return the finder that this runtime was loaded by."""
    return sys.modules[__package__].__loader__


def _serve(control: _socket.socket, loaded: Loaded, name: str) -> None:
    # Objects made until now are shared with every worker: the collector must not write
    # into them, neither here nor there.
    from . import worker  # noqa: F401 - loaded before the fork, so that workers share it

    _loader().forget()
    gc.disable()
    gc.collect()
    gc.freeze()
    while True:
        verb, fields, fds = _receive(control)
        if verb == frames.FORK:
            _fork_worker(control, loaded, name, fields, fds)


def _fork_worker(
    control: _socket.socket, loaded: Loaded, name: str, fields: Dict[str, str], fds: List[int]
) -> None:
    """Fork a worker that is not our child: its parent is to be the master."""
    try:
        middle = os.fork()
    except OSError as error:
        middle, failure = -1, error.errno or 0
    if middle == 0:
        _become_worker(control)
        _name_process("worker %s %s" % (fields["worker"], name))
        raise SystemExit(_be_worker(loaded, fields, fds))
    for fd in fds:
        os.close(fd)
    if middle > 0:
        failure = os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1])
        if not failure:
            return
    refusal = {"worker": fields["worker"], "errno": str(failure), "error": os.strerror(failure)}
    control.send(frames.encode(frames.FORK_FAILED, refusal))


def _become_worker(control: _socket.socket) -> None:
    """Fork once more and let the middle process go, so that our parent becomes the master."""
    middle = os.getpid()
    try:
        gone_read, gone_write = os.pipe()
        if os.fork():
            os._exit(0)
    except OSError as error:
        os._exit(error.errno or 1)
    os.close(gone_write)
    os.read(gone_read, 1)  # ends when the middle process goes
    os.close(gone_read)
    # Its descriptors are closed a little before its children get their new parent, and
    # the master takes nobody's hello but its own child's.
    while os.getppid() == middle:
        os.sched_yield()
    control.close()


def _be_worker(loaded: Loaded, fields: Dict[str, str], fds: List[int]) -> int:
    import faulthandler

    channel, dump = fds[:2]
    probe = fds[2] if len(fds) > 2 else None
    faulthandler.register(signals.STACK_DUMP_SIGNAL, file=dump, all_threads=True, chain=False)
    if loaded.settings.get("die_with_master"):
        _die_with_parent()
    gc.enable()
    hello = frames.encode(frames.HELLO, {"worker": fields["worker"]})
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, channel)
    socket.send(hello)
    socket.detach()
    return _work(loaded, channel, fields["worker"], int(fields["first_slot"]), probe)


def _work(
    loaded: Loaded, channel: int | None, number: str, first_slot: int, probe: int | None = None
) -> int:
    from . import worker

    settings = dict(loaded.settings, worker=number)
    slots = list(range(first_slot, first_slot + int(settings["threads"])))
    return worker.run(loaded.app, settings, loaded.listeners, loaded.memory, slots, channel, probe)


def _name_process(name: str) -> None:
    """Set what `ps -o comm` and `top` show."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name[:15])
    except OSError:
        pass  # no /proc here: then nobody looks at it either


def _die_with_parent() -> None:
    """Ask for SIGKILL when the master dies. Inside a PID namespace the kernel does it."""
    try:
        import ctypes
    except ImportError:
        return  # the closed channel ends this worker too, after the request it is in
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def _receive(control: _socket.socket) -> Tuple[str, Dict[str, str], List[int]]:
    data, ancillary, _, _ = control.recvmsg(
        frames.FRAME_BYTES_MAX, _socket.CMSG_SPACE(64 * _INT_BYTES), _socket.MSG_CMSG_CLOEXEC
    )
    if not data:
        raise SystemExit(0)
    fds = []
    for _, kind, value in ancillary:
        if kind == _socket.SCM_RIGHTS:
            for at in range(0, len(value) - len(value) % _INT_BYTES, _INT_BYTES):
                fds.append(int.from_bytes(value[at : at + _INT_BYTES], sys.byteorder))
    verb, fields = frames.decode(data)
    return verb, fields, fds


def _line_buffer_output() -> None:
    """A line that was printed before a crash must be in the log."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _describe(error: BaseException) -> Dict[str, str]:
    import traceback

    ours = isinstance(error, apploader.AppError)
    text = (
        ""
        if ours
        else "".join(traceback.format_exception(type(error), error, _their_frames(error)))
    )
    name = "" if ours else type(error).__name__ + ": "
    return {"error": (name + str(error))[:2000], "traceback": text[-16000:]}


def _their_frames(error: BaseException) -> Any:
    """Return the traceback without the loader's own frames."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith("<emperord>"):
        frame = frame.tb_next
    return frame
