"""Which of the host's places a vassal sees, and which it does not."""

import os
from pathlib import Path

import pytest

from emperor.brain.places import emperors_own, find_places, own_folder
from emperor.config.identity import Identity
from emperor.config.settings import EmperorSettings, VassalSettings

ME = Identity(
    uid=os.geteuid(), gid=os.getegid(), groups=(), user="me", home="/nonexistent", shell="/bin/sh"
)
STRANGER = Identity(
    uid=54321, gid=54321, groups=(), user="blog", home="/nonexistent", shell="/bin/sh"
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("vassals", "apps", "run/log/blog"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path.resolve()


def places(base: Path, directory: Path, identity: Identity, log: str = "") -> tuple[set, set]:
    emperor = EmperorSettings(
        directories=(str(base / "vassals"),),
        runtime_dir=str(base / "run"),
        log_dir=str(base / "run/log"),
        state_dir=str(base / "run"),
        file=str(base / "vassals" / "emperor.toml"),
    )
    settings = VassalSettings(name="blog", app="a:b", directory=str(directory), listen=())
    found = find_places(
        emperors_own(emperor), settings, identity, "/usr/bin/python3", [log or "inherit"]
    )
    return dict(found.homes), set(found.hidden)


def test_folders_of_the_emperor_are_hidden_and_the_own_log_is_shown(base: Path) -> None:
    log = str(base / "run/log/blog/blog.log")
    homes, hidden = places(base, base / "apps", STRANGER, log)
    assert homes[str(base / "apps")] is True
    assert homes[str(base / "run/log/blog")] is True
    assert hidden == {str(base / "run"), str(base / "run/log"), str(base / "vassals")}


def test_application_beside_its_vassal_file_is_seen(base: Path) -> None:
    _, hidden = places(base, base / "vassals", STRANGER)
    assert str(base / "vassals") not in hidden


def test_application_in_a_home_that_holds_the_emperors_folders_too_is_seen(base: Path) -> None:
    if os.geteuid() == 0:
        os.chown(base, STRANGER.uid, 0)
        os.chown(base / "vassals", STRANGER.uid, 0)
    one = STRANGER if os.geteuid() == 0 else ME
    (base / "vassals" / "app").mkdir()
    os.chown(base / "vassals" / "app", one.uid, -1)
    homes, hidden = places(base, base / "vassals" / "app", one)
    assert any(str(base).startswith(home) for home in homes)
    assert str(base / "vassals") not in hidden
    assert str(base / "run") in hidden


def test_own_folder_is_the_highest_that_the_user_owns(base: Path) -> None:
    releases = base / "apps" / "releases" / "42"
    releases.mkdir(parents=True)
    current = base / "apps" / "current"
    current.symlink_to("releases/42")
    if os.geteuid() == 0:
        for path in (base / "apps", releases.parent, releases):
            os.chown(path, STRANGER.uid, 0)
        assert own_folder(str(current), STRANGER.uid) == str(base / "apps")
    assert own_folder(str(current), 54322) == str(releases)


def test_folders_of_static_files_are_shown_and_may_not_be_written(base: Path) -> None:
    emperor = EmperorSettings(runtime_dir=str(base / "run"), state_dir=str(base / "run"))
    one = base / "one.txt"
    one.touch()
    for name in ("files", "public"):
        (base / name).mkdir()
    (base / "link").symlink_to(base / "files")
    settings = VassalSettings(
        name="blog",
        app="a:b",
        directory=str(base / "apps"),
        listen=(),
        static={"/static": str(base / "link"), "/one.txt": str(one)},
        check_static=(str(base / "public"), "/nowhere", str(base / "run/log"), str(base / "run")),
    )
    found = find_places(emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"])
    homes = dict(found.homes)
    assert homes[str(base / "files")] is False
    assert homes[str(base / "public")] is False
    assert not {str(one), "/nowhere", str(base / "run/log"), str(base / "run")} & set(homes)
    assert str(base / "run") in found.hidden, "a file cannot uncover the emperor's own"


def test_folders_of_applications_are_shown_wherever_they_are(base: Path) -> None:
    emperor = EmperorSettings(runtime_dir=str(base / "run"), state_dir=str(base / "run"))
    for name in ("blog", "shop"):
        (base / name).mkdir()
    settings = VassalSettings(
        name="blog",
        app=f"{base}/blog/app.py:create('a:b')",
        directory=str(base / "apps"),
        listen=(),
        mounts={"/a": "a:b", "/b": "../shop/app.py:a", "/c": f"{base}/run/a.py:b", "/d": "/a.py:b"},
    )
    found = find_places(emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"])
    homes = dict(found.homes)
    assert homes[str(base / "blog")] is False
    assert homes[str(base / "shop")] is False
    assert not {"/", str(base / "run")} & set(homes)


def test_what_is_below_the_directory_stays_as_writable_as_that(base: Path) -> None:
    emperor = EmperorSettings(runtime_dir=str(base / "run"), state_dir=str(base / "run"))
    for name in ("media", "project", "shop"):
        (base / "apps" / name).mkdir()
    settings = VassalSettings(
        name="blog",
        app=f"{base}/apps/shop/app.py:a",
        directory=str(base / "apps"),
        listen=(),
        static={"/media": str(base / "apps/media")},
        pythonpath=(str(base / "apps/project"), str(base / "run/lib")),
    )
    found = find_places(emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"])
    here = {path: may_write for path, may_write in found.homes if path.startswith(str(base))}
    assert here == {str(base / "apps"): True, str(base / "run/lib"): False}
