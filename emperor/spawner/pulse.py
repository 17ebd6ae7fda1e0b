"""Decides when the emperor is asked for a sign of life, and when it is given up. Pure.

Times are monotonic seconds. Whatever the emperor says is a sign of life.
"""

from enum import Enum

EVERY_S = 15.0
ANSWER_S = 10.0
DOUBTED_ANSWER_S = 0.1
"""A signal has stopped it: it will not answer, unless somebody continues it at once."""

BEGIN_S = 60.0
"""It has to be loaded before it can answer."""

TIMES = 2
"""One silence may be ours: who was stopped finds the answer unread when it goes on."""


class Step(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    ASK = "ask"
    GIVE_UP = "give up"


class Pulse:
    """Of one emperor, started at `now`."""

    def __init__(self, now: float) -> None:
        self._answer_s = ANSWER_S
        self._asked = 0
        self.look_at = now + BEGIN_S

    def heard(self, now: float) -> None:
        """It said something."""
        self._asked = 0
        self._answer_s = ANSWER_S
        self.look_at = now + EVERY_S

    def doubt(self, now: float) -> None:
        """Something speaks against its life: ask at once, and wait for less."""
        self._asked = 0
        self._answer_s = DOUBTED_ANSWER_S
        self.look_at = now

    def step(self, now: float) -> Step:
        """Return what is to be done, and count on its being done."""
        if now < self.look_at:
            return Step.NOTHING
        if self._asked >= TIMES:
            return Step.GIVE_UP
        self._asked += 1
        self.look_at = now + self._answer_s
        return Step.ASK
