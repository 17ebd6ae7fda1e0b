"""What the next brain is told of files that are touched."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from emperor.brain import touching as touching_module
from emperor.brain.patience import Patience
from emperor.brain.touch_memory import KeptStamps, TouchMemory
from emperor.brain.touching import Touching
from emperor.brain.wishes import Wish
from emperor.core.reconcile import Desired
from emperor.core.registry import Vassal
from emperor.touches import Touch, stamp


class Later:
    """Stands in for the event loop: what is to be called later is called when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self.turns: list[Callable[[], None]] = []

    def call_later(self, _: float, call: Callable[..., None], *arguments: object) -> "Later":
        self.calls.append((call, arguments))
        return self

    def call_soon(self, call: Callable[[], None]) -> "Later":
        self.turns.append(call)
        return self

    def cancel(self) -> None:
        self.calls.clear()
        self.turns.clear()

    def turn(self) -> None:
        turns, self.turns = self.turns, []
        for call in turns:
            call()

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


def test_what_could_not_be_kept_is_kept_the_next_time(later: Later) -> None:
    kept: list[KeptStamps] = []

    def keep(stamps: KeptStamps) -> None:
        if not failures:
            kept.append(stamps)
        else:
            raise failures.pop()

    failures = [OSError("no descriptor is left")]
    memory = TouchMemory({}, keep)
    for _ in range(2):
        memory.note(lambda: [("/a", (1, 1))])
        with contextlib.suppress(OSError):
            later.run()
    assert len(kept) == 1


def test_who_leaves_on_purpose_keeps_at_once_what_was_noted(later: Later) -> None:
    kept: list[KeptStamps] = []
    memory = TouchMemory({}, kept.append)
    memory.close()
    assert not kept
    memory.note(lambda: [("/a", (1, 1))])
    memory.close()
    assert not later.calls
    assert TouchMemory(kept[-1], print).recall("/a") == (1, 1)


class Scene:
    """A fleet whose vassals do what they are told when the test says so."""

    def __init__(self, later: Later, *names: str) -> None:
        self.later = later
        self.kept: list[KeptStamps] = []
        self.reads: list[str] = []
        self.wishes = {name: AskedFor() for name in names}
        self.vassals = {name: Vassal(name=name, attempted="0") for name in names}
        self.renewed: list[str] = []
        fleet = SimpleNamespace(
            wishes=self.wishes,
            vassals=self.vassals,
            wish=self.wishes.__setitem__,
            renew_log=lambda name, rotate: self.renewed.append(name),
        )
        self.touching = Touching(
            fleet,  # type: ignore[arg-type]
            lambda *_: None,
            Patience(lambda: None),
            1.0,
            self.reads.append,
            print,
            TouchMemory({}, self.kept.append),
        )

    def watch(self) -> None:
        self.touching.files_to_watch()
        self.touching.on_watched()

    def touch(self, path: str) -> None:
        os.utime(path, (1, 1))
        self.touching.on_touched(path)
        self.later.turn()

    def begin(self, name: str) -> None:
        """What is wanted of a vassal is begun at this look."""
        serial = self.wishes[name].reload_serial
        self.vassals[name] = Vassal(name=name, attempted=str(serial))
        self.watch()

    def next_knows(self, path: str) -> bool:
        self.later.run()
        return TouchMemory(self.kept[-1], print).recall(path) == stamp(path)


class AskedFor(Wish, frozen=True, kw_only=True):
    """A wish of a vassal whose file is good."""

    def desired(self) -> Desired:
        return Desired(fingerprint=str(self.reload_serial), run=self.run)


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = tmp_path / "touched"
    found.touch()
    return str(found)


def test_touch_is_known_to_the_next_brain_when_the_reload_has_begun(
    later: Later, path: str
) -> None:
    """Its file is read before, which may take as long as somebody else does not answer for it;
    and few masters are built at a time."""
    scene = Scene(later, "blog")
    scene.touching.want("blog", 0, frozenset({(path, Touch.RELOAD)}))
    later.run()
    assert not scene.kept, "nothing is forgotten before all was seen"
    scene.watch()
    assert scene.next_knows(path)
    scene.touching.on_touched(path)
    assert not later.turns, "it was not touched"
    os.utime(path, (1, 1))
    scene.touching.on_touched(path)
    assert not scene.next_knows(path), "it is to be acted on in the next turn"
    later.turn()
    assert (scene.reads, scene.wishes["blog"].reload_serial) == (["blog"], 0)
    assert not scene.next_knows(path)
    scene.touching.on_read("blog")
    assert scene.wishes["blog"].reload_serial == 1
    assert not scene.next_knows(path)
    scene.begin("blog")
    assert scene.next_knows(path)


def test_touch_that_leads_to_nothing_for_a_vassal_that_is_stopped_is_known(
    later: Later, path: str
) -> None:
    scene = Scene(later, "blog")
    scene.touching.want("blog", 0, frozenset({(path, Touch.RELOAD)}))
    scene.watch()
    scene.touch(path)
    scene.touching.on_read("blog")
    scene.wishes["blog"] = AskedFor(run=False)
    assert scene.next_knows(path)


@pytest.mark.parametrize("of_other", [Touch.RELOAD, Touch.REOPEN])
@pytest.mark.parametrize("names", [("late", "other"), ("other", "late")])
def test_touch_of_a_file_that_several_name_is_known_when_all_are_reloaded(
    later: Later, path: str, names: tuple[str, str], of_other: Touch
) -> None:
    scene = Scene(later, *names)
    for name in names:
        touch = Touch.RELOAD if name == "late" else of_other
        scene.touching.want(name, 0, frozenset({(path, touch)}))
    scene.watch()
    assert scene.next_knows(path)
    scene.touch(path)
    for name in scene.reads:
        scene.touching.on_read(name)
    scene.begin("other")
    assert not scene.next_knows(path)
    scene.begin("late")
    assert scene.next_knows(path)


def test_vassal_file_that_another_vassal_names_is_known_to_both(later: Later, path: str) -> None:
    scene = Scene(later, "ini", "other")
    scene.touching.read_own("ini", path, stamp(path)[0], touched=False)
    scene.touching.want("other", 0, frozenset({(path, Touch.RELOAD)}))
    scene.watch()
    assert scene.next_knows(path)
    following = TouchMemory(scene.kept[-1], print)
    assert following.recall(path) is not None
    assert following.recall(f"own:{path}") == (stamp(path)[0], 0)


def test_vassal_file_alone_is_known_to_the_next_brain(later: Later) -> None:
    scene = Scene(later, "ini")
    scene.touching.read_own("ini", "/ini", 7, touched=False)
    scene.watch()
    later.run()
    assert TouchMemory(scene.kept[-1], print).recall("own:/ini") == (7, 0)


def test_when_a_vassal_file_was_touched_stays_known_until_it_can_be_read(later: Later) -> None:
    first = Scene(later, "ini")
    first.touching.read_own("ini", "/ini", 7, touched=False)
    first.watch()
    later.run()
    second = Scene(later, "ini")
    second.touching = Touching(
        second.touching._fleet,
        lambda *_: None,
        Patience(lambda: None),
        1.0,
        print,
        print,
        TouchMemory(first.kept[-1], second.kept.append),
    )
    for _ in range(2):  # it is refused at its first reading
        assert second.touching.own_before("/ini") == 7
    second.watch()
    second.touching.read_own("ini", "/ini", 9, touched=True)
    later.run()
    assert not second.kept, "the next brain is to reload it yet"
    second.begin("ini")
    later.run()
    assert TouchMemory(second.kept[-1], print).recall("own:/ini") == (9, 0)
    second.touching.forget_file("/ini")
    assert second.touching.own_before("/ini") == 0


def test_thousands_that_name_one_file_are_told_in_turns(
    later: Later, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * touching_module.TURN_S / 4)
    monkeypatch.setattr(touching_module, "time", clock)
    names = [str(number) for number in range(7)]
    scene = Scene(later, *names)
    for name in names:
        scene.touching.want(name, 0, frozenset({(path, Touch.RELOAD)}))
    scene.watch()
    scene.touch(path)
    assert scene.reads == names[:3]
    scene.touching.want("3", 0, frozenset())
    later.turn()
    later.turn()
    assert scene.reads == [*names[:3], *names[4:]], "who does not name it any more is left alone"
    assert not later.turns
