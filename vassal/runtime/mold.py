"""The mold: loads the application once and forks workers when the master asks.

With lazy_apps each worker loads it instead.

Its descriptors: 0 /dev/null, 1 and 2 the vassal's output, 3 the channel to the master.
Everything else arrives over the channel. One thread, no event loop: a mold that is told
nothing sleeps in recvmsg.
"""

from __future__ import annotations

import _socket
import gc
import os
import sys
import time

from . import apploader, frames, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any, Callable, Dict, List, Tuple

    from .listeners import Listener
    from .settings import WorkerSettings

CONTROL_FD = 3
_INT_BYTES = 4


class Loaded:
    """What the workers of this mold share. No `app`: each of them loads it."""

    def __init__(
        self,
        app: Callable[..., Any] | None,
        settings: Dict[str, str],
        sockets: List[Tuple[int, str, int]],
        memory: mmap,
        uwsgi: Any = None,
    ):
        self.app = app
        self.settings = settings
        self.sockets = sockets
        self.memory = memory
        self.uwsgi = uwsgi  # the module, where the application has one
        self._prepared: Tuple[WorkerSettings, List[Listener]] | None = None

    def prepare(self) -> Tuple[WorkerSettings, List[Listener]]:
        """Make what is the same in every worker. After the application was imported: it may
        have put another sys.stderr there."""
        from .listeners import Listener
        from .settings import WorkerSettings

        if self._prepared is None:
            settings = WorkerSettings(self.settings)
            multiprocess = self.settings["mode"] != "solo" and self.settings["workers"] != "1"
            self._prepared = (
                settings,
                [Listener(*socket, settings, multiprocess) for socket in self.sockets],
            )
        return self._prepared


def main(mode: str, name: str) -> None:
    """Serve the master until it closes the channel; the process ends with this call."""
    import faulthandler

    faulthandler.register(signals.STACK_DUMP_SIGNAL, file=2, all_threads=True, chain=False)
    _line_buffer_output()
    name_process("mold " + name)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, CONTROL_FD)
    verb, fields, fds = _receive(control)
    if verb != frames.LOAD:
        raise frames.FrameError("expected %r first, not %r" % (frames.LOAD, verb))
    fields["mode"] = mode
    if mode != "solo":  # there nobody listens
        control.send(frames.encode(frames.BEGUN))
    if fields["procname"]:
        name_process(fields["procname"])
    try:
        loaded = _load(fields, fds)
    except BaseException as error:
        control.send(frames.encode(frames.LOAD_FAILED, _describe(error)))
        raise SystemExit(1) from None
    if mode == "solo":
        control.close()
        _take_cpus(loaded, 0)
        if loaded.uwsgi is not None:
            loaded.uwsgi.begin_worker(1, None)
        raise SystemExit(_work(loaded, None, "1", 0))
    told = {
        "python": sys.version.split()[0],
        "load_s": fields.get("load_s", "0"),
        "threads": _threads(),
    }
    control.send(frames.encode(frames.LOADED, told))
    _serve(control, loaded, name)


def _load(fields: Dict[str, str], fds: List[int]) -> Loaded:
    """Take over the descriptors and import the application.

    fds: scoreboard, listeners and, as many as the frame says, the cgroup's memory.current
    and memory.stat.
    """
    import mmap

    memory = mmap.mmap(fds[0], 0)
    os.close(fds[0])
    sockets = []
    of_memory = fds[len(fds) - int(fields.get("memory_files") or 0) :]
    for key, fd in zip(("memory_current_fd", "memory_stat_fd"), of_memory):
        fields[key] = str(fd)
    for fd, item in zip(fds[1:], frames.decode_list(fields["listeners"])):
        protocol, family = item.split(" ")
        sockets.append((fd, protocol, int(family)))
    try:
        os.chdir(fields["directory"])
    except OSError as error:
        raise apploader.AppError(
            "uid %d cannot enter %s: %s; correct directory, or its permissions"
            % (os.getuid(), fields["directory"], error.strerror)
        ) from None
    uwsgi = _offer_uwsgi(fields, memory) if fields["uwsgi_api"] else None
    lazy = fields["lazy_apps"] and fields["mode"] != "solo"
    app = None if lazy else _load_app(fields, uwsgi)
    if any(protocol == "http" for _, protocol, _ in sockets):
        _prepare_http(int(fields["parser_fd"]), fields["parser_name"])
    return Loaded(app, fields, sockets, memory, uwsgi)


def _offer_uwsgi(fields: Dict[str, str], memory: mmap) -> Any:
    """Let `import uwsgi` work; return the module."""
    from . import uwsgi

    words = frames.decode_list(fields["uwsgi_options"])
    return uwsgi.install(fields, list(zip(words[::2], words[1::2])), memory)


def _load_app(fields: Dict[str, str], uwsgi: Any) -> Callable[..., Any]:
    """Import the application, and put what stands in front of it there."""
    began = time.monotonic()
    app = apploader.load(
        fields["app"],
        fields["directory"],
        frames.decode_list(fields["pythonpath"]),
        frames.decode_table(fields["mounts"]),
    )
    fields["load_s"] = str(int(time.monotonic() - began))
    if uwsgi is not None:
        from .uwsgi import in_front_of

        uwsgi.note_load(int(fields["load_s"]))
        app = in_front_of(app, uwsgi)
    if not (fields["static"] or fields["check_static"]):
        return app
    from .static import StaticFiles

    return StaticFiles(
        app,
        frames.decode_table(fields["static"]),
        frames.decode_list(fields["static_index"]),
        frames.decode_list(fields["check_static"]),
    )


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
    from . import listeners, settings, worker  # noqa: F401 - before the fork: workers share them

    # After the fork nothing of ours can be loaded.
    if loaded.app is None:
        from . import static  # noqa: F401
    else:
        loaded.prepare()
    if loaded.settings["access_log"]:
        from . import access_log

        access_log.load_for(loaded.settings["access_log"])
    if float(loaded.settings["autoreload_s"]):
        from . import autoreload  # noqa: F401

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
        if not loaded.settings["procname"]:
            name_process("worker %s %s" % (fields["worker"], name))
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
    _take_cpus(loaded, int(fields["seat"]))
    if loaded.uwsgi is not None:
        loaded.uwsgi.begin_worker(int(fields["worker"]), channel)
    hello = frames.encode(frames.HELLO, {"worker": fields["worker"]})
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, channel)
    socket.send(hello)
    if loaded.app is None:
        try:
            loaded.app = _load_app(loaded.settings, loaded.uwsgi)
        except BaseException as error:
            socket.send(frames.encode(frames.LOAD_FAILED, _describe(error)))
            return 1
    socket.detach()
    return _work(loaded, channel, fields["worker"], int(fields["first_slot"]), probe)


def _work(
    loaded: Loaded, channel: int | None, number: str, first_slot: int, probe: int | None = None
) -> int:
    from . import worker

    assert loaded.app is not None
    settings, listeners = loaded.prepare()
    settings.worker = int(number)
    slots = list(range(first_slot, first_slot + settings.threads))
    try:
        return worker.run(loaded.app, settings, listeners, loaded.memory, slots, channel, probe)
    finally:
        if loaded.uwsgi is not None:
            loaded.uwsgi.end_worker()


def _take_cpus(loaded: Loaded, seat: int) -> None:
    """Run on this seat's share of the CPUs only. Before there are threads: they inherit it."""
    count = int(loaded.settings["worker_cpus"])
    if not count:
        return
    have = sorted(os.sched_getaffinity(0))
    share = {have[(seat * count + place) % len(have)] for place in range(min(count, len(have)))}
    try:
        os.sched_setaffinity(0, share)
    except OSError as error:
        # A filter for system calls may not have it: the worker serves on all of them.
        os.write(
            2, b"worker_cpus: sched_setaffinity: %s\n" % os.strerror(error.errno or 0).encode()
        )


def name_process(name: str) -> None:
    """Set what `ps -o comm` and `top` show."""
    # Not open(): its text streams would take 0.1 MB of this process and of each worker.
    try:
        comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(comm, name[:15].encode("utf-8", "surrogateescape"))
        finally:
            os.close(comm)
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


def _threads() -> str:
    """Return the names of the threads that the application has started: no worker has them."""
    count = len(sys._current_frames()) - 1
    if count < 1:
        return ""
    threading = sys.modules.get("threading")
    names = [] if threading is None else [one.name for one in threading.enumerate()]
    names = [name for name in names if name != "MainThread"]
    return ", ".join(names)[:200] or "%d without a name" % count


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
