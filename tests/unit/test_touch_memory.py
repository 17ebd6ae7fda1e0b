"""What the next brain is told of files that are touched."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from emperor.brain.patience import Patience
from emperor.brain.touch_memory import KeptStamps, TouchMemory
from emperor.brain.touching import Touching
from emperor.brain.wishes import Wish
from emperor.touches import Touch, stamp


class Later:
    """Stands in for the event loop: what is to be called later is called when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., None], tuple[object, ...]]] = []

    def call_later(self, _: float, call: Callable[..., None], *arguments: object) -> "Later":
        self.calls.append((call, arguments))
        return self

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call, arguments in calls:
            call(*arguments)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    one = Later()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: one)
    return one


def test_next_brain_recalls_once_what_was_kept(later: Later) -> None:
    kept: list[KeptStamps] = []
    memory = TouchMemory({}, kept.append)
    assert memory.recall("/a") is None
    memory.note(lambda: [("/a", (1, 2)), ("/" + "b" * 4000, (0, 0))])
    later.run()
    assert len(kept) == 1
    assert all(len(key) == 16 for key in kept[0]), "whatever tenants call their files"
    following = TouchMemory(kept[0], print)
    assert [following.recall("/a") for _ in range(2)] == [(1, 2), None]
    assert following.recall("/" + "b" * 4000) == (0, 0)


def test_touch_that_is_to_be_acted_on_yet_is_not_known_to_the_next_brain(later: Later) -> None:
    kept: list[KeptStamps] = []
    memory = TouchMemory({}, kept.append)
    memory.note(lambda: [("/a", (1, 1)), ("/b", (1, 1))])
    later.run()
    memory.note(lambda: [("/a", None), ("/b", (2, 2)), ("/new", None)])
    later.run()
    following = TouchMemory(kept[-1], print)
    assert [following.recall(path) for path in ("/a", "/b", "/new")] == [(1, 1), (2, 2), None]


def test_what_has_not_changed_is_not_kept_again(later: Later) -> None:
    kept: list[KeptStamps] = []
    memory = TouchMemory({}, kept.append)
    for _ in range(3):
        memory.note(lambda: [("/a", (1, 1))])
    assert len(later.calls) == 1
    later.run()
    memory.note(lambda: [("/a", (1, 1))])
    later.run()
    assert len(kept) == 1


def test_touch_is_known_to_the_next_brain_when_the_vassal_is_to_be_reloaded(
    later: Later, tmp_path: Path
) -> None:
    """Its file is read before, which may take as long as somebody else does not answer for it."""
    kept: list[KeptStamps] = []
    wishes = {"blog": Wish()}
    fleet = SimpleNamespace(wishes=wishes, wish=wishes.__setitem__)
    reads: list[str] = []
    touching = Touching(
        fleet,  # type: ignore[arg-type]
        lambda *_: None,
        Patience(lambda: None),
        1.0,
        reads.append,
        print,
        TouchMemory({}, kept.append),
    )

    def next_knows() -> bool:
        later.run()
        return TouchMemory(kept[-1], print).recall(path) == stamp(path)

    path = str(tmp_path / "touched")
    Path(path).touch()
    touching.want("blog", 0, frozenset({(path, Touch.RELOAD)}))
    later.run()
    assert not kept, "nothing is forgotten before all was seen"
    assert touching.files_to_watch() == {path}
    touching.on_watched()
    assert next_knows()
    os.utime(path, (1, 1))
    touching.on_touched(path)
    assert (reads, wishes["blog"].reload_serial) == (["blog"], 0)
    assert not next_knows()
    touching.on_read("blog")
    assert wishes["blog"].reload_serial == 1
    assert next_knows()
