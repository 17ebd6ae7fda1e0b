"""The signals that master, mold and worker agree on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # `signal` imports enum, which costs a mold memory

SOFT_HARAKIRI_SIGNAL = _signal.SIGRTMAX - 3
"""Sent to a worker when a request has passed its soft deadline."""

STACK_DUMP_SIGNAL = _signal.SIGRTMAX - 2
"""Makes a worker write its Python stacks to the dump pipe; the mold registers it."""
