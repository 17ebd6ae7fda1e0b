"""Whose masters those are that were born under another name."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain.facts import Facts
from emperor.brain.renames import Renames
from emperor.brain.roll import Roll
from emperor.brain.wishes import Wish
from emperor.core.registry import Vassal
from emperor.status import VassalState
from vassal.messages import MasterLost

Said = list[tuple[str, str | None]]


@pytest.fixture
def said() -> Said:
    """Return what is told: events, and of which vassal."""
    return []


@pytest.fixture
def roll(said: Said) -> Roll:
    """Return that of a new brain, which has read the files of shop and forum."""
    roll = Roll(lambda level, event, name, fields: said.append((event, name)), lambda name: None)
    roll.wish("shop", Wish())
    roll.wish("forum", Wish())
    return roll


def _renames(roll: Roll, kept: dict[str, str]) -> Renames:
    """Return what a brain knows that found these names kept."""

    def keep(names: Mapping[str, str]) -> None:
        kept.clear()
        kept.update(names)

    nothing: Any = None
    renames = Renames(roll, nothing, nothing, nothing, nothing, keep)
    renames.restore(kept)
    return renames


def test_master_that_died_while_no_brain_ran_is_told_of_by_the_name_of_now(
    roll: Roll, said: Said
) -> None:
    renames = _renames(roll, {"t": "shop"})
    parts: dict[str, Any] = dict.fromkeys(("masters", "listeners", "cgroups", "allotments"), None)
    parts |= dict.fromkeys(("to_spawner", "look", "doubt", "served", "leaves"), lambda *_: None)
    facts = Facts(
        roll=roll,
        deeds=SimpleNamespace(succession=None, limits=None),  # type: ignore[arg-type]
        name_of=renames.name_of,
        **parts,
    )
    facts.on_spawner_message(MasterLost(token="t", vassal="blog", pid=7, signal=9), [])
    assert said == [("master_died", "shop"), ("vassal_failed", "shop")]
    assert roll.get("shop").state is VassalState.BACKOFF
    assert roll.get("blog") == Vassal(name="blog")


def test_name_that_a_new_brain_finds_takes_none_from_others_that_were_kept(roll: Roll) -> None:
    kept = {"t": "shop"}
    renames = _renames(roll, kept)
    renames.note("u", "forum", "board")  # before it has heard of any master
    assert (renames.name_of("t", "blog"), renames.name_of("u", "board")) == ("shop", "forum")
    assert kept == {"t": "shop", "u": "forum"}
