"""Reads the end of a log file, and what is added to it, across rotations."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from emperor.status import NotPossible

LINES_MAX = 10_000
TAIL_BYTES_MAX = 1024 * 1024
BLOCK_BYTES = 64 * 1024
POLL_S = 0.5

OpenLog = Callable[[], BinaryIO]
"""Opens the log anew; raises NotPossible when there is none at this moment."""


def seek_to_last_lines(file: BinaryIO, lines: int) -> None:
    """Move `file` to where its last `lines` lines begin, at most TAIL_BYTES_MAX back."""
    size = file.seek(0, os.SEEK_END)
    lowest = max(0, size - TAIL_BYTES_MAX)
    position, missing = size, lines
    while position > lowest and missing > 0:
        start = max(lowest, position - BLOCK_BYTES)
        file.seek(start)
        block = file.read(position - start)
        if position == size and block.endswith(b"\n"):
            missing += 1  # the newline at the very end begins no line
        end = len(block)
        while missing > 0 and (newline := block.rfind(b"\n", 0, end)) >= 0:
            missing -= 1
            end = newline
        if missing == 0:
            file.seek(start + end + 1)
            return
        position = start
    file.seek(position)


async def follow(file: BinaryIO, open_log: OpenLog) -> AsyncIterator[bytes]:
    """Yield what `file` holds from its position on, and what comes after; for ever.

    When `open_log` gives another file, the old one is read to its end and then closed.
    A file that became shorter is read from its start. Ends only by what `open_log`
    raises, NotPossible excepted. Takes `file` over.
    """
    try:
        while True:
            while block := file.read(BLOCK_BYTES):
                yield block
            await asyncio.sleep(POLL_S)
            try:
                current = open_log()
            except NotPossible:
                continue  # between the rename and the first line of the new file
            if _same_file(file, current):
                current.close()
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                continue
            old, file = file, current
            with old:
                while block := old.read(BLOCK_BYTES):
                    yield block
    finally:
        file.close()


def _same_file(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))
