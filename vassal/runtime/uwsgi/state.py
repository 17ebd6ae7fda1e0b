"""What stands behind the `uwsgi` module: the vassal as one of its processes knows it."""

from __future__ import annotations

import os
import struct

from .. import frames, scoreboard
from ..app_counts import AppCounts, names_of
from ..cache_counts import CacheCounts
from ..cache_options import caches_wanted
from ..layout import Layout
from ..lock_count import LOCKS_MAX, lock_count
from .cache import Cache
from .locks import Locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any, Dict, List, Mapping, Tuple

_PID = struct.Struct("@IiI")


class State:
    """Made in the mold, shared by every worker. `options` are the file's, in their order."""

    def __init__(
        self, fields: Mapping[str, str], options: List[Tuple[str, str]], memory: mmap
    ) -> None:
        import mmap

        self.options = options
        self.threads = int(fields["threads"])
        self.workers = int(fields["workers"])
        self.log_date = fields.get("log_date", "")
        self.head_bytes_max = int(fields.get("head_bytes_max") or 32 * 1024)
        self.memory = memory
        self.locks = Locks()
        # Of each application the prefix, as the statistics have them.
        mounts = frames.decode_table(fields.get("mounts", ""))
        self.mounts = names_of(fields.get("app", ""), mounts)
        wanted = caches_wanted(options)
        layout = Layout(int(fields["slots"]), len(self.mounts), len(wanted))
        self.slots = layout.slots
        self.counts = AppCounts(memory, layout)
        self.load_s = 0
        self.lock_count = lock_count(options)
        self.caches = {
            wish.name: Cache(
                wish, self.locks, LOCKS_MAX + number, CacheCounts(memory, layout.cache_at(number))
            )
            for number, wish in enumerate(wanted)
        }
        self.worker = 0  # 0 = this is the mold
        self.has_master = fields["mode"] != "solo"
        self.master = os.getppid() if self.has_master else 0
        self.channel: int | None = None
        # The scoreboard has no pids: the master knows them, and nobody else has to believe them.
        self._born = mmap.mmap(-1, (self.slots // self.threads + 1) * _PID.size)

    def become_worker(self, worker: int, channel: int | None, now: int) -> None:
        """This process is a worker from now on; `channel` leads to the master."""
        self.worker = worker
        self.channel = channel
        if self.has_master:
            self.master = os.getppid()
        births = self.born(worker)[2]
        _PID.pack_into(self._born, worker * _PID.size, now, os.getpid(), births + 1)

    def readings(self) -> Dict[int, List[scoreboard.SlotReading]]:
        """Return the slots of every worker that is there, by its number."""
        found: Dict[int, List[scoreboard.SlotReading]] = {}
        for slot in range(self.slots):
            reading = scoreboard.read_slot(self.memory, slot)
            if reading.state != scoreboard.FREE and reading.worker:
                found.setdefault(reading.worker, []).append(reading)
        return found

    def requests(self) -> int:
        """Return how many requests were served, by those too that have gone since."""
        slots = [scoreboard.read_slot(self.memory, slot) for slot in range(self.slots)]
        return sum(map(scoreboard.requests_of, slots))

    def born(self, worker: int) -> Tuple[int, int, int]:
        """Return when a worker was born, in Unix seconds, its pid, and how many have had its
        number."""
        return _PID.unpack_from(self._born, worker * _PID.size)

    def ask_for_reload(self) -> bool:
        """Ask the master for new code; return whether that was possible."""
        if self.channel is None:
            return False
        import _socket

        master = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, self.channel)
        try:
            master.send(frames.encode(frames.RELOAD), _socket.MSG_DONTWAIT)
        except OSError:
            return False
        finally:
            master.detach()
        return True


def option_table(options: List[Tuple[str, str]]) -> Dict[str, Any]:
    """Return `uwsgi.opt`: of two of one name the last, as bytes.

    What is always so is said to be: software warns where it is not.
    """
    found: Dict[str, Any] = {"enable-threads": True, "py-call-uwsgi-fork-hooks": True}
    for name, value in options:
        found[name] = value.encode("utf-8", "surrogateescape")
    return found
