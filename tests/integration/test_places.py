"""Which of the host's places a vassal sees, and which it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emperor.brain.places import Places, emperors_own, find_places, is_of_others, own_folder
from emperor.config.identity import Identity
from emperor.config.settings import EmperorSettings, VassalSettings
from limits.directives import Sandbox
from limits.real_path import real_path
from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until

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
        emperors_own(emperor), settings, identity, "/usr/bin/python3", [log or "inherit"], False
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
        assert own_folder(real_path(str(current)), STRANGER.uid) == str(base / "apps")
    assert own_folder(real_path(str(current)), 54322) == str(releases)


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
    found = find_places(
        emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"], False
    )
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
    found = find_places(
        emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"], False
    )
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
    found = find_places(
        emperors_own(emperor), settings, STRANGER, "/usr/bin/python3", ["inherit"], False
    )
    here = {path: may_write for path, may_write in found.homes if path.startswith(str(base))}
    assert here == {str(base / "apps"): True, str(base / "run/lib"): False}


def test_tenants_file_uncovers_no_home_of_others(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_root()
    home = base / "home"
    monkeypatch.setattr("emperor.brain.places.HOMES", (str(home),))
    mine, others = home / "mine", home / "others"
    for path in (mine / "site" / "lib", others / "public", base / "srv"):
        path.mkdir(parents=True)
    os.chown(mine, STRANGER.uid, -1)
    (base / "link").symlink_to(others / "public")
    withheld = {str(base), str(home), str(others), str(others / "public"), str(home / "gone")}
    for path in withheld | {"/"}:
        assert is_of_others(path, STRANGER.uid), path
    for path in (mine, mine / "site" / "lib", mine / "gone", base / "srv", "/usr"):
        assert not is_of_others(str(path), STRANGER.uid), path
    emperor = EmperorSettings(runtime_dir=str(base / "run"), state_dir=str(base / "run"))
    settings = VassalSettings(
        name="blog",
        app=f"{others}/app.py:a",
        directory=str(mine / "site"),
        listen=(),
        static={"/a": str(home), "/b": str(base / "link"), "/c": str(mine / "site")},
        check_static=(str(others),),
        pythonpath=(str(home), str(mine / "site" / "lib")),
        sandbox=Sandbox(protect_home="true"),
    )

    def found(by_tenant: bool) -> Places:
        own = emperors_own(emperor)
        return find_places(own, settings, STRANGER, f"{home}/python3", [f"{home}/x.log"], by_tenant)

    assert set(found(True).withheld) == {str(home), str(others), str(others / "public")}
    shown = {path for path, _ in found(True).homes if path.startswith(str(base))}
    assert shown == {str(mine / "site")}
    assert str(home) in dict(found(False).homes)
    assert not found(False).withheld


def test_neighbours_are_not_seen_whatever_a_tenant_writes(emperor: Emperor) -> None:
    need_root()
    emperor.app("looks", LOOKS)
    home = Path("/home") / f"emp-{os.getpid()}"
    (home / "public").mkdir(parents=True)
    (home / "public" / "secret.txt").write_text("of somebody else")
    port = free_port()
    text = (
        f'app = "looks:application"\ndirectory = "{emperor.apps}"\n'
        f'listen = "http://127.0.0.1:{port}"\npythonpath = ["/home"]\n'
        f'[static]\n"/all" = "/home"\n"/one" = "{home}/public"\n'
    )
    try:
        for name, directory in (("blog", None), ("bad", "/home")):
            new = emperor.base / f".{name}"
            new.write_text(text.replace(str(emperor.apps), directory or str(emperor.apps)))
            os.chown(new, 65534, 65534)
            new.rename(emperor.vassals / f"{name}.toml")
        emperor.start()
        blog = emperor.wait_state("blog", "ready")
        assert home.name not in get(port)[1].decode()
        for path in (f"/all/{home.name}/public/secret.txt", "/one/secret.txt"):
            assert b"of somebody else" not in get(port, path)[1]
        said = [one["reason"] for one in blog["unsupported"] if "protect_home" in one["key"]]
        assert len(said) == 2
        assert "is not shown" in said[0]
        failure = emperor.wait_state("bad", "parked")["last_failure"]["message"]
        assert "homes that are not nobody's" in failure
    finally:
        shutil.rmtree(home)


LOOKS = """
import os

def application(environ, start_response):
    start_response("200 OK", [])
    try:
        return [" ".join(os.listdir("/home")).encode()]
    except OSError as error:
        return [str(error).encode()]
"""


@pytest.mark.parametrize("target", ["/tmp/site", "{base}/site"])
def test_application_and_virtualenv_below_the_target_of_a_bind_serve(
    emperor: Emperor, target: str
) -> None:
    need_root()
    emperor.app("hello")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(emperor.apps / "venv")], check=True
    )
    target = target.format(base=emperor.base)
    for name in ("site", "site/sub"):  # what is there on the host is not what is seen
        (emperor.base / name).mkdir()
    (emperor.apps / "sub").mkdir()
    (emperor.apps / "sub" / "hello.py").write_text((emperor.apps / "hello.py").read_text())
    port = emperor.drop(
        "blog",
        directory=f"{target}/sub",
        python=f"{target}/venv",
        pythonpath=[target],
        text=f'[sandbox]\nbind_paths = ["{emperor.apps}:{target}"]\n',
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[1].startswith(b"one ")


def test_file_to_be_touched_below_the_target_of_a_bind_is_its_sources(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    (emperor.apps / "deployed").touch()
    emperor.drop(
        "blog",
        directory="/tmp/site",
        touch_reload=["deployed"],
        text=f'[sandbox]\nbind_paths = ["{emperor.apps}:/tmp/site"]\n',
    )
    emperor.start()
    generation = emperor.wait_state("blog", "ready")["generation"]
    os.utime(emperor.apps / "deployed")
    wait_until(lambda: emperor.vassal("blog")["generation"] > generation, what="a reload")


def test_bind_of_what_may_be_missing(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    gone, there = emperor.base / "gone", emperor.base / "there"
    there.mkdir()
    (there / "hello.py").write_text((emperor.apps / "hello.py").read_text().replace("one", "two"))
    text = '[sandbox]\nbind_read_only_paths = ["-{}:{}"]\n'
    port = emperor.drop("blog", text=text.format(gone, emperor.apps))
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[1].startswith(b"one ")
    port = emperor.drop("shop", text=text.format(there, emperor.apps))
    emperor.wait_state("shop", "ready")
    assert get(port)[1].startswith(b"two ")
    emperor.drop("typo", text=text.format(there, "/nowhere"))
    message = emperor.wait_state("typo", "parked")["last_failure"]["message"]
    assert "there is no /nowhere to show" in message


def test_bind_of_nothing_is_told_with_its_line(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    emperor.drop("blog", text='[sandbox]\nbind_paths = [\n    "/nowhere:/tmp/x",\n]\n')
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert failure["kind"] == "config"
    assert "/blog.toml:5: sandbox.bind_paths: /nowhere does not exist" in failure["message"]
