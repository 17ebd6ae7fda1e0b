"""The table of options, and what we make of some, beside the real uWSGI."""

import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emperor.config.settings import EmperorSettings, VassalSettings
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Known
from emperor.uwsgi.table import KNOWN, counts
from emperor.uwsgi.translate import settle_translation, translate
from tests.support import uwsgi
from tests.support.emperor import get
from tests.support.ports import free_port
from tests.support.wait import wait_until

BY_HEADERS = "ssl-sessions"  # OpenSSL's version decides, and the flags do not show it


def test_every_option_of_the_real_uwsgi_is_in_the_table_and_none_too_many() -> None:
    real = set(uwsgi.options())
    built = uwsgi.features()

    expected = {name for name, known in KNOWN.items() if _is_built(known, built)}

    tolerated = {name for name, known in KNOWN.items() if known.build == BY_HEADERS}
    assert len(real) > 900
    assert real - expected - tolerated == set()
    assert expected - real == set()


def test_short_forms_are_those_of_the_real_uwsgi() -> None:
    real = uwsgi.options()

    assert {name: KNOWN[name].short for name in real} == real


def test_the_verdicts_add_up() -> None:
    real = uwsgi.options()

    found = counts(real)

    print({str(support): count for support, count in found.items()})
    assert sum(found.values()) == len(real)
    assert found["unknown"] == 0


def _is_built(known: Known, built: set[str]) -> bool:
    return all(feature in built for feature in known.build.split("+") if feature)


# --- beside a running one -----------------------------------------------------------------

PROBE = """
import json, os, resource, sys, uwsgi

def app(environ, start_response):
    start_response("200 OK", [])
    found = {
        "workers": uwsgi.numproc,
        "max_head": uwsgi.buffer_size,
        "environment": os.environ.get("A"),
        "folder": os.getcwd(),
        "paths": [os.path.abspath(path) for path in sys.path[:2]],
        "limit_as": resource.getrlimit(resource.RLIMIT_AS),
        "limit_nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "umask": os.umask(0),
    }
    return [json.dumps(found).encode()]
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder with a short name: a socket's path is bounded."""
    with tempfile.TemporaryDirectory(prefix="uwsgi-") as name:
        for inner in ("vassals", "app/lib"):
            (Path(name) / inner).mkdir(parents=True)
        (Path(name) / "app" / "probe.py").write_text(PROBE)
        yield Path(name)


@contextmanager
def running(folder: Path, port: int, *lines: str) -> Iterator[dict[str, Any]]:
    """Run uWSGI in the folder of the file, as its emperor does; yield what the probe says."""
    file = folder / "vassals" / "blog.ini"
    always = ("master = true", "die-on-term = true", f"http-socket = 127.0.0.1:{port}")
    file.write_text("\n".join(["[uwsgi]", *lines, *always, ""]))
    log = (folder / "uwsgi.log").open("wb")
    process = subprocess.Popen(
        [uwsgi.uwsgi_program(), file.name], cwd=file.parent, stdout=log, stderr=log
    )
    try:
        yield json.loads(wait_until(lambda: _answer(port), what=(folder / "uwsgi.log").read_text()))
    finally:
        uwsgi.end(process)
        log.close()


def _answer(port: int) -> bytes | None:
    try:
        return get(port)[1]
    except OSError:
        return None


def ours(folder: Path, *lines: str) -> VassalSettings:
    """Return what we make of the same lines."""
    pairs = (line.partition("=")[::2] for line in lines)
    options = [
        Option(name.strip(), value.strip(), "blog.ini", number)
        for number, (name, value) in enumerate(pairs, 2)
    ]
    place = str(folder / "vassals")
    settings = settle_translation(
        translate("blog", options, place), "blog", place, EmperorSettings()
    )
    assert isinstance(settings, VassalSettings), settings
    return settings


@pytest.mark.parametrize("written", ["22", "2", "0027", "077"])
def test_umask_is_the_real_ones_but_where_that_is_000(folder: Path, written: str) -> None:
    lines = ("chdir = ../app", "module = probe:app", f"umask = {written}")
    with running(folder, free_port(), *lines, "socket = a.sock") as real:
        mask = ours(folder, *lines, "socket = a.sock").limits.umask
        assert real["umask"] == (mask if len(written) > 2 else 0)


def test_relative_paths_start_where_the_real_uwsgi_starts_them(folder: Path) -> None:
    lines = (
        "chdir = ../app",
        "module = probe:app",
        "socket = a.sock",
        "logto = a.log",
        "pythonpath = lib",
        "chmod-socket = 640",
    )

    with running(folder, free_port(), *lines) as real:
        found = ours(folder, *lines)
        assert os.path.realpath(found.directory) == real["folder"]
        assert os.path.realpath(found.pythonpath[0]) == real["paths"][0]
        (address,) = found.listen
        status = Path(address.path or "").stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == found.socket.mode == 0o640
        assert b"uWSGI" in Path(found.log.target).read_bytes()


def test_values_mean_what_they_mean_to_the_real_uwsgi(folder: Path) -> None:
    lines = (
        "chdir = ../app",
        "module = probe",
        "callable = app",
        "processes = 2 ; two",
        "buffer-size = 16384k",
        "env = A=1=2 ",
        "limit-as = 4000M",
        "max-fd = 256",
        "prio = 3",
        "umask = 027",
    )

    with running(folder, free_port(), *lines) as real:
        found = ours(folder, *lines, "http-socket = :80")
        assert found.workers.max == real["workers"] == 2
        assert found.max_head == real["max_head"] == 16384
        assert found.env["A"] == real["environment"]
        assert found.limits.rlimits["as"] == tuple(real["limit_as"])
        assert found.limits.rlimits["nofile"] == tuple(real["limit_nofile"])
        assert found.limits.nice == real["nice"] == 3
        assert found.limits.umask == real["umask"] == 0o027


def test_without_a_word_the_umask_is_that_of_the_real_uwsgi(folder: Path) -> None:
    lines = ("chdir = ../app", "module = probe:app")

    before = os.umask(0o022)
    try:
        with running(folder, free_port(), *lines) as real:
            assert ours(folder, *lines, "http-socket = :80").limits.umask == real["umask"]
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "lines",
    [
        ("chmod-socket = 0660",),
        ("chmod-socket = 888",),
        ("processes = 2", "cheaper = 2"),
        ("processes = -1",),
        ("http-socket = =3",),
        ("strict = true", "vaccum = true"),
        ("cron = 1 2 3",),
        ("cron2 = minute=1",),
        ("smart-attach-daemon = /a.pid",),
        ("attach-daemon2 = pidfile=/a.pid",),
        ("cache2 = items=3",),
        ("hook-pre-app = nonsense",),
        ("hook-pre-app = nonsense:a",),
    ],
    ids=lambda lines: lines[-1],
)
def test_what_the_real_uwsgi_refuses_we_refuse_too(folder: Path, lines: tuple[str, ...]) -> None:
    file = folder / "blog.ini"
    all_lines = (*lines, "module = probe:app", "socket = a.sock", "master = true")
    file.write_text("\n".join(["[uwsgi]", *all_lines, ""]))

    run = subprocess.run(
        [uwsgi.uwsgi_program(), str(file)],
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert run.returncode not in (0, None)
    pairs = (line.partition(" = ")[::2] for line in all_lines)
    options = [Option(name, value, "blog.ini", 2) for name, value in pairs]
    assert translate("blog", options, str(folder)).problems
