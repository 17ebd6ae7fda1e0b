"""Files of loaded modules, and when they count as changed."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vassal.runtime.autoreload import SourceWatch


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a module that is loaded."""
    path = tmp_path / "shop.py"
    path.touch()
    module = ModuleType("shop")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "shop", module)
    return path


def test_file_that_was_modified_has_changed_once(source: Path) -> None:
    watch = SourceWatch(2.0, 0.0)
    assert watch.changed() == ""
    os.utime(source, (1, 1))
    assert watch.changed() == str(source)
    assert watch.changed() == ""


def test_file_that_is_replaced_changes_when_the_new_one_is_there(source: Path) -> None:
    watch = SourceWatch(2.0, 0.0)
    source.unlink()
    assert watch.changed() == ""
    source.touch()
    os.utime(source, (1, 1))
    assert watch.changed() == str(source)


def test_module_with_a_strange_file_is_passed_over(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in (("odd", 7), ("nul", "a\0b")):
        module = ModuleType(name)
        module.__file__ = place  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
    watch = SourceWatch(2.0, 0.0)
    os.utime(source, (1, 1))
    assert watch.changed() == str(source)


def test_all_workers_look_at_the_same_moments() -> None:
    early, late = SourceWatch(2.0, 100.1), SourceWatch(2.0, 101.9)
    assert early.due == late.due == 102.0
    assert not early.is_time(101.9)
    assert early.is_time(102.5)
    assert early.due == 104.0
