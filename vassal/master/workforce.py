"""What a master holds of one generation: scoreboard, listeners, mold and worker processes.

Descriptors and memory only; what to do with them is decided in `crew` and done in
`master`.
"""

import fcntl
import mmap
import os
import socket
from collections.abc import Collection, Iterable

import msgspec

from vassal import packets
from vassal.generation import Generation, Health
from vassal.master import backlog
from vassal.master.crew import Worker, WorkerState
from vassal.master.molds import MoldProcess
from vassal.master.probe import Probe
from vassal.master.rescue import Held, answer_lost, hold
from vassal.messages import WorkerDescription
from vassal.runtime import frames, scoreboard
from vassal.runtime.app_counts import AppCounts, names_of
from vassal.runtime.cache_counts import CacheCounts
from vassal.runtime.cache_options import CacheError, CacheWish, caches_wanted
from vassal.runtime.layout import Layout

# A worker and its successor are there at the same time while one replaces the other.
SUCCESSORS = 2

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class WorkerProcess:
    """A worker's channel and dump pipe, and its pid and pidfd once it said hello.

    `probe` is the question that it has to answer before it serves; `held` are requests that
    go with it when it is killed. Owns all its descriptors.
    """

    def __init__(
        self, number: int, channel: socket.socket, dump_fd: int, probe: Probe | None
    ) -> None:
        self.number = number
        self.channel = channel
        self.dump_fd = dump_fd
        self.probe = probe
        self.pid = 0
        self.pidfd = -1
        self.held: list[Held] = []

    def close(self) -> None:
        self.channel.close()
        for held in self.held:
            if held.client is not None:
                held.client.close()
        os.close(self.dump_fd)
        if self.probe is not None:
            self.probe.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


class Workforce:
    """One generation's resources. Owns the descriptors it is given: its listeners, those of
    its statistics, and perhaps a socket for sock_diag behind them."""

    def __init__(self, generation: Generation, fds: list[int]) -> None:
        self.generation = generation
        self.listeners = fds[: len(generation.listeners)]
        others = fds[len(generation.listeners) :]
        self.stats_listeners = others[: len(generation.stats)]
        self._diag = others[len(generation.stats) :]
        self.capacity = generation.workers * SUCCESSORS
        self.slots = self.capacity * generation.threads
        layout = layout_of(generation, self.slots)
        self.memory_fd, self.memory = _new_scoreboard(layout.size)
        self._by_app = AppCounts(self.memory, layout) if layout.apps > 1 else None
        self._caches = [
            CacheCounts(self.memory, layout.cache_at(number)) for number in range(layout.caches)
        ]
        scoreboard.set_memory_max(self.memory, generation.memory_max_bytes)
        self.mold: MoldProcess | None = None
        self.load_s = 0  # as its mold says; with lazy_apps nobody does
        self.processes: dict[int, WorkerProcess] = {}

    def free_number(self) -> int | None:
        """Return the lowest worker number that is not taken; None = all are."""
        return next((n for n in range(1, self.capacity + 1) if n not in self.processes), None)

    def pids(self) -> list[int]:
        """Return the pids of mold and workers, as far as they are known."""
        molds = [self.mold.pid] if self.mold is not None else []
        return molds + [process.pid for process in self.processes.values() if process.pid]

    def change_limits(self, rlimits: dict[str, tuple[int, int]], memory_max_bytes: int) -> bool:
        """Let molds to come, and workers that recycle themselves, know these limits; return
        whether they are others than before."""
        before = self.generation
        confinement = msgspec.structs.replace(before.confinement, rlimits=rlimits)
        self.generation = msgspec.structs.replace(
            before, confinement=confinement, memory_max_bytes=memory_max_bytes
        )
        scoreboard.set_memory_max(self.memory, memory_max_bytes)
        return self.generation != before

    def slots_of(self, number: int) -> range:
        """Return the scoreboard slots of worker `number`, one a thread."""
        threads = self.generation.threads
        return range((number - 1) * threads, number * threads)

    def ask_for_worker(
        self, number: int, seat: int = 0, health: Health | None = None
    ) -> WorkerProcess:
        """Claim the slots of `number` and tell the mold to fork; with `health`, to be probed.

        Raises OSError (PeerGone, BlockingIOError among them) with nothing claimed.
        """
        if self.mold is None:
            raise packets.PeerGone("no mold")
        ours, theirs = packets.pair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # The worker's end blocks: it waits in epoll, and its few messages must not be lost.
        theirs.setblocking(True)
        dump_read, dump_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        probe = Probe(health) if health is not None else None
        process = WorkerProcess(number, ours, dump_read, probe)
        fds = [theirs.fileno(), dump_write]
        fds += [probe.worker_fd] if probe is not None else []
        for slot in self.slots_of(number):
            scoreboard.claim_slot(self.memory, slot, number)
        first = str(self.slots_of(number).start)
        fields = {"worker": str(number), "seat": str(seat), "first_slot": first}
        try:
            frame = frames.encode(frames.FORK, fields)
            packets.send(self.mold.channel, frame, fds)
        except OSError:
            process.close()
            raise
        finally:
            theirs.close()
            os.close(dump_write)
        if probe is not None:
            probe.hand_over()
        self.processes[number] = process
        return process

    def release(self, number: int) -> None:
        """Forget a worker that is gone: close its descriptors, free its slots."""
        self.processes.pop(number).close()
        for slot in self.slots_of(number):
            scoreboard.free_slot(self.memory, slot)

    def hold_clients(self, number: int, but: Collection[int] = ()) -> None:
        """Keep the clients of worker `number`, which is about to be killed, but for some slots'."""
        process = self.processes[number]
        if process.held or process.pidfd < 0:
            return  # it is killed again: it may have begun to die
        process.held = [
            hold(process.pidfd, reading)
            for reading in self.readings([number])
            if reading.state in scoreboard.RUNNING and reading.index not in but
        ]

    def answer_held(self, number: int) -> list[tuple[scoreboard.SlotReading, bool]]:
        """Answer the clients of worker `number`, which has ended; return whose requests were
        lost, and whether they were told so."""
        process = self.processes[number]
        held, process.held = process.held, []
        answers = [
            (each.request, answer_lost(each, scoreboard.read_slot(self.memory, each.request.index)))
            for each in held
        ]
        return [(request, answered) for request, answered in answers if answered is not None]

    def waiting(self) -> int:
        """Return how many connections wait to be accepted."""
        return backlog.waiting(self.listeners, self._diag_fd())

    def queues(self) -> list[backlog.Queue]:
        """Return the queue of each listener."""
        diag_fd = self._diag_fd()
        return [backlog.queue(fd, diag_fd) for fd in self.listeners]

    def _diag_fd(self) -> int | None:
        return next(iter(self._diag), None)

    def readings(self, numbers: Iterable[int]) -> list[scoreboard.SlotReading]:
        """Return the slots of these workers as they are now."""
        return [
            scoreboard.read_slot(self.memory, slot)
            for number in numbers
            for slot in self.slots_of(number)
        ]

    def app_counts(self, number: int) -> list[tuple[int, int]]:
        """Return requests and exceptions by application as worker `number` and who had its slots
        before have counted them; empty where there is one application."""
        return self._by_app.read(self.slots_of(number)) if self._by_app is not None else []

    def cache_counts(self) -> list[tuple[int, int, int, int, int]]:
        """Return what each cache of uWSGI's API has counted, in the order of the options."""
        return [one.read() for one in self._caches]

    def busy_slots(self) -> list[int]:
        """Return the slots of live workers in which a request runs."""
        return [
            slot
            for number in self.processes
            for slot in self.slots_of(number)
            if scoreboard.read_state(self.memory, slot) in scoreboard.RUNNING
        ]

    def worker_of(self, slot: int) -> int:
        """Return the number of the worker that slot `slot` was claimed for."""
        return slot // self.generation.threads + 1

    def close(self) -> None:
        """Close everything; the mold and any worker left see their channels end."""
        for number in list(self.processes):
            self.release(number)
        if self.mold is not None:
            self.mold.close()
            self.mold = None
        packets.close_all(self.listeners)
        packets.close_all(self.stats_listeners)
        packets.close_all(self._diag)
        self.memory.close()
        os.close(self.memory_fd)


def describe(
    workforce: Workforce, workers: Iterable[Worker], harakiris: dict[int, int], now: float
) -> list[WorkerDescription]:
    """Return the description of these workers, a row a thread. `now` is monotonic seconds."""
    rows = []
    for worker in workers:
        process = workforce.processes[worker.number]
        for reading in workforce.readings([worker.number]):
            busy = reading.state in scoreboard.RUNNING
            state = "busy" if busy else "idle"
            if worker.state is not WorkerState.READY:
                state = worker.state.value
            rows.append(
                WorkerDescription(
                    slot=reading.index + 1,
                    worker=worker.number,
                    generation=workforce.generation.number,
                    ns_pid=process.pid,
                    state=state,
                    requests=reading.requests,
                    exceptions=reading.exceptions,
                    harakiris=harakiris.get(worker.number, 0),
                    bytes_sent=reading.bytes_sent,
                    running_s=reading.running_ns / 1e9,
                    age_s=now - worker.since,
                    method=reading.method if busy else "",
                    uri=reading.uri if busy else "",
                    request_s=max(0.0, now - reading.started_ns / 1e9) if busy else 0.0,
                )
            )
    return rows


def caches_of(generation: Generation) -> list[CacheWish]:
    """Return the caches that a generation has; none if its mold will refuse them."""
    try:
        return caches_wanted(generation.uwsgi_options) if generation.uwsgi_api else []
    except CacheError:
        return []


def layout_of(generation: Generation, slots: int) -> Layout:
    """Return how the memory of a generation with so many slots is laid out."""
    apps = names_of(generation.app, generation.mounts)
    return Layout(slots, len(apps), len(caches_of(generation)))


def load_frame(
    generation: Generation,
    listeners: list[int],
    slots: int,
    die_with_master: bool,
    parser_fd: int,
    parser_name: str,
    raw_harakiri: bool = False,
    requests_fd: int = 2,
    memory_files: int = 0,
) -> bytes:
    """Return the frame that tells a mold what to load. `parser_name` "" = there is none;
    `requests_fd` is where lines about requests go.

    The frame goes with the scoreboard, the listeners and, where workers are to watch
    the memory of their cgroup, its `memory_files`, as many of MEMORY_FILES.
    """
    described = []
    for fd, listener in zip(listeners, generation.listeners, strict=True):
        with socket.socket(fileno=os.dup(fd)) as copy:
            described.append(f"{listener.protocol} {int(copy.family)}")
    fields = {
        "app": generation.app,
        "slots": str(slots),
        "apps": str(len(names_of(generation.app, generation.mounts))),
        "mounts": frames.encode_table(generation.mounts),
        "static": frames.encode_table(generation.static),
        "static_index": frames.encode_list(list(generation.static_index)),
        "check_static": frames.encode_list(list(generation.check_static)),
        "directory": generation.directory,
        "pythonpath": frames.encode_list(list(generation.pythonpath)),
        "lazy_apps": "1" if generation.lazy_apps else "",
        "worker_cpus": str(generation.worker_cpus),
        "listeners": frames.encode_list(described),
        "threads": str(generation.threads),
        "workers": str(generation.workers),
        "harakiri_s": str(generation.harakiri_s),
        "harakiri_max_s": str(generation.harakiri_max_s),
        "harakiri_soft_s": str(generation.harakiri_soft_s),
        "socket_timeout_s": str(generation.socket_timeout_s),
        "keepalive_timeout_s": str(generation.keepalive_timeout_s),
        "max_requests": str(generation.max_requests),
        "max_requests_jitter": str(generation.max_requests_jitter),
        "max_worker_lifetime_s": str(generation.max_worker_lifetime_s),
        "reload_on_rss_bytes": str(generation.reload_on_rss_bytes),
        "reload_on_as_bytes": str(generation.reload_on_as_bytes),
        "autoreload_s": str(generation.autoreload_s),
        "head_bytes_max": str(generation.head_bytes_max),
        "body_bytes_max": str(generation.body_bytes_max),
        "procname": generation.procname,
        "uwsgi_api": "1" if generation.uwsgi_api else "",
        "uwsgi_options": frames.encode_list(
            [word for pair in generation.uwsgi_options for word in pair]
        ),
        "access_log": _access_log(generation),
        "requests_fd": str(requests_fd),
        "log_date": generation.log.date,
        "die_with_master": "1" if die_with_master else "",
        "parser_fd": str(parser_fd),
        "parser_name": parser_name,
        "raw_harakiri": "1" if raw_harakiri else "",
        "memory_files": str(memory_files),
    }
    return frames.encode(frames.LOAD, fields)


def _access_log(generation: Generation) -> str:
    log = generation.access_log
    if log is None:
        return ""
    conditions = ["1" if log.log_4xx else "", "1" if log.log_5xx else ""]
    return frames.encode_list([log.format, *conditions, str(log.log_slow_s or "")])


def _new_scoreboard(size: int) -> tuple[int, mmap.mmap]:
    """Return a sealed memory file of so many bytes: no tenant can cut it under our feet."""
    fd = os.memfd_create("emperord-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd, mmap.mmap(fd, size)
