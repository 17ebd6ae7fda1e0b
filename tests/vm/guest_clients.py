"""Clients that see all of an answer, and that go on asking while something is switched.

Standard library only, like guest.py.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.vm.guest import PATIENCE_S

PAUSE_S = 0.05

NOT_COMPARED = {"Date", "Accept-Ranges", "Content-Length", "Transfer-Encoding"}
"""Of the moment; what emperord does with static files, and uWSGI only if it is told to; and how the
body is framed: emperord knows the length of one that comes in one piece. That it is whole is
checked by either."""


class Ask(NamedTuple):
    """One request to a site behind nginx."""

    path: str
    method: str = "GET"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Page(NamedTuple):
    """An answer byte for byte; status 0 = there was none, or it was cut short, as `body` says."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def fetch(host: str, ask: Ask, timeout: float = PATIENCE_S) -> Page:
    """Ask nginx; the headers are those that came, in their order, but NOT_COMPARED."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=timeout)
    try:
        connection.request(
            ask.method, ask.path, ask.body or None, {"Host": host, **dict(ask.headers)}
        )
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return Page(0, (), repr(error).encode())
    finally:
        connection.close()
    # "Not modified" need not say since when; uWSGI does not.
    skipped = NOT_COMPARED | ({"Last-Modified"} if answer.status == 304 else set())
    headers = tuple((key, value) for key, value in answer.getheaders() if key not in skipped)
    return Page(answer.status, headers, body)


class Seen(NamedTuple):
    """One answer, with when it was asked for and when all of it had come (monotonic)."""

    asked_at: float
    came_at: float
    page: Page

    @property
    def is_refusal(self) -> bool:
        """nginx's word that nobody is there."""
        return self.page.status in (502, 504)


@dataclass
class History:
    """What a client of one page saw."""

    seen: list[Seen] = field(default_factory=list)

    def wrong(self, right: Page) -> list[Seen]:
        """Return what was neither the right page nor a refusal."""
        return [one for one in self.seen if one.page != right and not one.is_refusal]

    def has_answered_since(self, since: float, times: int) -> bool:
        return sum(one.asked_at > since and one.page.status == 200 for one in self.seen) >= times

    def refusals_since(self, since: float) -> int:
        """Return how many of those were refused that asked then or later."""
        return sum(one.is_refusal and one.asked_at >= since for one in self.seen)

    def served_from(self, since: float) -> float:
        """Return when the first page had come that was asked for since then."""
        return next(
            one.came_at for one in self.seen if one.asked_at >= since and not one.is_refusal
        )

    def served_until(self, before: float) -> float:
        """Return when the last page had come before then."""
        return max(one.came_at for one in self.seen if one.came_at < before and not one.is_refusal)


@contextmanager
def asked_all_the_time(asks: list[tuple[str, Ask]]) -> Iterator[dict[tuple[str, Ask], History]]:
    """Make each request of a host again and again inside the block, each in a thread."""
    histories = {one: History() for one in asks}
    end = threading.Event()

    def client(host: str, ask: Ask) -> None:
        while not end.is_set():
            began = time.monotonic()
            page = fetch(host, ask)
            histories[host, ask].seen.append(Seen(began, time.monotonic(), page))
            end.wait(PAUSE_S)

    threads = [threading.Thread(target=client, args=one) for one in asks]
    for thread in threads:
        thread.start()
    try:
        yield histories
    finally:
        end.set()
        for thread in threads:
            thread.join()
