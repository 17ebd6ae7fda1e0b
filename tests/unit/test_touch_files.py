"""Which files vassals want to be touched at."""

from pathlib import Path

from emperor.brain.patience import Patience
from emperor.brain.touch_files import TouchFiles
from emperor.touches import Stamp, Touch

LONG_AGO: Stamp = (1, 1)


class Asked(frozenset[tuple[str, Touch]]):
    """Counts how often it is looked through."""

    times = 0

    def __contains__(self, one: object) -> bool:
        Asked.times += 1
        return super().__contains__(one)


def files() -> TouchFiles:
    return TouchFiles(Patience(lambda: None), lambda _: LONG_AGO)


def test_touched_file_asks_nobody_who_does_not_name_it(tmp_path: Path) -> None:
    """With thousands of both at a brain's start the spawner would take it for dead."""
    found, many = files(), 100
    for number in range(many):
        found.want(str(number), 0, Asked({(f"{tmp_path}/{number}", Touch.RELOAD)}))
    assert len(found.near()) == many
    Asked.times = 0
    for path in found.take_unwatched():
        assert found.touched(path) == [(path.rpartition("/")[2], Touch.RELOAD)]
    assert Asked.times == many * len(Touch)


def test_what_a_vassal_wants_is_replaced() -> None:
    found = files()
    found.want("blog", 0, frozenset({("/a", Touch.RELOAD), ("/a", Touch.ROTATE)}))
    found.want("shop", 0, frozenset({("/a", Touch.RELOAD), ("/b", Touch.REOPEN)}))
    assert found.near() == {"/a", "/b"}
    assert found.who_wants("/a") == [
        ("blog", Touch.RELOAD),
        ("blog", Touch.ROTATE),
        ("shop", Touch.RELOAD),
    ]
    found.want("shop", 0, frozenset({("/c", Touch.REOPEN)}))
    assert found.near() == {"/a", "/c"}
    assert not found.who_wants("/b")
    found.want("blog", 0, frozenset())
    assert not found.who_wants("/a")
    assert not found.wants("blog", "/a", Touch.RELOAD)
    assert found.near() == {"/c"}
