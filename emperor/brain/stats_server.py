"""Tells the emperor's statistics at the addresses of emperor.toml, to whoever may connect.

All vassals are asked for them at most once a second, however many want to know, and what they
said is put into words once for all, beside the loop: thousands of vassals have megabytes.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Iterable
from functools import partial

from emperor.brain.binding import bind, explain
from emperor.brain.stats import About, emperor_stats, fleet_stats
from emperor.config.settings import EmperorSettings, ListenAddress, SocketMode
from emperor.config.stats_addresses import STATS_HTTP
from emperor.status import Status
from vassal.master.stats import HTTP_HEAD

CLIENTS_MAX = 16
PATIENCE_S = 10.0
FRESH_S = 1.0
CHUNK_BYTES = 64 * 1024
"""What a client has in our memory of its own; the rest is shared by all."""

_BACKLOG = 64
_ACCESS = SocketMode(mode=0o660)

Tell = Callable[[About, Status], bytes]


class EmperorStats:
    """Listens from `start` to `stop`. `status` asks all vassals; `on_problem` gets what could
    not be listened at, a line each."""

    def __init__(
        self,
        settings: EmperorSettings,
        status: Callable[[], Coroutine[None, None, Status]],
        on_problem: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._status = status
        self._on_problem = on_problem
        self._servers: list[asyncio.Server] = []
        self._files: list[str] = []
        self._clients = 0
        self._answers: dict[Tell, tuple[float, asyncio.Task[bytes]]] = {}
        self._asking: tuple[float, asyncio.Task[Status]] | None = None

    async def start(self) -> None:
        """Listen at every address that can be had; no other is missed by anybody."""
        await self._listen(self._settings.stats, emperor_stats)
        await self._listen(self._settings.stats_workers, fleet_stats)

    async def _listen(self, addresses: Iterable[ListenAddress], tell: Tell) -> None:
        for address in addresses:
            try:
                listener = bind(address, _BACKLOG, _ACCESS, os.geteuid(), os.getegid()).listener
            except OSError as error:
                self._on_problem(f"{address.url}: {explain(error)}")
                continue
            if address.file is not None:
                self._files.append(address.file)
            serve = partial(self._serve, tell, address.protocol == STATS_HTTP)
            self._servers.append(await asyncio.start_server(serve, sock=listener))

    def stop(self) -> None:
        """Listen no more, and take the sockets' files away."""
        for server in self._servers:
            server.close()
        for path in self._files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        for _, answer in self._answers.values():
            answer.cancel()
        if self._asking is not None:
            self._asking[1].cancel()

    async def _serve(
        self,
        tell: Tell,
        is_http: bool,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS_MAX:
                async with asyncio.timeout(PATIENCE_S):
                    await self._answer(tell, is_http, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(
        self,
        tell: Tell,
        is_http: bool,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if is_http:
            # Closed with its request unread, the connection would be reset.
            await reader.readuntil(b"\r\n\r\n")
        body = await asyncio.shield(self._fresh(tell))
        # All of it has to be gone before the deadline: what is buffered is memory of ours.
        writer.transport.set_write_buffer_limits(0)
        if is_http:
            writer.write(HTTP_HEAD % len(body))
        for at in range(0, len(body), CHUNK_BYTES):
            writer.write(body[at : at + CHUNK_BYTES])
            await writer.drain()

    def _fresh(self, tell: Tell) -> asyncio.Task[bytes]:
        """Return the answer of this second; whoever comes while it is made waits for the same."""
        now = asyncio.get_running_loop().time()
        if tell in self._answers:
            begun_at, answer = self._answers[tell]
            if not answer.done() or (now - begun_at <= FRESH_S and not answer.exception()):
                return answer
        answer = asyncio.ensure_future(self._told(tell))
        self._answers[tell] = now, answer
        return answer

    async def _told(self, tell: Tell) -> bytes:
        status = await asyncio.shield(self._statuses())
        return await asyncio.to_thread(tell, _about(self._settings), status)

    def _statuses(self) -> asyncio.Task[Status]:
        now = asyncio.get_running_loop().time()
        if self._asking is None or now - self._asking[0] > FRESH_S:
            self._asking = now, asyncio.ensure_future(self._status())
        return self._asking[1]


def _about(settings: EmperorSettings) -> About:
    cwd = settings.directories[0] if settings.directories else "/"
    return About(os.getpid(), os.geteuid(), os.getegid(), cwd, settings.policy.tyrant)
