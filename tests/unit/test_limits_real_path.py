"""Where a path really leads."""

import os
from pathlib import Path

import pytest

from limits import mount_api
from limits.real_path import real_path


@pytest.fixture(params=["openat2", "none"])
def tree(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "none":  # an old kernel, or a container that forbids the call
        monkeypatch.setattr(mount_api, "has_no_link", lambda path: False)
    top = Path(os.path.realpath(tmp_path))
    (top / "releases" / "7").mkdir(parents=True)
    (top / "current").symlink_to("releases/7")
    (top / "gone").symlink_to("nowhere")
    return top


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("releases/7", "releases/7"),
        ("current", "releases/7"),
        ("current/app", "releases/7/app"),
        ("gone/x", "nowhere/x"),
        ("releases/8", "releases/8"),
        ("releases/7/", "releases/7"),
        ("releases/../current", "releases/7"),
    ],
)
def test_links_are_followed_and_what_is_missing_stays(tree: Path, path: str, leads_to: str) -> None:
    assert real_path(f"{tree}/{path}") == f"{tree}/{leads_to}"


def test_a_relative_path_becomes_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert real_path("current") == f"{tree}/releases/7"


def test_the_root_is_itself() -> None:
    assert real_path("/") == "/"
