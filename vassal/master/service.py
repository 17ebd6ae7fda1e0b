"""A master as the emperor's servant: born confined, takes orders over its channel."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

import msgspec
import prctl

from limits import signals
from limits.apply import StepFailed, apply
from limits.confinement import Confinement
from limits.facts import HostFacts, probe
from limits.fds import close_all_fds_except
from limits.plan import plan
from limits.process_title import set_title
from limits.steps import Step
from vassal import packets
from vassal.encoding import MessageError, decode_to_master, encode
from vassal.failure import Failure
from vassal.generation import Generation
from vassal.loop import Loop
from vassal.master.lines import LINE_BYTES_MAX, story
from vassal.master.master import Master, MasterState
from vassal.master.mold_hands import Means
from vassal.master.output import Output
from vassal.master.remote import HEARABLE, Remote
from vassal.messages import (
    MASTER_PROCS,
    WORKLOAD_PROCS,
    BirthFailed,
    Born,
    ChangeLimits,
    Describe,
    GenerationFailed,
    GrantWorkers,
    Message,
    Note,
    Ping,
    Pong,
    ReopenLogs,
    Resume,
    StandBy,
    StartGeneration,
    Stop,
)

BIRTH_FAILED = 70
"""Exit status (EX_SOFTWARE) of a child that could not be confined."""

UNTOLD_MAX = 100
RETRY_S = 0.5
ORPHANED_STOP_S = 30.0


def become_master(
    channel: socket.socket,
    vassal: str,
    confinement: bytes,
    facts: HostFacts,
    means: Means,
    cgroup: dict[str, int],
) -> NoReturn:
    """Turn this freshly forked child into the master of `vassal`; the process ends here.

    Called with all signals blocked. Nothing of the parent but the channel, standard
    error, the means and the files of `cgroup` stays open. `facts` are the spawner's:
    probed once, they need not be probed again in every child.
    """
    status = BIRTH_FAILED
    try:
        signal.set_wakeup_fd(-1)
        keep = [2, channel.fileno(), means.runtime_fd]
        keep += [] if means.parser_fd is None else [means.parser_fd]
        keep += cgroup.values()
        close_all_fds_except(keep)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)
        # A worker is forked twice, so that its parent becomes this process.
        prctl.set_child_subreaper(1)
        prctl.set_name(f"master {vassal}"[:15])
        set_title(f"emperor: master of {vassal}")
        unsupported = _confine(channel, confinement, facts, cgroup)
        if unsupported is not None:
            packets.send(channel, encode(Born(unsupported=unsupported)))
            # Inside a PID namespace the kernel does it, and ctypes costs a worker 1 MB.
            in_namespace = facts.can_pid_namespace
            means = msgspec.structs.replace(means, die_with_master=not in_namespace, cgroup=cgroup)
            status = Service(channel, vassal, means).run()
    except BaseException:
        # Nobody catches it, and nobody but this log will ever know.
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def steps_for(generation: Generation) -> tuple[Sequence[Step], tuple[str, ...]]:
    """Return the limits that a mold is put under, and what of them this host cannot do."""
    if generation.confinement == Confinement():
        return (), ()
    planned = plan(generation.confinement, probe())
    return planned.steps, tuple(f"{item.key}: {item.reason}" for item in planned.unsupported)


IGNORED = (*HEARABLE, signal.SIGUSR2, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH)


class Service:
    """Connects a Master with the emperor's channel until there is nothing left to do."""

    def __init__(self, channel: socket.socket, vassal: str, means: Means) -> None:
        self._channel = channel
        self._loop = Loop()
        self._untold: deque[bytes] = deque(maxlen=UNTOLD_MAX)
        output = Output(self._loop, vassal)
        self._output = output
        self.master = Master(self._loop, output, means, self._tell, steps_for)
        self._remote = Remote(self._loop, output, self.master, self._tell)

    def run(self) -> int:
        """Serve orders; return the exit status."""
        # Orders come over the channel. Signals that a master does not handle cannot
        # reach PID 1 of a namespace from inside it; `remote` handles those of uWSGI's, where
        # the file is uWSGI's, and they ask for nothing that the tenant may not have.
        for signum in IGNORED:
            signal.signal(signum, signal.SIG_IGN)
        self._loop.handle_signals([signal.SIGCHLD], lambda signum: self.master.reap())
        signals.set_mask()
        self._loop.watch(self._channel.fileno(), self._on_order)
        while True:
            sleeps = [self.master.act(), self._remote.act()]
            self._retell()
            if self.master.state is MasterState.DONE:
                self._remote.close()
                return 0
            if self._untold:
                sleeps.append(RETRY_S)
            self._loop.turn(min((each for each in sleeps if each is not None), default=None))

    def close(self) -> None:
        """Close all that this object opened, and the channel. Only a rehearsal ends so."""
        self._loop.close()
        self._output.close()
        self._channel.close()

    def _on_order(self) -> None:
        try:
            packet = packets.receive(self._channel)
        except BlockingIOError:
            return
        except packets.PeerGone:
            # Emperor and spawner are both gone: nobody could ever steer this master again.
            self._loop.unwatch(self._channel.fileno())
            self._untold.clear()
            self.master.stop(ORPHANED_STOP_S)
            return
        try:
            order = decode_to_master(packet.data)
        except MessageError:
            packets.close_all(packet.fds)
            return
        if isinstance(order, StartGeneration):
            self.master.start_generation(order.generation, packet.fds)
            return
        packets.close_all(packet.fds)
        if isinstance(order, Stop):
            self.master.stop(order.timeout_s)
        elif isinstance(order, StandBy):
            self.master.stand_by()
        elif isinstance(order, Resume):
            self.master.resume()
        elif isinstance(order, ChangeLimits):
            self.master.change_limits(order)
        elif isinstance(order, GrantWorkers):
            self.master.staffing.grant(order.workers, order.why)
        elif isinstance(order, Note):
            self._output.emit(order.line[:LINE_BYTES_MAX])
        elif isinstance(order, Describe):
            self._tell(self.master.describe())
        elif isinstance(order, ReopenLogs):
            self.master.reopen_logs(order.rotate)
        elif isinstance(order, Ping):
            self._tell(Pong())

    def _tell(self, message: Message) -> None:
        if isinstance(message, GenerationFailed):
            for line in story(message):
                self._output.emit(line)
        try:
            self._untold.append(encode(message))
        except MessageError:
            return  # larger than a packet: nothing an emperor could not ask for again
        self._retell()

    def _retell(self) -> None:
        with contextlib.suppress(BlockingIOError, packets.PeerGone):
            while self._untold:
                packets.send(self._channel, self._untold[0])
                self._untold.popleft()


def _confine(
    channel: socket.socket, confinement: bytes, facts: HostFacts, cgroup: dict[str, int]
) -> tuple[str, ...] | None:
    """Apply the confinement; on failure tell the emperor and return None.

    The cgroup namespace is made inside the workload's cgroup, so that the application
    sees that one as the root. The master itself moves out of it again: its own work is
    not to wait for a quota that the tenant has used up.
    """
    try:
        wanted = msgspec.json.decode(confinement, type=Confinement)
        planned = plan(wanted, facts)
        _join(cgroup.get(WORKLOAD_PROCS))
        apply(planned.steps)
        if MASTER_PROCS in cgroup:
            procs_fd = cgroup.pop(MASTER_PROCS)
            _join(procs_fd)
            os.close(procs_fd)
    except (StepFailed, msgspec.DecodeError, OSError) as error:
        failure = Failure(kind="birth", message=str(error), at=time.time())
        packets.send(channel, encode(BirthFailed(failure=failure)))
        return None
    return tuple(f"{item.key}: {item.reason}" for item in planned.unsupported)


def _join(procs_fd: int | None) -> None:
    """Move this process into the cgroup whose cgroup.procs this is; None = there is none.

    The kernel asks whoever opened the file for permission: it works after the uid change.
    """
    if procs_fd is not None:
        try:
            os.write(procs_fd, b"0")
        except OSError as error:
            raise OSError(error.errno, f"join the cgroup: {error.strerror}") from error
