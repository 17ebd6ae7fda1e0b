"""uWSGI's own line about a request, which it writes where its file has no log-format.

fail2ban and log shippers take it apart: each field is where uWSGI has it, and is a number where
uWSGI has one.
"""

from __future__ import annotations

import os
import struct

from . import log_format, scoreboard
from .app_counts import AppCounts
from .mounts import NUMBER
from .process_memory import memory_of
from .wsgi import STATIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, FrozenSet

    from .access_log import Place

_LINE = (
    "%(memory)[pid: %(pid)|app: %(app)|req: %(req)/%(reqs)] %(addr) (%(user))"
    " {%(vars) vars in %(pktsize) bytes} [%(ctime)] %(method) %(uri)"
    " => generated %(rsize) bytes in %(took)%(via)(%(proto) %(status))"
    " %(headers) headers in %(hsize) bytes (%(switches) switches on core %(core))"
)
_MEMORY = "{address space usage: %d bytes/%dMB} {rss usage: %d bytes/%dMB} "
_MB = 1024 * 1024
_NO_APP = -1
_LENGTHS = 4
"""Bytes of the two lengths that a variable has in the uwsgi protocol."""


def text_of(words: FrozenSet[str]) -> str:
    """Return the line as a format of variables, of which values() has those of its own."""
    took = "%(micros) micros" if log_format.MICROS in words else "%(msecs) msecs"
    memory = "%(memory)" if log_format.MEMORY in words else ""
    return _LINE.replace("%(took)", took).replace("%(memory)", memory)


def values(place: Place | None) -> Dict[str, Callable[[Any], Any]]:
    """Return what else the line needs, each as a function of the response."""
    counts = _Counts(place) if place is not None else None
    alone = place is None or place.layout.apps == 1
    return {
        "memory": lambda response: _memory(),
        "app": lambda response: _app(response, alone),
        "req": lambda response: counts.of_app(_app(response, alone)) if counts is not None else 1,
        "reqs": lambda response: counts.of_all() if counts is not None else 1,
        "pktsize": _size,
        "via": lambda response: " via sendfile() " if response.by_sendfile else " ",
        "status": lambda response: response.code(),
        # uWSGI's loop goes around once for each piece of an answer; here it is one.
        "switches": lambda response: int(not (response.failed or response.by_sendfile)),
    }


class _Counts:
    """How many requests there were, the one that is being written about among them."""

    def __init__(self, place: Place):
        self._memory = place.memory
        self._own = place.own
        self._by_app = AppCounts(place.memory, place.layout) if place.layout.apps > 1 else None
        # Of each slot what it has counted, and what was counted in it before: in one reading.
        before = scoreboard.BEFORE_AT - scoreboard.TOTALS_AT - 8
        rest = scoreboard.SLOT_BYTES - scoreboard.BEFORE_AT - 8
        slot = "%dxQ%dxQ%dx" % (scoreboard.TOTALS_AT, before, rest)
        self._all = struct.Struct("=" + slot * place.layout.slots)

    def of_all(self) -> int:
        """Return how many all workers have served."""
        found: int = sum(self._all.unpack_from(self._memory, scoreboard.HEADER_BYTES))
        return 1 + found

    def of_app(self, number: int) -> int:
        """Return how many an application had from this worker: they count as they begin."""
        if number == _NO_APP:
            return _NO_APP
        if self._by_app is not None:
            of_each = self._by_app.read(self._own)
            return 1 + of_each[number][0] if number < len(of_each) else _NO_APP
        slots = [scoreboard.read_slot(self._memory, slot) for slot in self._own]
        running = sum(slot.state in scoreboard.RUNNING for slot in slots)
        served = sum(map(scoreboard.requests_of, slots))
        return running + served - sum(map(scoreboard.statics_of, slots))


def _app(response: Any, alone: bool) -> int:
    """Return the number of the application; -1 = a file answered, or nobody has this path."""
    environ = response.environ()
    number = environ.get(NUMBER, 0 if alone else _NO_APP)
    # The application may have written another one there.
    if type(number) is not int or number < 0 or STATIC in environ:
        return _NO_APP
    return number


def _size(response: Any) -> int:
    """Return how many bytes the request's variables take in the uwsgi protocol."""
    return sum(len(name) + len(value) + _LENGTHS for name, value in response.variables())


def _memory() -> str:
    resident, virtual = memory_of(os.getpid())
    return _MEMORY % (virtual, virtual // _MB, resident, resident // _MB)
