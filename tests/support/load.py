"""Requests at a fixed rate, each with an id of its own, and what became of every one.

Open loop: a request begins at its time whether or not those before it were answered, so a pause
of the server shows as waiting, and nobody hides it by asking less. An answer counts if it is
whole and is the one to its id; the application writes down each id that it has served, so that
one served twice is seen too.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

WHOLE = 12_000
"""Bytes of an answer: more than one packet of any kind."""

PATIENCE_S = 25.0

APP = """
import os, time

SERVED = os.open({served!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
VERSION = "one"

def application(environ, start_response):
    number = environ["PATH_INFO"].rpartition("/")[2]
    os.write(SERVED, (number + "\\n").encode())
    time.sleep({takes_s})
    body = (number + " ") * ({whole} // (len(number) + 1))
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Version", VERSION),
                              ("Content-Length", str(len(body)))])
    return [body.encode()]
"""


def application(served: Path, takes_s: float = 0.01) -> str:
    """Return the source of the application that the load asks."""
    return APP.format(served=str(served), takes_s=takes_s, whole=WHOLE)


class Way(NamedTuple):
    """How requests come: to a port directly or through a web server; `keeps` a connection."""

    name: str
    port: int
    host: str = "load"
    keeps: bool = False


class Outcome(NamedTuple):
    """What became of one request. `problem` "" = answered as it has to be."""

    number: str
    way: str
    problem: str
    began: float
    took_s: float
    version: str = ""


class Load:
    """Asks from `start` to `stop`, `rate` times a second over all ways in turn; the ids are
    numbers from `first` on."""

    def __init__(self, ways: Sequence[Way], rate: float, first: int = 0) -> None:
        self.outcomes: list[Outcome] = []
        self.resent = 0
        """Requests sent again because a kept connection was closed at the same moment."""
        self._ways = ways
        self._rate = rate
        self._first = first
        self._end = threading.Event()
        self._kept: dict[str, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no more requests, and wait for the answers."""
        self._end.set()
        self._thread.join(2 * PATIENCE_S)
        assert not self._thread.is_alive()

    @property
    def failed(self) -> list[Outcome]:
        """The requests that were not answered as they have to be."""
        return [one for one in self.outcomes if one.problem]

    @property
    def version(self) -> str:
        """The version that answered last; empty before there is one."""
        return self.outcomes[-1].version if self.outcomes else ""

    async def _run(self) -> None:
        tasks = set()
        begin = time.monotonic()
        for number in itertools.count():
            if self._end.is_set():
                break
            await asyncio.sleep(max(0.0, begin + number / self._rate - time.monotonic()))
            way = self._ways[number % len(self._ways)]
            tasks.add(asyncio.create_task(self._ask(str(self._first + number), way)))
        await asyncio.gather(*tasks)
        for pool in self._kept.values():
            for _, writer in pool:
                writer.close()

    async def _ask(self, number: str, way: Way) -> None:
        began = time.monotonic()
        version, problem = "", ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                version = await self._exchange(number, way)
        except TimeoutError:
            problem = f"no answer within {PATIENCE_S} s"
        except (OSError, EOFError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        took_s = time.monotonic() - began
        self.outcomes.append(Outcome(number, way.name, problem, began, took_s, version))

    async def _exchange(self, number: str, way: Way) -> str:
        """Return the version that answered; raise for any other answer than the right one."""
        pool = self._kept.setdefault(way.name, [])
        while way.keeps and pool:
            reader, writer = pool.pop()
            if reader.at_eof():  # closed in time to be seen
                writer.close()
                continue
            try:
                return await self._talk(number, way, reader, writer)
            except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError) as error:
                # A kept connection may be closed at any time; if not a byte of an answer has
                # come, the request is to be sent again (RFC 9112, 9.3.1), as nginx does.
                writer.close()
                self.resent += 1
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        return await self._talk(number, way, reader, writer)

    async def _talk(
        self, number: str, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        kept = False
        connection = "keep-alive" if way.keeps else "close"
        try:
            writer.write(
                f"GET /of/{number} HTTP/1.1\r\nHost: {way.host}\r\n"
                f"Connection: {connection}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status, _, rest = head.partition("\r\n")
            fields = dict(line.split(": ", 1) for line in rest.splitlines() if line)
            length = int(fields.get("content-length", "-1"))
            body = await (reader.readexactly(length) if length >= 0 else reader.read())
            if " 200 " not in status:
                raise ValueError(f"{status}: {body[:100]!r}")
            if body != (number + " ").encode() * (WHOLE // (len(number) + 1)):
                raise ValueError(f"{len(body)} bytes, beginning {body[:20]!r}")
            if way.keeps and fields.get("connection") != "close":
                self._kept[way.name].append((reader, writer))
                kept = True
            return fields.get("x-version", "")
        finally:
            if not kept:
                writer.close()


@contextlib.contextmanager
def load(ways: Sequence[Way], rate: float, first: int = 0) -> Iterator[Load]:
    """Ask for the time of a with block; on leaving, all answers are there."""
    one = Load(ways, rate, first)
    one.start()
    try:
        yield one
    finally:
        one.stop()


DYING_S = 0.2
"""How long after a master's kill the last of its workers may still have accepted."""


def check(
    outcomes: Sequence[Outcome],
    served: Path,
    lost_max: int = 0,
    killed_at: Sequence[float] = (),
) -> None:
    """Fail if a request was lost, answered wrongly or served twice. Their numbers differ.

    `lost_max` requests may have no answer: of workers that were killed. Over a kept connection
    the client, or nginx, sends such a one again: it then is served twice, and counts too.
    Those that were under way at one of the moments `killed_at` (monotonic) do not count.
    """

    def was_hit(outcome: Outcome) -> bool:
        ended = outcome.began + outcome.took_s
        return any(outcome.began <= at + DYING_S and at <= ended for at in killed_at)

    hit = {outcome.number for outcome in outcomes if was_hit(outcome)}
    times = Counter(served.read_text().split())
    twice = [number for number, count in times.items() if count > 1 and number not in hit]
    failed = [outcome for outcome in outcomes if outcome.problem and outcome.number not in hit]
    assert outcomes
    assert len(failed) + len(twice) <= lost_max, (
        f"{len(failed)} of {len(outcomes)} failed: {failed[:10]}; "
        f"{len(twice)} were served more than once: {twice[:10]}"
    )
    answered = {outcome.number for outcome in outcomes if not outcome.problem}
    assert answered <= times.keys()
