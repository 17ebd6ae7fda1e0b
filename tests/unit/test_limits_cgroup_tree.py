"""A private tree is removed at the very end, though who was in it takes a while to go."""

import errno
import os
from pathlib import Path

import pytest

from limits.cgroups.tree import Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return folders that look like the cgroups of an emperor that has no vassals any more."""
    root = tmp_path / "emperord-test"
    for name in ("supervisor", "tenants"):
        (root / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(("busy", "removed"), [(0, True), (60, True), (10_000, False)])
def test_cgroup_that_is_busy_for_a_while_is_removed_all_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, busy: int, removed: bool
) -> None:
    left = iter(range(busy))
    real = os.rmdir

    def rmdir(path: str) -> None:
        if path.endswith("/supervisor") and next(left, None) is not None:
            raise OSError(errno.EBUSY, "who was killed has not gone yet")
        real(path)

    monkeypatch.setattr("limits.cgroups.tree.os.rmdir", rmdir)
    monkeypatch.setattr("limits.cgroups.tree.time.sleep", lambda seconds: None)
    assert Tree(str(root), private=True).dissolve() is removed
    assert root.exists() is not removed
