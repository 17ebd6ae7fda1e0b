"""Hands every event to everyone who listens, without ever waiting for one of them.

A listener that reads too slowly loses the oldest events and is told how many.
"""

import asyncio
import weakref
from collections import deque

from emperor.status import Event

QUEUE_EVENTS_MAX = 1000
RECENT_EVENTS_MAX = 200


class Subscription:
    """One listener's queue, an async iterator without end. Collects from its creation on.

    Not for two tasks at a time. It ends when the last reference to it goes.
    """

    def __init__(self, events_max: int) -> None:
        self._queue: deque[Event] = deque(maxlen=events_max)
        self._lost = 0
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        """Append `event`, at the price of the oldest one if the queue is full."""
        if len(self._queue) == self._queue.maxlen:
            self._lost += 1
        self._queue.append(event)
        self._arrived.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        if self._lost:
            count, self._lost = self._lost, 0
            return Event(at=self._queue[0].at, event="events_lost", fields={"count": str(count)})
        return self._queue.popleft()


class EventStream:
    """The bounded fan-out. One event loop's; not thread-safe."""

    def __init__(
        self, queue_events_max: int = QUEUE_EVENTS_MAX, recent_events_max: int = RECENT_EVENTS_MAX
    ) -> None:
        self._queue_events_max = queue_events_max
        # Weak, so that a listener that went away in any manner needs no farewell.
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._recent: deque[Event] = deque(maxlen=recent_events_max)

    def publish(self, event: Event) -> None:
        """Give `event` to every listener, and remember it."""
        self._recent.append(event)
        for subscription in self._subscriptions:
            subscription.put(event)

    def subscribe(self) -> Subscription:
        """Return a new listener's queue; it receives what is published from now on."""
        subscription = Subscription(self._queue_events_max)
        self._subscriptions.add(subscription)
        return subscription

    def recent(self) -> tuple[Event, ...]:
        """Return the last events, oldest first."""
        return tuple(self._recent)

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)
