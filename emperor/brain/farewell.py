"""Connections that were answered, and whose clients may still be sending.

Closed before its client has sent what it meant to, a connection is broken for it, or reset: a web
server that has connected, and not written yet, would tell its own client 502 and not the answer.
"""

import asyncio
import contextlib
import socket

PATIENCE_S = 2.0
CLIENTS_MAX = 256
_READ_BYTES = 65536


class Farewells:
    """One event loop's. Reads what comes, and throws it away, until the client closes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends: dict[socket.socket, asyncio.TimerHandle] = {}  # the oldest first

    def say(self, client: socket.socket, answer: bytes) -> None:
        """Send an answer that fits into the socket's buffer; the socket is ours now."""
        try:
            client.setblocking(False)
            client.send(answer, socket.MSG_NOSIGNAL)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            client.close()
            return
        if len(self._ends) >= CLIENTS_MAX:
            self._end(next(iter(self._ends)))
        self._ends[client] = self._loop.call_later(PATIENCE_S, self._end, client)
        self._loop.add_reader(client, self._read, client)

    def close(self) -> None:
        """Wait for nobody any more."""
        for client in list(self._ends):
            self._end(client)

    def _read(self, client: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                more = client.recv(_READ_BYTES)
            except ConnectionError:
                more = b""
            if not more:
                self._end(client)

    def _end(self, client: socket.socket) -> None:
        self._ends.pop(client).cancel()
        self._loop.remove_reader(client)
        client.close()
