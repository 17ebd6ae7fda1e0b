"""The signals that master, mold and worker agree on, and whose handlers are a worker's alone."""

from __future__ import annotations

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal  # `signal` imports enum, which costs a mold memory

SOFT_HARAKIRI_SIGNAL = _signal.SIGRTMAX - 3
"""Sent to a worker when a request has passed its soft deadline."""

STACK_DUMP_SIGNAL = _signal.SIGRTMAX - 2
"""Makes a worker write its Python stacks to the dump pipe; the mold registers it."""


def handle_alone(handlers: dict[int, Any], wakeup_fd: int) -> None:
    """Handle these signals in this process, and not in those that its application forks.

    A child of the application's that took SIGTERM for an order to finish its request would
    not end when it is told to, and multiprocessing.Pool waits for that without a limit.
    """
    before = {number: _signal.signal(number, handler) for number, handler in handlers.items()}
    # The handlers run between two bytecodes; what ends a sleep in epoll is this byte.
    _signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    masks: dict[int, set[int]] = {}  # by thread: of several, each may be forking

    def block() -> None:
        # Else a signal could come when the child still has our handlers, and be lost.
        masks[_thread.get_ident()] = _signal.pthread_sigmask(_signal.SIG_BLOCK, handlers)

    def unblock() -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, masks.pop(_thread.get_ident()))

    def forget() -> None:
        _signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            if _signal.getsignal(number) == handler:  # else it is the application's own
                _signal.signal(number, before[number] or _signal.SIG_DFL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=forget)
