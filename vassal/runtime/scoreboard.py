"""The scoreboard: one cache-line-aligned slot per worker thread in shared memory.

The worker writes, the master reads. Slots are writable by the tenant, so a reader must
use them for timing and display only. One field table below; every offset is derived.

A request is begun and ended with a single pack each, because this is the hot path: four of
them for the end were 6 % of all that a request behind nginx costs.
Native alignment makes every 8-byte field one store, and x86 and arm64 never show half
of one.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # typing costs a mold 0.7 MB
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Tuple, Union

    Memory = Union[mmap, memoryview]

FREE, IDLE, IN_APP, RESPONDING = 0, 1, 2, 3
"""Slot states. IN_APP: the app was called and nothing was sent to the client yet."""

RUNNING = (IN_APP, RESPONDING)
"""The states in which a request runs."""

PROTOCOLS = ("http", "uwsgi", "fastcgi", "scgi")
"""The `protocol` field is an index into this tuple."""

CACHE_LINE = 64
METHOD_BYTES = 16
URI_BYTES = 200

# name, struct code. BEGIN_FIELDS are written when a request begins; the last of them, and the
# totals behind those, when it ends; FORK_FIELDS once, at fork: what those counted who had the
# slot before is carried on. Times are CLOCK_MONOTONIC nanoseconds.
BEGIN_FIELDS: Tuple[Tuple[str, str], ...] = (
    ("client_fd", "i"),  # in the worker; -1 = none. The master answers 504 through it
    ("protocol", "I"),
    ("stream_id", "I"),  # FastCGI request id, else 0
    ("request_id", "Q"),  # counts requests of this slot; tells one request from the next
    ("started_ns", "Q"),
    ("method", "%ds" % METHOD_BYTES),
    ("uri", "%ds" % URI_BYTES),
    ("deadline_ns", "Q"),  # 0 = none
    ("soft_deadline_ns", "Q"),  # 0 = none
    ("state", "I"),
)
TOTAL_FIELDS: Tuple[Tuple[str, str], ...] = (
    ("requests", "Q"),
    ("exceptions", "Q"),
    ("bytes_sent", "Q"),
    ("running_ns", "Q"),  # total time spent in requests
    ("statics", "Q"),  # requests that a file answered, not the application
)
FORK_FIELDS: Tuple[Tuple[str, str], ...] = (
    ("worker", "I"),
    ("requests_before", "Q"),
    ("exceptions_before", "Q"),
    ("bytes_sent_before", "Q"),
    ("running_ns_before", "Q"),
    ("statics_before", "Q"),
)

FIELDS = BEGIN_FIELDS + TOTAL_FIELDS + FORK_FIELDS


def _struct_of(fields: Tuple[Tuple[str, str], ...]) -> struct.Struct:
    return struct.Struct("@" + "".join(code for _, code in fields))


BEGIN = _struct_of(BEGIN_FIELDS)
TOTALS = _struct_of(TOTAL_FIELDS)
# Deadlines come first: a reader must never pair the next request with one of this.
END = _struct_of(BEGIN_FIELDS[-3:] + TOTAL_FIELDS)
SLOT = _struct_of(FIELDS)


def _offset_of(name: str) -> int:
    layout = "@"
    for field, code in FIELDS:
        if field == name:
            # A zero-count code adds the padding that the field's alignment needs.
            return struct.calcsize(layout + "0" + code[-1])
        layout += code
    raise KeyError(name)


STATE_AT = _offset_of("state")
DEADLINE_AT = _offset_of("deadline_ns")
SOFT_DEADLINE_AT = _offset_of("soft_deadline_ns")
END_AT = DEADLINE_AT
TOTALS_AT = _offset_of("requests")
WORKER_AT = _offset_of("worker")
BEFORE_AT = _offset_of("requests_before")

SLOT_BYTES = -(-SLOT.size // CACHE_LINE) * CACHE_LINE

# The header is one cache line: the wake flag. The master raises it before it sleeps
# without a deadline; the worker that begins a request while it is up clears it and
# sends one WAKE over its channel. Behind it, the memory limit of the vassal's cgroup in
# bytes, 0 = none, for workers that recycle themselves before it is reached.
HEADER_BYTES = CACHE_LINE
WAKE_FLAG_AT = 0
MEMORY_MAX_AT = 8

U32 = struct.Struct("@I")
U64 = struct.Struct("@Q")
_U64_MAX = (1 << 64) - 1


def size_for(slots: int) -> int:
    """Return the bytes that a scoreboard of this many slots takes; app_counts are behind it."""
    return HEADER_BYTES + slots * SLOT_BYTES


def slot_offset(index: int) -> int:
    """Return where slot `index` (from 0) begins."""
    return HEADER_BYTES + index * SLOT_BYTES


class SlotReading:
    """One slot as it was at one instant. Every value is a tenant's word."""

    __slots__ = tuple(name for name, _ in FIELDS) + ("index",)
    index: int
    state: int
    client_fd: int
    protocol: int
    stream_id: int
    request_id: int
    started_ns: int
    deadline_ns: int
    soft_deadline_ns: int
    method: str
    uri: str
    requests: int
    exceptions: int
    bytes_sent: int
    running_ns: int
    statics: int
    worker: int
    requests_before: int
    exceptions_before: int
    bytes_sent_before: int
    running_ns_before: int
    statics_before: int


def read_slot(memory: Memory, index: int) -> SlotReading:
    """Return a copy of slot `index`; text fields are decoded as latin-1."""
    reading = SlotReading()
    reading.index = index
    values = SLOT.unpack_from(memory, slot_offset(index))
    for (name, code), value in zip(FIELDS, values):
        if code[-1] == "s":
            value = value.split(b"\0", 1)[0].decode("latin-1")
        setattr(reading, name, value)
    return reading


def requests_of(reading: SlotReading) -> int:
    """Return how many requests were served in a slot, by all who have had it."""
    return reading.requests + reading.requests_before


def statics_of(reading: SlotReading) -> int:
    """Return how many of them a file answered."""
    return reading.statics + reading.statics_before


def read_state(memory: Memory, index: int) -> int:
    """Return only the state of slot `index`."""
    state: int = U32.unpack_from(memory, slot_offset(index) + STATE_AT)[0]
    return state


def claim_slot(memory: Memory, index: int, worker: int) -> None:
    """Zero slot `index` and give it to worker number `worker`, idle.

    What was counted in it so far, by whoever had it, is kept as what came before.
    """
    at = slot_offset(index)
    counted = TOTALS.unpack_from(memory, at + TOTALS_AT), TOTALS.unpack_from(memory, at + BEFORE_AT)
    memory[at : at + SLOT_BYTES] = bytes(SLOT_BYTES)
    # Wraps where a tenant has written nonsense.
    TOTALS.pack_into(memory, at + BEFORE_AT, *((a + b) & _U64_MAX for a, b in zip(*counted)))
    U32.pack_into(memory, at + WORKER_AT, worker)
    U32.pack_into(memory, at + STATE_AT, IDLE)


def free_slot(memory: Memory, index: int) -> None:
    """Mark slot `index` as nobody's."""
    U32.pack_into(memory, slot_offset(index) + STATE_AT, FREE)


class SlotWriter:
    """A worker thread's hand on its own slot.

    Not thread-safe: one thread, one writer. `deadline_ns` and `soft_deadline_ns` are
    limits in nanoseconds, 0 = none.
    """

    def __init__(self, memory: Memory, index: int, harakiri_ns: int, soft_harakiri_ns: int):
        self._memory = memory
        self._at = slot_offset(index)
        self._end_at = self._at + END_AT
        self.harakiri_ns = harakiri_ns
        self.soft_harakiri_ns = soft_harakiri_ns
        self.request_id = 0
        self.started_ns = 0
        self.requests = 0
        self.exceptions = 0
        self.bytes_sent = 0
        self.running_ns = 0
        self.statics = 0

    def begin(
        self,
        now_ns: int,
        method: bytes,
        uri: bytes,
        client_fd: int,
        protocol: int,
        stream_id: int = 0,
    ) -> bool:
        """Publish the request that starts now; return whether the master must be woken."""
        self.request_id += 1
        self.started_ns = now_ns
        limit, soft = self.harakiri_ns, self.soft_harakiri_ns
        BEGIN.pack_into(
            self._memory,
            self._at,
            client_fd,
            protocol,
            stream_id,
            self.request_id,
            now_ns,
            method,
            uri,
            now_ns + limit if limit else 0,
            now_ns + soft if soft else 0,
            IN_APP,
        )
        if self._memory[WAKE_FLAG_AT]:
            self._memory[WAKE_FLAG_AT] = 0
            return True
        return False

    def responding(self) -> None:
        """Publish that bytes have gone to the client: nobody else may answer now."""
        U32.pack_into(self._memory, self._at + STATE_AT, RESPONDING)

    @property
    def deadline_ns(self) -> int:
        """When the running request is overdue; 0 = never."""
        deadline: int = U64.unpack_from(self._memory, self._at + DEADLINE_AT)[0]
        return deadline

    def set_deadline(self, deadline_ns: int) -> None:
        """Replace the deadline of the running request. The caller tells the master."""
        U64.pack_into(self._memory, self._at + DEADLINE_AT, deadline_ns)

    def end(self, now_ns: int, bytes_sent: int, failed: bool, static: bool = False) -> None:
        """Publish that the request is over and add it to the slot's totals.

        `static`: a file answered it, and not the application.
        """
        self.requests += 1
        if failed:
            self.exceptions += 1
        self.bytes_sent += bytes_sent
        self.running_ns += now_ns - self.started_ns
        if static:
            self.statics += 1
        END.pack_into(
            self._memory,
            self._end_at,
            0,
            0,
            IDLE,
            self.requests,
            self.exceptions,
            self.bytes_sent,
            self.running_ns,
            self.statics,
        )


def raise_wake_flag(memory: Memory) -> None:
    """Ask the next worker that begins a request to wake the master."""
    memory[WAKE_FLAG_AT] = 1


def lower_wake_flag(memory: Memory) -> None:
    """Take the wish for a wake-up back."""
    memory[WAKE_FLAG_AT] = 0


def set_memory_max(memory: Memory, size_bytes: int) -> None:
    """Tell workers the memory limit of their cgroup; 0 = none."""
    U64.pack_into(memory, MEMORY_MAX_AT, size_bytes)


def memory_max(memory: Memory) -> int:
    """Return the memory limit of the cgroup in bytes; 0 = none."""
    size_bytes: int = U64.unpack_from(memory, MEMORY_MAX_AT)[0]
    return size_bytes


def slots_of(memory: Memory, slots: int) -> Tuple[SlotReading, ...]:
    """Return every slot that is not free."""
    return tuple(
        read_slot(memory, index) for index in range(slots) if read_state(memory, index) != FREE
    )
