"""The module that `import uwsgi` gives: what applications use of uWSGI, and why not the rest.

Names, arguments and results are uWSGI's, where text is bytes. What is not on is not there, as in
uWSGI: hasattr() says so, and whoever asks anyway is told what to do instead.
"""

from __future__ import annotations

import _socket
import _thread
import os
import sys
import time
import types

from .. import log_format, mold, scoreboard
from ..process_memory import memory_of
from .absent import NOT_HERE
from .state import option_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple, Union

    from .cache import Cache
    from .state import State

    Text = Union[str, bytes]

VERSION_INFO = (2, 0, 31, 0, b"")
"""Of the uWSGI whose module this is like."""

SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE = -2, -1, 0


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text


class UwsgiModule(types.ModuleType):
    """One vassal's. Hooks are attributes that the application sets, as in uWSGI:
    `post_fork_hook` is called in each new worker, `atexit` at its end."""

    post_fork_hook: Any
    atexit: Any

    def __init__(self, state: State) -> None:
        super().__init__("uwsgi", __doc__)
        self._state = state
        self._environs: Dict[int, Dict[str, Any]] = {}
        self._procedures: Dict[str, Callable[..., Any]] = {}
        self.opt = option_table(state.options)
        self.version = b"2.0.31"
        self.version_info = VERSION_INFO
        self.hostname = _socket.gethostname().encode()
        self.numproc = state.workers
        self.cores = state.threads
        self.has_threads = 1
        self.buffer_size = state.head_bytes_max
        self.started_on = int(time.time())
        self.applications = None
        self.is_a_reload = False
        self.loop = self.unbit = None
        self.SPOOL_OK, self.SPOOL_RETRY, self.SPOOL_IGNORE = SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE
        if state.caches:
            self._add_caches()

    def __getattr__(self, name: str) -> Any:
        environ = self._environs.get(_thread.get_ident())
        if name == "env" and environ is not None:
            return environ  # the running request's
        for names, instead in NOT_HERE:
            if name in names.split():
                raise AttributeError("uwsgi.%s: %s" % (name, instead))
        raise AttributeError("module 'uwsgi' has no attribute %r" % name)

    # ── who we are ───────────────────────────────────────────────────────────────────

    def worker_id(self) -> int:
        """Return the number of this worker, from 1; 0 in the process that loads."""
        return self._state.worker

    def mule_id(self) -> int:
        """Return 0: there are no mules."""
        return 0

    def masterpid(self) -> int:
        """Return the pid of the master, as this vassal's processes see it; 0 = there is none."""
        return self._state.master

    def workers(self) -> Tuple[Dict[str, Any], ...]:
        """Return what uWSGI tells of each worker, the newest replacements included."""
        found = []
        for number, slots in sorted(self._state.readings().items()):
            since_birth = sum(slot.requests for slot in slots)
            requests = since_birth + sum(slot.requests_before for slot in slots)
            exceptions = sum(slot.exceptions + slot.exceptions_before for slot in slots)
            running_us = sum(slot.running_ns + slot.running_ns_before for slot in slots) // 1000
            running = sum(slot.state in scoreboard.RUNNING for slot in slots)
            born_at, pid, births = self._state.born(number)
            resident, virtual = memory_of(pid)
            # Counted as it begins, and without what files answer.
            of_apps = requests + running - sum(map(scoreboard.statics_of, slots))
            found.append(
                {
                    "id": number,
                    "pid": pid,
                    "requests": requests,
                    "delta_requests": since_birth,
                    "signals": 0,
                    "exceptions": exceptions,
                    "status": b"busy" if running else b"idle",
                    "rss": resident,
                    "vsz": virtual,
                    "running_time": running_us,
                    "last_spawn": born_at,
                    "respawn_count": births - 1,
                    "tx": sum(slot.bytes_sent + slot.bytes_sent_before for slot in slots),
                    "avg_rt": running_us // requests if requests else 0,
                    "apps": self._apps(of_apps, exceptions, slots),
                }
            )
        return tuple(found)

    def _apps(self, requests: int, exceptions: int, slots: List[Any]) -> Tuple[Dict[str, Any], ...]:
        """Return what is told of each application; of a single one the numbers are known."""
        mounts = self._state.mounts or [""]
        counts = [(requests, exceptions)]
        if len(mounts) > 1:
            counts = self._state.counts.read(slot.index for slot in slots)
        return tuple(
            {
                "id": number,
                "modifier1": 0,
                "mountpoint": mount.encode(),
                "startup_time": self._state.load_s,
                "requests": counts[number][0],
                "exceptions": counts[number][1],
                "chdir": b"",
            }
            for number, mount in enumerate(mounts)
        )

    def note_load(self, seconds: int) -> None:
        """Know how long it took to import the application."""
        self._state.load_s = seconds

    def total_requests(self) -> int:
        """Return how many requests have been served by all workers since the code was loaded."""
        return self._state.requests()

    def request_id(self) -> int:
        """Return how many requests this worker has served, and those that had its number."""
        own = self._state.readings().get(self._state.worker, ())
        return sum(map(scoreboard.requests_of, own))

    def mem(self) -> Tuple[int, int]:
        """Return (resident size, virtual size) of this process in bytes."""
        return memory_of(os.getpid())

    def micros(self) -> int:
        """Return the time of day in microseconds."""
        return time.time_ns() // 1000

    # ── what can be done ─────────────────────────────────────────────────────────────

    def log(self, message: Text) -> bool:
        """Write a line into the vassal's log; with the time before it if the vassal dates them."""
        date = self._state.log_date
        stamp = time.strftime(date).encode("utf-8", "replace") + b" " if date else b""
        os.write(2, stamp + _bytes(message) + b"\n")
        return True

    def reload(self) -> bool:
        """Ask for new workers with new code; they take over when they have loaded."""
        return self._state.ask_for_reload()

    def setprocname(self, name: str) -> None:
        """Set what `ps -o comm` shows of this process."""
        mold.name_process(name)

    def set_user_harakiri(self, seconds: int) -> None:
        """Give the running request so many seconds from now; 0 = the vassal's harakiri again.

        harakiri_max bounds them: without it they can only be fewer than harakiri, if that is on.
        """
        environ = self._environs.get(_thread.get_ident())
        if environ is not None:
            environ["emperor.set_harakiri"](seconds)

    def set_logvar(self, name: Text, value: Text) -> None:
        """Remember a value with the running request, for its line in the log."""
        environ = self._environs.get(_thread.get_ident())
        if environ is not None:
            remembered = environ.setdefault(log_format.LOGVARS, {})
            remembered[_bytes(name).decode()] = _bytes(value).decode("utf-8", "replace")

    def get_logvar(self, name: Text) -> bytes | None:
        """Return what was remembered with the running request."""
        environ = self._environs.get(_thread.get_ident(), {})
        value = environ.get(log_format.LOGVARS, {}).get(_bytes(name).decode())
        return None if value is None else value.encode()

    def add_var(self, name: Text, value: Text) -> bool:
        """Add a variable to the environ of the running request."""
        environ = self._environs.get(_thread.get_ident())
        if environ is not None:
            environ[_bytes(name).decode("latin-1")] = _bytes(value).decode("latin-1")
        return environ is not None

    def accepting(self) -> None:
        """Do nothing: a worker accepts when it is ready."""

    def ready(self) -> bool:
        """Return True: no request comes before."""
        return True

    def i_am_the_spooler(self) -> None:
        """Return None: nobody is."""

    def in_farm(self, name: Text = "") -> None:
        """Return None: nobody is in a farm of mules."""

    def signal_registered(self, number: int) -> None:
        """Return None: there are no signals."""

    def lock(self, number: int = 0) -> None:
        """Wait until no other worker has the lock, and take it."""
        self._state.locks.acquire(self._lock_number(number))

    def unlock(self, number: int = 0) -> None:
        """Let go of the lock."""
        self._state.locks.release(self._lock_number(number))

    def is_locked(self, number: int = 0) -> bool:
        """Return whether any worker has the lock."""
        return self._state.locks.is_held(self._lock_number(number))

    def _lock_number(self, number: int) -> int:
        if not 0 <= number < self._state.lock_count:
            raise ValueError("there is no lock %d; write locks = %d" % (number, number))
        return number

    def register_rpc(self, name: Text, function: Callable[..., Any], args: int = 0) -> bool:
        """Let `call` and `rpc` find a function by a name, in this process."""
        self._procedures[_bytes(name).decode()] = function
        return True

    def rpc(self, node: Text | None, name: Text, *args: Text) -> bytes:
        """Call a function that was registered here; `node` must be empty."""
        if node:
            raise ValueError("uwsgi.rpc: emperord calls no other servers; use HTTP")
        return self.call(name, *args)

    def call(self, name: Text, *args: Text) -> bytes:
        """Call a function that was registered here, with bytes, and return its answer.

        ValueError if there is none, or if it gave no text.
        """
        function = self._procedures.get(_bytes(name).decode())
        answer = function(*map(_bytes, args)) if function is not None else None
        if not isinstance(answer, (str, bytes)):
            raise ValueError("unable to call rpc function")
        return _bytes(answer)

    def rpc_list(self) -> Tuple[bytes, ...]:
        """Return the names of the functions that were registered."""
        return tuple(name.encode() for name in self._procedures)

    # ── caches ───────────────────────────────────────────────────────────────────────

    def _add_caches(self) -> None:
        """Add the cache_ functions; the last argument of each is the name of a cache."""
        caches = self._state.caches
        first = next(iter(caches))

        def cache(name: Text) -> Cache:
            wanted = _bytes(name).decode() or first
            if wanted not in caches:
                raise ValueError(
                    "there is no cache %r; write cache2 = name=%s,items=100" % (wanted, wanted)
                )
            return caches[wanted]

        def put(replace: bool) -> Callable[..., Any]:
            def store(key: Text, value: Text, expires: int = 0, name: Text = "") -> Any:
                return cache(name).put(_bytes(key), _bytes(value), expires, replace) or None

            return store

        def change(by: Callable[[int, int], int], usual: int) -> Callable[..., Any]:
            def act(key: Text, amount: int = usual, expires: int = 0, name: Text = "") -> Any:
                done = cache(name).change(_bytes(key), lambda before: by(before, amount), expires)
                return done or None

            return act

        functions: Dict[str, Callable[..., Any]] = {
            "cache_get": lambda key, name="": cache(name).get(_bytes(key)),
            "cache_exists": lambda key, name="": cache(name).exists(_bytes(key)) or None,
            "cache_set": put(False),
            "cache_update": put(True),
            "cache_del": lambda key, name="": cache(name).delete(_bytes(key)) or None,
            "cache_clear": lambda name="": cache(name).clear(),
            "cache_keys": lambda name="": cache(name).keys(),
            "cache_num": lambda key, name="": cache(name).number(_bytes(key)),
            "cache_inc": change(lambda before, amount: before + amount, 1),
            "cache_dec": change(lambda before, amount: before - amount, 1),
            "cache_mul": change(lambda before, amount: before * amount, 2),
            "cache_div": change(lambda before, amount: int(before / amount) if amount else 0, 2),
        }
        for name, function in functions.items():
            setattr(self, name, function)

    # ── the worker's side ────────────────────────────────────────────────────────────

    def begin_worker(self, worker: int, channel: int | None) -> None:
        """This process is a worker from now on: tell whoever wanted to know."""
        self._state.become_worker(worker, channel, int(time.time()))
        _call(self.__dict__.get("post_fork_hook"))

    def end_worker(self) -> None:
        """This worker ends: tell whoever wanted to know."""
        _call(self.__dict__.get("atexit"))


def _call(hook: Any) -> None:
    if callable(hook):
        try:
            hook()
        except Exception:
            # As in uWSGI it is said, and nothing else comes of it.
            sys.excepthook(*sys.exc_info())


def in_front_of(app: Callable[..., Any], module: UwsgiModule) -> Callable[..., Any]:
    """Return an application that lets the module know which request runs in which thread, and
    whose environ says under what it runs. `uwsgi.core` the thread itself adds."""
    environs = module._environs
    version, node = module.version, module.hostname

    def known(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environs[_thread.get_ident()] = environ
        environ["uwsgi.version"] = version
        environ["uwsgi.node"] = node
        return app(environ, start_response)

    return known
