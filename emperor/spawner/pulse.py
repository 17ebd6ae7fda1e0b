"""Decides when the emperor is asked for a sign of life, when it is given up, and when nobody waits
for its end any more. Pure.

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


LEAVE_S = 15.0
"""It said that it goes, or says nothing more: so long it may take to end."""

LOOK_S = 0.1
"""So often one that goes is looked at: it may be dead, and not end."""

END_S = 1.0
"""Killed, it ends at once: unless a thread of it waits for a file system that does not answer."""


class Step(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    ASK = "ask"
    LOOK = "look"  # whether it is dead
    GIVE_UP = "give up"
    ABANDON = "abandon"  # go on without its end: it is dead, and will never act again


class _Stage(Enum):
    ALIVE = "alive"
    LEAVING = "leaving"
    KILLED = "killed"


class Pulse:
    """Of one emperor, started at `now`."""

    def __init__(self, now: float) -> None:
        self._answer_s = ANSWER_S
        self._asked = 0
        self._stage = _Stage.ALIVE
        self._leave_until = 0.0
        self.look_at = now + BEGIN_S

    def leaves(self, now: float) -> None:
        """It is about to end by itself."""
        if self._stage is _Stage.ALIVE:
            self._stage = _Stage.LEAVING
            self._leave_until = now + LEAVE_S
            self.look_at = now + LOOK_S

    def killed(self, now: float) -> None:
        """It was sent SIGKILL."""
        self._stage = _Stage.KILLED
        self.look_at = now + END_S

    def heard(self, now: float) -> None:
        """It said something."""
        if self._stage is not _Stage.ALIVE:
            return
        self._asked = 0
        self._answer_s = ANSWER_S
        self.look_at = now + EVERY_S

    def doubt(self, now: float) -> None:
        """Something speaks against its life: ask at once, and wait for less."""
        if self._stage is not _Stage.ALIVE:
            return
        self._asked = 0
        self._answer_s = DOUBTED_ANSWER_S
        self.look_at = now

    def step(self, now: float) -> Step:
        """Return what is to be done, and count on its being done."""
        if now < self.look_at:
            return Step.NOTHING
        if self._stage is _Stage.KILLED:
            return Step.ABANDON
        if self._stage is _Stage.LEAVING and now < self._leave_until:
            self.look_at = now + LOOK_S
            return Step.LOOK
        if self._stage is _Stage.LEAVING:
            return Step.GIVE_UP
        if self._asked >= TIMES:
            return Step.GIVE_UP
        self._asked += 1
        self.look_at = now + self._answer_s
        return Step.ASK
