"""Reads in the background."""

import asyncio

from emperor.brain.reads import Key, Reads

FIRST, SECOND = ("/v", "blog.toml"), ("/v", "shop.toml")


def test_who_is_cancelled_begins_nothing() -> None:
    begun: list[Key] = []

    async def run() -> None:
        async def read(key: Key) -> None:
            begun.append(key)
            try:
                await asyncio.Event().wait()
            finally:
                reads.begin(SECOND)

        reads = Reads(read, print)
        reads.begin(FIRST)
        await asyncio.sleep(0)
        reads.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert begun == [FIRST]
