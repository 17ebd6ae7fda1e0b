"""Finds masters that hang: asks each for a sign of life, rarely, and at once when in doubt.

That a signal stopped a master the kernel tells; a bug that keeps one from its loop shows in
nothing but its silence.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Mapping

from emperor.brain.masters import Masters

EVERY_S = 60.0
"""How often those that work are asked. A master serves no request itself: nobody waits for it."""
RESTING = 10
"""Every so many rounds those are asked too whose processes have done nothing since the last:
it is the one thing that an idle vassal is woken for."""

ANSWER_S = 5.0
TIMES = 2
"""Nobody is believed to hang on one silence: it may be this process that did not run."""


class Heartbeat:
    """Asks all masters together: many answers are one wake-up. `on_silent` gets tokens.

    `work_of` tells how much CPU time the workload of a master has used, None = it is not known;
    `on_beat` is called at every round.
    """

    def __init__(
        self,
        masters: Masters,
        on_silent: Callable[[str], None],
        work_of: Callable[[str], int | None],
        on_beat: Callable[[], None],
        every_s: float = EVERY_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._masters = masters
        self._on_silent = on_silent
        self._work_of = work_of
        self._work: dict[str, int | None] = {}
        self._on_beat = on_beat
        self._every_s = every_s
        self._answer_s = answer_s
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Ask from now on, until `close`."""
        self._in_background(self._for_ever())

    def doubt(self, token: str) -> None:
        """Ask this one now: something was seen that speaks against its life."""
        self._in_background(self._ask([token]))

    def close(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks:
            task.cancel()

    async def _for_ever(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(self._every_s)
            self._on_beat()
            before = self._work
            self._work = {token: self._work_of(token) for token in self._masters.tokens}
            await self._ask(whom_to_ask(before, self._work, number % RESTING == 0))

    async def _ask(self, tokens: Iterable[str]) -> None:
        asked = set(tokens)
        for _ in range(TIMES):
            self._masters.ping(asked)
            await asyncio.sleep(self._answer_s)
            # What had come meanwhile was read before this: readers go before timers.
            asked &= self._masters.silent
            if not asked:
                return
        for token in sorted(asked & self._masters.tokens):
            self._on_silent(token)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def whom_to_ask(
    before: Mapping[str, int | None], now: Mapping[str, int | None], everybody: bool
) -> set[str]:
    """Return who is to be asked in a round: whoever worked since the one `before`, or may have.

    Who was not there then has spoken since. A master that hangs while nothing of its vassal
    runs lets no request wait too long.
    """
    return {
        token
        for token, work in now.items()
        if everybody or (token in before and (work is None or work != before[token]))
    }
