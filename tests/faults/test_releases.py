"""A release is a folder, `current` a link to one of them: each generation follows it anew."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, emperor_over, get
from tests.support.load import Way, application, check, load
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.rootless import NOBODY, rootless_over
from tests.support.wait import wait_until

TIMES = 20
HI = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]
"""
RATE = 40.0


@pytest.fixture(params=["confined", "rootless"])
def deployed(request: pytest.FixtureRequest, nothing_left_behind: None) -> Iterator[Emperor]:
    over = emperor_over if request.param == "confined" else rootless_over
    with over() as one:
        yield one
        if one.process is not None and one.process.poll() is None:
            assert one.stop() == 0, one.log()


@pytest.fixture(params=["own", "srv"])
def releases(request: pytest.FixtureRequest, deployed: Emperor) -> Iterator["Releases"]:
    """Return a folder of the vassal's user, and one of root's where everybody sees it."""
    if request.param == "own":
        folder = deployed.base / "site"
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Releases(folder)
        return
    need_root()
    folder = Path(tempfile.mkdtemp(prefix="emp-", dir="/srv"))
    folder.chmod(0o755)
    yield Releases(folder)
    shutil.rmtree(folder)


class Releases:
    """Folders with the application and a module beside it, below the one that is served."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.current = base / "current"
        self.served = base / "served" / "ids"
        self.served.parent.mkdir()
        self.served.touch()
        for path, mode in ((self.served.parent, 0o777), (self.served, 0o666)):
            path.chmod(mode)
        self.sandbox = f'[sandbox]\nbind_paths = ["{self.served.parent}"]\n'
        """For the vassal's file: where the application writes down whom it has served."""
        (base / "releases").mkdir()

    def make(self, name: str) -> None:
        """Write a release. Files of all releases are of one size and one time, as rsync and
        reproducible archives make them: Python's cache of bytecode must not mix them up."""
        folder = self.base / "releases" / name
        folder.mkdir()
        source = application(self.served).replace('VERSION = "one"', "from version import VERSION")
        source += "\nassert open('name.txt').read() == VERSION, os.getcwd()\n"
        (folder / "asked.py").write_text(source)
        (folder / "version.py").write_text(f'VERSION = "{name}"\n')
        (folder / "name.txt").write_text(name)
        for path in folder.iterdir():
            path.chmod(0o644)
            os.utime(path, (1, 1))
        if os.geteuid() == 0:
            owner = self.base.stat().st_uid
            for path in (folder.parent, folder):
                os.chown(path, owner, owner)

    def release(self, name: str) -> None:
        """Let `current` lead to a release, by rename."""
        new = self.base / "next"
        new.symlink_to(f"releases/{name}")
        new.rename(self.current)

    def remove(self, name: str) -> None:
        shutil.rmtree(self.base / "releases" / name)


def test_every_release_comes_to_serve_and_none_costs_a_request(
    deployed: Emperor, releases: Releases
) -> None:
    releases.make("r00")
    releases.release("r00")
    port = free_port()
    deployed.drop(
        "blog",
        app="asked:application",
        directory=str(releases.current),
        touch_reload=[str(releases.current)],
        port=port,
        workers=2,
        text="[health]\nsettle = 0.1\n" + releases.sandbox,
        on_unsupported="warn",
    )
    deployed.start()
    deployed.wait_state("blog", "ready")
    with load((Way("direct", port), Way("kept", port, keeps=True)), RATE) as asked:
        for number in range(1, TIMES + 1):
            name = f"r{number:02}"
            releases.make(name)
            releases.release(name)
            wait_until(lambda name=name: asked.version == name, 30, f"{name} serves")
            deployed.wait_state("blog", "ready")
            if number > 2:
                releases.remove(f"r{number - 3:02}")
    check(asked.outcomes, releases.served)
    assert deployed.vassal("blog")["last_failure"] is None


def test_worker_that_is_replaced_between_two_releases_is_of_the_old_one(
    deployed: Emperor, releases: Releases
) -> None:
    """The link was changed and nobody has reloaded: what serves is still one version."""
    for name in ("r00", "r01"):
        releases.make(name)
    releases.release("r00")
    port = free_port()
    deployed.drop(
        "blog",
        app="asked:application",
        directory=str(releases.current),
        port=port,
        text=releases.sandbox,
        on_unsupported="warn",
    )
    deployed.start()
    deployed.wait_state("blog", "ready")
    releases.release("r01")
    with load((Way("direct", port),), RATE) as asked:
        wait_until(lambda: asked.version, what="an answer")
        [before] = deployed.vassal("blog")["workers"]
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(
            lambda: (
                [row["pid"] for row in deployed.vassal("blog")["workers"]]
                not in ([], [0], [before["pid"]])
            ),
            what="another worker",
        )
    check(asked.outcomes, releases.served, lost_max=1)
    assert {one.version for one in asked.outcomes} <= {"r00", ""}
    deployed.do("reload", "blog")
    with load((Way("direct", port),), RATE, first=10_000) as asked:
        wait_until(lambda: asked.version == "r01", 20, "the new release")


def test_reload_looks_at_a_release_anew_with_an_unchanged_file(
    deployed: Emperor, releases: Releases
) -> None:
    """A release brings its own interpreter: what the link to it leads to counts at each reload."""
    for name in ("r00", "r01"):
        releases.make(name)
    releases.release("r00")
    python = releases.base / "python"
    python.symlink_to("/usr/bin/python3")
    touch = releases.base / "touched"
    touch.touch()
    port = free_port()
    deployed.drop(
        "blog",
        app="asked:application",
        directory=str(releases.current),
        python=str(python),
        touch_reload=[str(touch)],
        port=port,
        text=releases.sandbox,
        on_unsupported="warn",
    )
    deployed.start()
    deployed.wait_state("blog", "ready")
    python.unlink()
    releases.release("r01")
    status, answer = deployed.ask("POST", "/v1/vassals/blog/reload")
    assert status >= 400, answer
    assert f"{python} does not exist" in str(answer)
    assert deployed.vassal("blog")["state"] == "ready"
    python.symlink_to("/usr/bin/python3")
    os.utime(touch)
    with load((Way("direct", port),), RATE) as asked:
        wait_until(lambda: asked.version == "r01", 20, "the new release")


@pytest.mark.parametrize("top", ["/tmp", "/home"])
def test_release_link_that_the_vassal_cannot_see_is_refused_with_what_to_write(
    emperor: Emperor, top: str
) -> None:
    need_root()
    with tempfile.TemporaryDirectory(prefix="emp-", dir=top) as folder:
        base = Path(folder)
        base.chmod(0o755)
        (base / "releases/42").mkdir(parents=True)
        (base / "releases/42/hi.py").write_text(HI)
        (base / "current").symlink_to("releases/42")
        keys = {"app": "hi:application", "directory": f"{base}/current", "on_unsupported": "warn"}
        port = free_port()
        emperor.drop("blog", port=port, **keys)
        emperor.start()
        problem = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="a problem")[
            "message"
        ]
        assert f"the vassal cannot see the symbolic link {base}/current: {top} is hidden" in problem
        remedy = f'[sandbox] bind_read_only_paths = ["{base}"]'
        assert remedy in problem
        # What it says is what helps.
        emperor.drop("blog", port=port, text=remedy.replace("] b", "]\nb") + "\n", **keys)
        emperor.wait_state("blog", "ready")
        assert get(port)[0] == 200
