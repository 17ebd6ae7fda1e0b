"""Reads many files one behind the other, so that neither the control API nor the next file waits
long for one of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from emperor.brain.patience import Patience
from emperor.brain.reads import Key

SLOW_S = 0.05
"""Where something may not answer, a file that takes longer is waited for beside the next ones."""

TURN_S = 0.01
"""So long files are read in a row."""


async def read_each(
    files: Iterable[Key], read: Callable[[str, str], Awaitable[None]], patience: Patience
) -> None:
    """Call `read(directory, file_name)` for each of `files`, and raise what it raises."""
    slow: set[asyncio.Future[None]] = set()
    began = time.monotonic()
    for directory, file_name in files:
        if patience.is_needed:
            # What takes its time keeps no other file waiting.
            task = asyncio.ensure_future(read(directory, file_name))
            done, late = await asyncio.wait([task], timeout=SLOW_S)
            slow |= late
            await asyncio.gather(*done)  # what it raised is raised here
        else:
            await read(directory, file_name)
        if time.monotonic() - began > TURN_S:
            # A thousand files must not keep the control API waiting.
            await asyncio.sleep(0)
            began = time.monotonic()
    await asyncio.gather(*slow)
