"""Whole sites through a watched directory: uWSGI's emperor, ours, and ours after `migrate`."""

import contextlib
import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, emperor_over
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import pid_tree
from tests.support.uwsgi import uwsgi_program
from tests.support.uwsgi_corpus import CASES
from tests.support.uwsgi_served import Served, make_venv

SITES = [
    case
    for case in CASES
    if case.name.startswith("whole-") and "chdir = /srv/shop\n" in case.files["vassal.ini"]
]
UNCONFINED = """
[defaults.sandbox]
private_tmp = false
private_devices = false
protect_system = "no"
protect_home = "no"
landlock = false
"""
NOT_SAID = {
    "opt",  # is of the file's options, which a native file has not
    "environ",  # compared apart: each emperor hands on some of its own
}


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """Yield a folder that everybody may enter, with a virtualenv in it."""
    need_root()
    with tempfile.TemporaryDirectory(prefix="mgrt-") as name:
        Path(name).chmod(0o755)
        make_venv(Path(name))
        yield Path(name)


@pytest.fixture(scope="module")
def sites(base: Path) -> list[Served]:
    made = []
    for case in SITES:
        folder = base / case.name
        folder.mkdir()
        made.append(Served(case, folder, free_port(), base / "venv"))
    return made


def write(sites: list[Served], folder: Path) -> None:
    """Write every site's file into a directory for an emperor, with a port to ask it at."""
    folder.mkdir(mode=0o755)
    for site in sites:
        text = (site.folder / "vassal.ini").read_text()
        more = f"http-socket = 127.0.0.1:{site.port}\nuid = games\ngid = games\n"
        (folder / f"{site.case.name}.ini").write_text(text + more)


def answers(sites: list[Served], log: Any) -> dict[str, Any]:
    """Return what every site says, without what may differ."""
    deadline = time.monotonic() + 60
    found = {}
    for site in sites:
        while not listens(site.port):
            assert time.monotonic() < deadline, f"{site.case.name}\n{log()}"
            time.sleep(0.05)
        found[site.case.name] = [told(site, answer) for answer in site.ask_all()]
    return found


def listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    return False


def told(site: Served, answer: list[Any]) -> list[Any]:
    if not isinstance(answer[-1], dict):
        return answer
    said = {key: value for key, value in answer[-1].items() if key not in NOT_SAID}
    own = {
        name: value
        for name, value in answer[-1]["environ"].items()
        if f"env = {name}=" in site.case.files["vassal.ini"] or name == "DJANGO_SETTINGS_MODULE"
    }
    return [*answer[:-1], {**said, "own": own}]


@contextlib.contextmanager
def ours(config: Path, vassals: Path) -> Iterator[Emperor]:
    with emperor_over("mgrt-") as one:
        one.config_file = config
        one.vassals = vassals
        one.start()
        yield one


@contextlib.contextmanager
def theirs(vassals: Path, log: Path) -> Iterator[None]:
    environ = {**os.environ, "LANG": "C.UTF-8"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [uwsgi_program(), "--emperor", str(vassals)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield
    finally:
        for pid in [process.pid, *pid_tree(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(20)


def test_sites_answer_alike_under_uwsgi_under_us_and_after_migrate(
    base: Path, sites: list[Served]
) -> None:
    assert len(sites) >= 15
    config = base / "emperor.toml"
    config.write_text(UNCONFINED)
    write(sites, base / "ini")
    with theirs(base / "ini", base / "uwsgi.log"):
        uwsgis = answers(sites, (base / "uwsgi.log").read_text)
    with ours(config, base / "ini") as one:
        as_they_are = answers(sites, one.log)
    # What a file asks its environment for is answered when it is migrated.
    words = ("migrate", str(base / "ini"), "--to", str(base / "toml"))
    done = command(*words, environ={"HOME": os.environ.get("HOME", "/root")})
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (base / "toml").iterdir()}
    assert names == {f"{case.name}.toml" for case in SITES}
    with ours(config, base / "toml") as one:
        migrated = answers(sites, one.log)
    for site in sites:
        name = site.case.name
        assert as_they_are[name] == uwsgis[name], name
        assert migrated[name] == as_they_are[name], name
