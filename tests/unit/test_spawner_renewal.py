"""Whether new code is wanted that no emperor has decided about."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.spawner.deaths import Deaths
from emperor.spawner.ending import Ending
from emperor.spawner.renewal import Renewal
from emperor.spawner.spawner import Spawner


def test_wish_lasts_until_an_emperor_has_read_it() -> None:
    renewal = Renewal()
    assert not renewal.is_wanted
    renewal.ask(3)
    renewal.answered(2)  # of an earlier ping: that says nothing of what came later
    assert renewal.is_wanted
    renewal.answered(3)
    assert not renewal.is_wanted


def test_second_wish_is_one_of_its_own() -> None:
    renewal = Renewal()
    renewal.ask(1)
    renewal.ask(2)
    renewal.answered(1)
    assert renewal.is_wanted
    renewal.decided()
    assert not renewal.is_wanted


@pytest.mark.parametrize("emperor", ["lives no more", "goes on purpose"])
def test_wish_that_comes_when_new_code_is_about_to_be_tried_is_done_with_that(
    emperor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(
        "emperor.spawner.handover.complaint", lambda alive: tried.append("code") or "it is broken"
    )
    spawner: Any = Spawner.__new__(Spawner)
    spawner._ending, spawner._renewal, spawner._deaths = Ending(), Renewal(), Deaths()
    spawner._notifier = SimpleNamespace(send=lambda state: None)
    spawner._log = SimpleNamespace(error=lambda *_, **__: None)
    spawner._loop = SimpleNamespace(turn=lambda timeout_s: spawner._on_signal(signal.SIGHUP))
    spawner._tell = lambda message: None
    spawner._emperor_pid, spawner._start_at = 0, None
    spawner._renewal.ask(1)
    if emperor == "goes on purpose":
        spawner._follow_on()
    else:
        spawner._begin_anew()
    assert tried == ["code"]
    assert not spawner._renewal.is_wanted
