"""Remembers for a moment what the host said: thousands of files that are read together ask the
same."""

import time
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")

FRESH_S = 1.0
_NOTHING = object()


class Lately:
    """Answers of the last second. `clock` tells monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[Hashable, object] = {}
        self._until = 0.0

    def ask(self, key: Hashable, call: Callable[[], T]) -> T:
        """Return what `call` returned for this key in the last second, else what it does now.

        What it raises is not remembered: who corrects it is not to wait.
        """
        now = self._clock()
        if now >= self._until:
            self._answers.clear()
            self._until = now + FRESH_S
        found = self._answers.get(key, _NOTHING)
        if found is _NOTHING:
            found = self._answers[key] = call()
        return cast(T, found)
