"""Serves one request that the master made up, before a new generation's first worker accepts.

It comes in the uwsgi protocol, whatever the vassal's listeners speak: the parser is small.
"""

from __future__ import annotations

import _socket

from .connection import Connection, first_bytes
from .listeners import Listener
from .wire.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .runner import Runner
    from .settings import WorkerSettings

_HEAD_BYTES_MAX = 16 * 1024


def answer_probe(fd: int, runner: Runner, settings: WorkerSettings) -> None:
    """Run the request that waits in `fd` through the application, and close `fd`."""
    listener = Listener(fd, "uwsgi", _socket.AF_UNIX, settings, multiprocess=True)
    connection = Connection(listener.socket, fd, listener, "")
    data = first_bytes(listener.socket, fd, _HEAD_BYTES_MAX) or b""
    try:
        found = listener.wire.parse(data, listener.base)
        if type(found) is Request:
            runner.run(connection, found)
    finally:
        connection.close()
