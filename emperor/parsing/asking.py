"""Asks the machine what tenants' files want to know of it, and waits for no answer forever.

A path may lead to a file system that does not answer, and whoever looks there cannot be woken.
"""

import asyncio
import threading

from emperor.uwsgi.host import Host
from emperor.uwsgi.questions import Answer, Question, answer

STUCK_MAX = 2
"""So many looks of one owner may hang; until one comes back, nothing more is looked up."""


class NoReplyError(Exception):
    """The machine did not answer in time. str() is the path that it was asked about."""


class Asking:
    """One for all files, in one event loop. A look has a thread of its own, and ends with it."""

    def __init__(self) -> None:
        self._stuck: dict[str, list[str]] = {}  # paths, by owner

    async def ask(
        self, owner: str, host: Host, question: Question, timeout_s: float
    ) -> Answer | None:
        """Return the host's answer; None if there is none, or the host may not look.

        Raises NoReplyError after `timeout_s` seconds, or at once while too much of this owner's
        hangs.
        """
        stuck = self._stuck.get(owner, [])
        if len(stuck) >= STUCK_MAX:
            raise NoReplyError(stuck[0])
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Answer | None] = loop.create_future()

        def settle(found: Answer | None) -> None:
            if not reply.cancelled():
                reply.set_result(found)
            elif question.path in self._stuck.get(owner, []):
                self._came_back(owner, question.path)

        def look() -> None:
            found = _answered(host, question)
            try:
                loop.call_soon_threadsafe(settle, found)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        # A daemon: the emperor can end while it hangs.
        threading.Thread(target=look, name="emperor-look", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise NoReplyError(question.path) from None
        finally:
            if reply.cancelled():
                self._stuck.setdefault(owner, []).append(question.path)

    def _came_back(self, owner: str, path: str) -> None:
        self._stuck[owner].remove(path)
        if not self._stuck[owner]:
            del self._stuck[owner]


def _answered(host: Host, question: Question) -> Answer | None:
    try:
        return answer(host, question)
    except OSError:
        return None  # we may not look as its owner
