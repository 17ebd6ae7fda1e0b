"""What masters of an earlier emperor say before all of them have said what they are."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from emperor.brain.adoption import Adoption
from emperor.brain.roll import Roll
from emperor.brain.wishes import Wish
from emperor.core.reconcile import Desired, KillVassal, StopVassal, decide
from emperor.core.registry import Fact, Vassal, advance
from emperor.status import VassalState
from vassal.failure import Failure
from vassal.messages import Description, HeldMaster, Message, MoldDied, Stop

HALTED = Desired(fingerprint="f", run=False)
SERVES = Description(
    state="serving", generation=1, newest=1, fingerprint="f", serving=True, age_s=9
)
DIED = MoldDied(failure=Failure(kind="crash", message="x"))


class Ignoring(SimpleNamespace):
    """Does nothing, whatever it is told."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Found(Adoption):
    """Masters of blog that were found, the oldest first, and the orders that each got."""

    def __init__(self, *tokens: str, **memos: dict[str, str]) -> None:
        self.roll = Roll(lambda *_: None, lambda name: None)
        self.orders: list[tuple[str | None, type[Message]]] = []
        ignoring = Ignoring()
        ignoring.send = self._send
        parts: dict[str, Any] = dict.fromkeys(
            ("masters", "listeners", "cgroups", "succession", "limits", "allotments"), ignoring
        )
        parts["petition"] = None
        super().__init__(roll=self.roll, name_of=lambda token, name: name, **parts)
        for token in tokens or memos:
            memo = json.dumps(memos.get(token, {}))
            self.hold(HeldMaster(token=token, vassal="blog", pid=1, memo=memo), None)  # type: ignore[arg-type]

    def _send(self, token: str | None, order: Message) -> None:
        self.orders.append((token, type(order)))

    @property
    def record(self) -> Vassal:
        return self.roll.get("blog")

    def stop(self, deadline: float) -> None:
        """Do what is done when nothing of it is wanted any more."""
        assert isinstance(decide(HALTED, self.record, time.monotonic()), StopVassal)
        self.roll.set(advance(self.record, Fact.STOP_BEGAN, 0.0, deadline=deadline))


@pytest.mark.parametrize("tokens", [("silent", "chatty"), ("chatty", "silent")])
def test_master_that_does_not_stop_talking_puts_off_no_stop(tokens: tuple[str, ...]) -> None:
    found = Found(*tokens)
    found.hear("chatty", SERVES)
    at = time.monotonic() + 30
    found.stop(at)
    for _ in range(3):
        found.hear("chatty", DIED)
        found.hear("chatty", SERVES)
        assert decide(HALTED, found.record, time.monotonic()) is None
    assert (found.record.state, found.record.token) == (VassalState.STOPPING, "silent")
    assert isinstance(decide(HALTED, found.record, at), KillVassal)


def test_who_is_waited_for_in_place_of_one_that_has_answered_is_told_to_stop_too() -> None:
    found = Found("silent", "late")
    found.stop(time.monotonic() + 30)
    found.orders.clear()
    found.hear("late", SERVES)
    assert found.record.token == "silent"
    assert found.orders == [("silent", Stop)]


@pytest.mark.parametrize(("state", "serials"), [("starting", (3, 1)), ("stopping", (2, 0))])
def test_what_the_last_brain_had_begun_is_begun_again_and_not_what_it_gave_up(
    state: str, serials: tuple[int, int]
) -> None:
    first = {"birth": "b:0", "fingerprint": "f:0"}
    found = Found(first=first, second={"birth": "b:1", "fingerprint": "f:3"})
    found.roll.wish("blog", Wish())
    found.hear("first", msgspec.structs.replace(SERVES, fingerprint="f:2"))
    begun = Description(state=state, generation=0, newest=0, fingerprint="", serving=False, age_s=1)
    found.hear("second", begun)
    assert found.record.token == "first"
    wish = found.roll.wishes["blog"]
    assert (wish.reload_serial, wish.renew_serial) == serials
