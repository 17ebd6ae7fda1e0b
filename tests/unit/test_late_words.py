"""What a master says that is to end, or was given up: nobody waits longer for it."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain.facts import Facts
from emperor.brain.roll import Roll
from emperor.core.reconcile import Desired, KillVassal, decide
from emperor.core.registry import Vassal
from emperor.status import VassalState
from vassal.failure import Failure
from vassal.messages import BirthFailed, FromMaster, GenerationFailed, GenerationReady

S = VassalState
BROKEN = Failure(kind="load", message="x")
AT = 1000.0
WORDS = [
    GenerationReady(number=2, fingerprint="f"),
    GenerationFailed(number=2, fingerprint="f", failure=BROKEN, serving=False),
    BirthFailed(failure=BROKEN),
]


@pytest.mark.parametrize("state", [S.STOPPING, S.BACKOFF, S.PARKED])
@pytest.mark.parametrize("word", WORDS, ids=lambda word: type(word).__name__)
def test_whatever_it_says_it_is_killed_at_its_deadline(
    state: VassalState, word: FromMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: AT)
    said: list[str] = []
    roll = Roll(lambda level, event, name, fields: said.append(event), lambda name: None)
    roll.set(Vassal(name="blog", state=state, token="t", pid=1, deadline=AT + 1))
    roll.name_token("t", "blog")
    _facts(roll).on_master_message("t", word)
    assert (roll.get("blog").state, roll.get("blog").token) == (state, "t")
    assert isinstance(decide(Desired(fingerprint="f"), roll.get("blog"), AT + 1), KillVassal)
    assert "vassal_ready" not in said


def _facts(roll: Roll) -> Facts:
    ignoring = SimpleNamespace(loans=list, settled=lambda *_: None, succession=None, limits=None)
    parts: dict[str, Any] = dict.fromkeys(
        ("masters", "listeners", "cgroups", "deeds", "allotments"), ignoring
    )
    parts |= dict.fromkeys(
        ("to_spawner", "look", "doubt", "served", "name_of", "leaves"), lambda *_: None
    )
    return Facts(roll=roll, **parts)
