"""Runs requests in one thread: its slot on the scoreboard, its deadlines, its guard."""

from __future__ import annotations

import time

from .app_counts import AppCounts
from .connection import for_ever
from .layout import Layout
from .mounts import NUMBER
from .scoreboard import SlotWriter
from .soft import Guard, HarakiriSoftTimeout
from .wsgi import STATIC, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from mmap import mmap
    from typing import Callable

    from .connection import Connection
    from .control import Control
    from .settings import WorkerSettings
    from .wire.request import Request
    from .wsgi import App
else:
    import _signal

_SECOND_NS = 1_000_000_000

GIVE_UP_NS = 100_000_000
"""So long before its deadline a request gives up a client that it waits for."""


class Runner:
    """One thread's hand on the application."""

    def __init__(
        self,
        app: App,
        settings: WorkerSettings,
        memory: mmap | memoryview,
        slot: int,
        control: Control | None,
    ):
        self._app = app
        self._control = control
        self._harakiri_ns = int(settings.harakiri_s * _SECOND_NS)
        self._limit_ns = max(self._harakiri_ns, int(settings.harakiri_max_s * _SECOND_NS))
        soft_ns = int(settings.harakiri_soft_s * _SECOND_NS)
        self._alarm_s = settings.harakiri_s if settings.raw_harakiri else 0.0
        self._raw = settings.raw_harakiri
        self._early_ns = min(GIVE_UP_NS, self._harakiri_ns // 10 or GIVE_UP_NS)
        self._slot = SlotWriter(memory, slot, self._harakiri_ns, soft_ns)
        self._index = slot
        layout = Layout(settings.slots, settings.apps, 0)
        self._by_app = AppCounts(memory, layout) if settings.apps > 1 else None
        self.guard = Guard(soft_ns)
        self._response: Callable[..., Response] = Response
        if settings.access_log:
            from .access_log import AccessLog, Place  # the mold has loaded it

            core = slot % settings.threads
            place = Place(memory, layout, range(slot - core, slot - core + settings.threads))
            fd = settings.requests_fd
            log = AccessLog(settings.access_log, settings.worker, core, fd, place)
            self._response = log.response
        self._core = slot % settings.threads if settings.tells_core else None
        # Made once: it goes into every environ.
        self._responding = self._slot.responding
        self._set_harakiri = self.set_harakiri
        self._seconds_left = self.seconds_left

    def run(self, connection: Connection, request: Request) -> str:
        """Serve one request; return what becomes of the connection."""
        slot = self._slot
        now_ns = time.monotonic_ns()
        listener = connection.listener
        wake = slot.begin(
            now_ns,
            request.method,
            request.uri,
            connection.fd,
            listener.number,
            request.stream_id,
        )
        if wake and self._control is not None:
            self._control.wake()
        if self._alarm_s:
            _signal.setitimer(_signal.ITIMER_REAL, self._alarm_s)
        connection.seconds_left = self._seconds_left
        request.environ["emperor.set_harakiri"] = self._set_harakiri
        if self._core is not None:
            request.environ["uwsgi.core"] = self._core
        response = self._response(connection, request, now_ns, self._responding)
        try:
            outcome = response.run(self._app, self.guard)
        except HarakiriSoftTimeout as error:  # struck while another exception was handled
            outcome = response.fail(error, self.guard)
        connection.seconds_left = for_ever
        if self._raw:
            _signal.setitimer(_signal.ITIMER_REAL, 0)
        if self._by_app is not None:
            self._by_app.add(self._index, request.environ.get(NUMBER), response.failed)
        is_static = STATIC in request.environ
        slot.end(time.monotonic_ns(), response.bytes_sent, response.failed, is_static)
        return outcome

    def seconds_left(self) -> float | None:
        """Return how long the running request may wait for its client; None = it has no deadline.

        A moment less than until the deadline: then the worker is killed.
        """
        deadline_ns = self._slot.deadline_ns
        if not deadline_ns:
            return None
        return (deadline_ns - self._early_ns - time.monotonic_ns()) / _SECOND_NS

    def set_harakiri(self, seconds: float) -> float:
        """Give the running request `seconds` from now; 0 = the vassal's harakiri again.

        In environ as "emperor.set_harakiri". Returns the seconds granted, 0.0 = as many as it
        takes. harakiri_max bounds them, counted from the request's start, and without it
        harakiri does; where both are off nothing does.
        """
        if not seconds >= 0:
            raise ValueError("set_harakiri wants seconds, 0 or more: %r" % (seconds,))
        now_ns = time.monotonic_ns()
        started_ns = self._slot.started_ns
        wanted_ns = int(min(seconds, 1e9) * _SECOND_NS) or self._harakiri_ns
        if not wanted_ns:
            self._slot.set_deadline(0)
            if self._raw:
                _signal.setitimer(_signal.ITIMER_REAL, 0)
            return 0.0
        deadline_ns = now_ns + wanted_ns
        if self._limit_ns:
            deadline_ns = min(deadline_ns, started_ns + self._limit_ns)
        granted_s = max(deadline_ns - now_ns, 1) / _SECOND_NS
        if self._raw:
            _signal.setitimer(_signal.ITIMER_REAL, granted_s)
        self._slot.set_deadline(deadline_ns)
        is_sooner = not self._harakiri_ns or deadline_ns < started_ns + self._harakiri_ns
        if is_sooner and self._control is not None:
            self._control.deadline()
        return granted_s
