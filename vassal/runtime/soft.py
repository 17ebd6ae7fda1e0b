"""The soft timeout: an exception raised in the request, where the application is.

The master sends a signal when a soft deadline has passed; the signal handler runs in the
main thread and strikes every guard that is due. A guard is entered before the
application is called and left behind it, and between the two is the only place where
the exception can appear.
"""

from __future__ import annotations

import _thread
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


class HarakiriSoftTimeout(BaseException):
    """The request has run longer than harakiri_soft.

    A BaseException, so that an application's `except Exception` does not swallow it.
    """


class Guard:
    """Around the application, one per thread. `soft_ns` 0 = it is never to be entered."""

    def __init__(self, soft_ns: int):
        self.soft_ns = soft_ns
        self._lock = _thread.allocate_lock()
        self._thread = _thread.get_ident()
        self._in_app = False
        self._struck = False
        self._started_ns = 0

    def adopt(self) -> None:
        """Say that the calling thread is the one that runs requests under this guard."""
        self._thread = _thread.get_ident()

    def enter(self, started_ns: int) -> None:
        """The application is about to be called for the request that began at `started_ns`."""
        self._struck = False
        self._started_ns = started_ns
        self._in_app = True

    def leave(self) -> None:
        """The application is done: from here on nothing is raised. May be called again.

        A strike that came just before may still be raised by this call itself.
        """
        if self._in_app:
            self._in_app = False
            if self._struck:
                # Behind the lock nobody is about to strike any more; what was sent to this
                # thread and not yet raised is called back.
                with self._lock:
                    _set_async_exception(self._thread, None)

    def strike(self, now_ns: int) -> None:
        """Raise HarakiriSoftTimeout in the request, if it is due. Called in the main thread."""
        with self._lock:
            if not self._in_app or self._struck or now_ns - self._started_ns < self.soft_ns:
                return
            self._struck = True
            if self._thread != _thread.get_ident():
                _set_async_exception(self._thread, HarakiriSoftTimeout)
                return
        raise HarakiriSoftTimeout


def strike_all(guards: Iterable[Guard]) -> None:
    """Strike every guard; the main thread's own comes last, because its strike raises."""
    now_ns = time.monotonic_ns()
    here = _thread.get_ident()
    for guard in sorted(guards, key=lambda guard: guard._thread == here):
        guard.strike(now_ns)


def _set_async_exception(thread: int, exception: type[BaseException] | None) -> None:
    import ctypes  # only here: it costs a worker 1 MB

    reference = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), reference)
