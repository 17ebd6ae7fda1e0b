"""A small epoll loop for the processes that fork: spawner and master.

Signal handlers only wake it: each signal is one byte in a pipe, handed to the callback
from the loop. No timers inside: the owner says at every turn how long to sleep.
"""

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable

Callback = Callable[[], object]

_READ_SIGNALS_MAX = 4096


class Loop:
    """Descriptors and signals to callbacks. Owns its epoll and its wake-up pipe only."""

    def __init__(self) -> None:
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._callbacks: dict[int, Callback] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._on_signal: Callable[[int], None] = lambda signum: None
        self.watch(self._wake_read, self._drain_signals)

    def watch(self, fd: int, callback: Callback, events: int = select.EPOLLIN) -> None:
        """Call `callback` whenever `fd` is ready; the owner unwatches before closing."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; unknown ones are ignored."""
        if self._callbacks.pop(fd, None) is not None:
            # Already closed descriptors have left the epoll set by themselves.
            with contextlib.suppress(FileNotFoundError, OSError):
                self._epoll.unregister(fd)

    def handle_signals(self, signals: Iterable[int], callback: Callable[[int], None]) -> None:
        """From now on report these signals to `callback`, from inside `turn`."""
        self._on_signal = callback
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for signum in signals:
            signal.signal(signum, _noticed)

    def turn(self, timeout_s: float | None) -> None:
        """Wait for at most `timeout_s` (None = for ever) and run what became ready."""
        for fd, _ in self._epoll.poll(timeout_s):
            # An earlier callback of this turn may have unwatched it.
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()

    def close(self) -> None:
        """Close the loop's own descriptors and leave signals without a wake-up pipe."""
        signal.set_wakeup_fd(-1)
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _drain_signals(self) -> None:
        try:
            received = os.read(self._wake_read, _READ_SIGNALS_MAX)
        except BlockingIOError:
            return
        for signum in sorted(set(received)):
            self._on_signal(signum)


def _noticed(signum: int, frame: object) -> None:
    """Only there so that the C handler writes the wake-up byte."""
