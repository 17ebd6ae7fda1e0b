import asyncio
import gc

from emperor.brain.eventstream import EventStream
from emperor.status import Event


def event(number: int) -> Event:
    return Event(at=float(number), event=f"e{number}")


async def take(subscription, count: int) -> list[str]:
    return [(await anext(subscription)).event for _ in range(count)]


def test_every_listener_gets_every_event_in_order():
    async def scenario():
        stream = EventStream()
        stream.publish(event(0))
        one, other = stream.subscribe(), stream.subscribe()
        for number in (1, 2, 3):
            stream.publish(event(number))
        assert await take(one, 3) == ["e1", "e2", "e3"]
        assert await take(other, 3) == ["e1", "e2", "e3"]

    asyncio.run(scenario())


def test_slow_listener_loses_the_oldest_and_is_told_how_many():
    async def scenario():
        stream = EventStream(queue_events_max=2)
        slow, fast = stream.subscribe(), stream.subscribe()
        for number in range(5):
            stream.publish(event(number))
            assert await take(fast, 1) == [f"e{number}"]
        lost = await anext(slow)
        assert (lost.event, lost.fields) == ("events_lost", {"count": "3"})
        assert await take(slow, 2) == ["e3", "e4"]
        stream.publish(event(5))
        assert await take(slow, 1) == ["e5"]

    asyncio.run(scenario())


def test_waiting_listener_is_woken_by_the_next_event():
    async def scenario():
        stream = EventStream()
        waiting = asyncio.create_task(take(stream.subscribe(), 2))
        await asyncio.sleep(0)
        stream.publish(event(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        stream.publish(event(2))
        assert await waiting == ["e1", "e2"]

    asyncio.run(scenario())


def test_listener_that_went_away_is_forgotten():
    stream = EventStream()
    subscription = stream.subscribe()
    assert stream.listeners == 1
    del subscription
    gc.collect()
    assert stream.listeners == 0
    stream.publish(event(1))


def test_recent_events_are_kept_oldest_first():
    stream = EventStream(recent_events_max=2)
    for number in range(4):
        stream.publish(event(number))
    assert [one.event for one in stream.recent()] == ["e2", "e3"]
