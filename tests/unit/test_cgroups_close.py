"""What is done to cgroups when the emperor stops for good, and to those of an earlier one."""

import pytest

from limits.cgroups.names import app_path
from tests.support.kept import Kept, Tree


class Waits(Tree):
    """Cgroups of which some do not become empty, with a clock that only waiting moves."""

    def __init__(self, *stuck: str) -> None:
        super().__init__()
        self.now = 100.0
        self.stuck = stuck
        self.waited_for: list[str] = []

    def wait_empty(self, path: str, timeout_s: float) -> bool:
        assert self.killed == {"p1", "p2", "p3", "p4"}, "all end at the same time"
        self.waited_for.append(path)
        if path not in self.stuck:
            return True
        self.now += timeout_s
        return False

    def dissolve(self) -> bool:
        return False


def test_those_that_do_not_end_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Waits("b", "c", "d")
    tree.inside = {"a": {"p1"}, "b": {"p2"}, "c": {"p3"}, "d": {"p4"}}
    monkeypatch.setattr("time.monotonic", lambda: tree.now)
    Kept(tree).close(2.0)
    assert tree.now == 102.0
    assert sorted(tree.waited_for) == ["a", "b", "c", "d"]
    assert sorted(tree.inside) == ["b", "c", "d"], "the one that ended is gone"


def test_what_is_left_of_vassals_that_are_gone_goes_but_not_of_one_whose_file_is_broken() -> None:
    tree = Tree()
    gone, broken = app_path("daemon", "gone"), app_path("daemon", "broken")
    tree.inside = {gone: set(), broken: set(), app_path("other", "gone"): set()}
    Kept(tree).remove_orphans([], {"broken", "new"})
    assert list(tree.inside) == [broken]
