"""Looks into directories that may not answer, and waits for none of them forever.

Who looks at a dead NFS server, or a FUSE mount whose server hangs, cannot be woken. So what is
behind such a mount is looked at from a thread, and left alone while a look into it hangs.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from typing import TypeVar

from emperor.watch.choose import filesystem_behind, is_blind, read_mounts

T = TypeVar("T")

TIMEOUT_S = 5.0
"""As long as a new brain waits at its start, for each directory."""

MOUNTS_FRESH_S = 1.0
"""A thousand files in a row are not worth a thousand looks at the mounts."""


class Silence(OSError):
    """A directory did not answer in time, or still owes an answer."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, f"does not answer within {TIMEOUT_S:.0f} s")


class Patience:
    """Of one event loop. `on_answer(directory)` is called when a silent one has answered."""

    def __init__(self, on_answer: Callable[[str], None]) -> None:
        self._on_answer = on_answer
        self._silent: set[str] = set()
        self._foreign: dict[str, tuple[float, bool]] = {}

    def is_silent(self, directory: str) -> bool:
        """Return whether the last look has not come back."""
        return directory in self._silent

    async def look(self, directory: str, call: Callable[[], T]) -> T:
        """Return what `call` returns or raises; raise Silence if that takes too long."""
        if directory in self._silent:
            raise Silence
        loop = asyncio.get_running_loop()
        if not self._is_foreign(directory, loop.time()):
            return call()
        reply: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if directory in self._silent and reply.done():
                self._silent.discard(directory)
                self._on_answer(directory)
            elif error is not None:
                reply.set_exception(error)
            else:
                reply.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, failure = None, None
            try:
                result = call()
            except Exception as error:  # the caller's, in its own place
                failure = error
            try:
                loop.call_soon_threadsafe(settle, result, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        # A daemon: the brain can end while it hangs.
        threading.Thread(target=work, name="emperor-patience", daemon=True).start()
        done, _ = await asyncio.wait([reply], timeout=TIMEOUT_S)
        if not done:
            reply.cancel()
            self._silent.add(directory)
            raise Silence
        return reply.result()

    def _is_foreign(self, directory: str, now: float) -> bool:
        """Return whether the directory lies where somebody else has to answer."""
        at, foreign = self._foreign.get(directory, (now - 2 * MOUNTS_FRESH_S, False))
        if now - at > MOUNTS_FRESH_S:
            foreign = is_blind(filesystem_behind(directory, read_mounts()))
            self._foreign[directory] = now, foreign
        return foreign
