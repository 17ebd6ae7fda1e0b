"""`emperor uwsgi …` in the place of uWSGI's emperor, and its tyrant mode."""

import json
import os
import pwd
import subprocess

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import cmdline, pid_tree
from tests.support.uwsgi import end, uwsgi_program
from tests.support.uwsgi_emperor import emperor_uwsgi
from tests.support.wait import wait_until

SAYS = """
import os

def application(environ, start_response):
    start_response("200 OK", [])
    return [(os.environ.get("SAYS", "nothing") + " " + str(os.getuid())).encode()]
"""


def ini(one: Emperor, port: int, more: str = "") -> str:
    return f"[uwsgi]\nchdir = {one.apps}\nmodule = says\nhttp-socket = 127.0.0.1:{port}\n{more}"


@pytest.fixture
def port(emperor: Emperor) -> int:
    emperor.app("says", SAYS)
    return free_port()


def test_options_of_the_command_line_and_of_a_file_of_the_emperors(
    emperor: Emperor, port: int
) -> None:
    (emperor.base / "all.ini").write_text("[uwsgi]\nenv = SAYS=%(greeting)\n")
    own = emperor.base / "emperor.ini"
    own.write_text(f"[uwsgi]\nemperor = {emperor.vassals}\nmaster = true\nemperor-freq = 3\n")
    (emperor.vassals / "blog.ini").write_text(ini(emperor, port))
    words = ["--ini", str(own), "--vassal-set", "greeting=hello"]
    with emperor_uwsgi(emperor, *words, "--vassals-include", str(emperor.base / "all.ini")):
        emperor.wait_state("blog", "ready")
        assert get(port)[1].startswith(b"hello ")
        before = emperor.brain_pid
        environ = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
        assert command("upgrade", environ=environ).returncode == 0
        assert emperor.brain_pid != before
        assert get(port)[1].startswith(b"hello ")


def test_what_is_not_done_is_said_and_the_rest_runs(emperor: Emperor, port: int) -> None:
    words = ["--emperor", str(emperor.vassals), "--emperor-stats", "127.0.0.1:0"]
    with emperor_uwsgi(emperor, *words):
        assert "emperor-stats = 127.0.0.1:0: unsupported: " in emperor.log()


def test_pidfile_has_the_pid_of_the_emperor_as_with_uwsgi(emperor: Emperor, port: int) -> None:
    file = emperor.base / "emperor.pid"
    words = ["--emperor", str(emperor.vassals), "--emperor-pidfile", str(file)]
    real = subprocess.Popen(
        [uwsgi_program(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: file.exists() and file.read_text() == f"{real.pid}\n", 10.0, "uWSGI's")
    finally:
        real.kill()
        real.wait()
    with emperor_uwsgi(emperor, *words):
        assert file.read_text() == f"{emperor.pid}\n"
        assert file.stat().st_mode & 0o777 == 0o644
        before = emperor.brain_pid
        environ = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
        assert command("upgrade", environ=environ).returncode == 0
        assert emperor.brain_pid != before
        assert file.read_text() == f"{emperor.pid}\n"
    assert not file.exists()


@pytest.mark.parametrize("variable", ["UWSGI_VASSAL_GREETING", "UWSGI_VASSAL_ENV"])
def test_variables_for_vassals_are_options_of_each_before_its_own(
    emperor: Emperor, port: int, variable: str
) -> None:
    is_option = variable.endswith("_ENV")
    # Not compared: uWSGI 2.0.31 takes name and value of the variable behind it.
    given = {variable: "SAYS=all" if is_option else "all"}
    file = emperor.vassals / "blog.ini"
    file.write_text(ini(emperor, port, "" if is_option else "env = SAYS=%(greeting)\n"))

    def says() -> bytes:
        try:
            return get(port)[1]
        except OSError:
            return b""

    with emperor_uwsgi(emperor, UWSGI_EMPEROR=str(emperor.vassals), **given):
        emperor.wait_state("blog", "ready")
        assert says().startswith(b"all ")
        file.write_text(ini(emperor, port, "env = SAYS=own\n"))
        wait_until(lambda: says().startswith(b"own "), 10.0, "the file's own word")


def test_places_that_the_emperor_may_not_use_are_told_at_its_start(
    emperor: Emperor, port: int
) -> None:
    shared = emperor.base / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    words = ["--emperor", str(emperor.vassals), "--master-fifo"]
    pidfile = ["--pidfile", f"{emperor.base}/none/a.pid"]
    with emperor_uwsgi(emperor, *words, f"{shared}/emperor.fifo", *pidfile):
        verdicts = emperor.log().partition("event=emperor_started")[0]
        line = (
            f"master-fifo = {shared}/emperor.fifo: unsupported: {shared} is not the emperor's alone"
        )
        assert line in verdicts
        assert f"a.pid: unsupported: {emperor.base}/none: No such file or directory" in verdicts
    emperor.log_file.write_text("")
    with emperor_uwsgi(emperor, *words, f"{emperor.base}/emperor.fifo"):
        assert (emperor.base / "emperor.fifo").is_fifo()
        assert "unsupported" not in emperor.log()


TELLS = """
import json, os

def application(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps({name: os.environ.get(name) for name in NAMES}).encode()]

NAMES = ("SECRET_KEY", "SAYS", "UNWANTED", "WATCHDOG_USEC", "EMPEROR_RUNTIME_DIR")
"""
SECRET = "dont-tell-4711"


def test_providers_files_inherit_the_environment_as_uwsgis_and_nobody_else_is_told(
    emperor: Emperor, port: int
) -> None:
    emperor.app("tells", TELLS)
    given = {"SECRET_KEY": SECRET, "SAYS": "all", "UNWANTED": "x"}
    text = ini(emperor, port, "env = SAYS=own\nunenv = UNWANTED\n")
    file = emperor.vassals / "blog.ini"
    file.write_text(text.replace("says", "tells"))
    words = ["--emperor", str(emperor.vassals)]
    real = subprocess.Popen(
        [uwsgi_program(), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **given},
    )
    try:
        theirs = wait_until(lambda: told(port), 15.0, "uWSGI's")
    finally:
        end(real)
    others = {"native": free_port(), "tenants": free_port()}
    emperor.drop("native", "tells:application", port=others["native"])
    if os.geteuid() == 0:
        tenants = emperor.vassals / "tenants.ini"
        tenants.write_text(ini(emperor, others["tenants"]).replace("says", "tells"))
        os.chown(tenants, 65534, 65534)
    with emperor_uwsgi(emperor, *words, **given, WATCHDOG_USEC="60000000", WATCHDOG_PID="1"):
        ready = emperor.wait_state("blog", "ready")
        ours = told(port)
        assert ours == {"SAYS": "own", "SECRET_KEY": SECRET}
        assert {name: theirs[name] for name in ours} == ours
        for name in others if os.geteuid() == 0 else ["native"]:
            emperor.wait_state(name, "ready")
            assert told(others[name]) == {}
        environ = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
        assert command("upgrade", environ=environ).returncode == 0
        assert emperor.wait_state("blog", "ready")["generation"] == ready["generation"]
        seen = [emperor.log(), json.dumps(emperor.vassal("blog")), emperor.vassal_log("blog")]
        seen += [(emperor.runtime_dir / "uwsgi-emperor.toml").read_text()]
        seen += [command("explain", "blog", environ=environ).stdout]
        seen += [cmdline(pid) for pid in pid_tree(emperor.pid)]
        assert not [text for text in seen if SECRET in text]


def told(port: int) -> dict[str, str]:
    """Return what an application sees of its environment; empty if there is none yet."""
    try:
        found = json.loads(get(port)[1])
    except OSError:
        return {}
    return {name: value for name, value in found.items() if value is not None}


def test_log_goes_to_the_file_that_is_named(emperor: Emperor, port: int) -> None:
    log = emperor.base / "uwsgi.log"
    with emperor_uwsgi(emperor, "--emperor", str(emperor.vassals), "--logto", str(log)):
        assert "event=emperor_started" in log.read_text()


def test_tyrant_runs_each_file_as_its_owner_and_none_of_roots(emperor: Emperor, port: int) -> None:
    need_root()
    nobody = pwd.getpwnam("nobody").pw_uid
    (emperor.vassals / "mine.ini").write_text(ini(emperor, free_port()))
    theirs = emperor.vassals / "theirs.ini"
    theirs.write_text(ini(emperor, port))
    os.chown(theirs, nobody, nobody)
    with emperor_uwsgi(emperor, "--emperor", str(emperor.vassals), "--emperor-tyrant"):
        emperor.wait_state("theirs", "ready")
        assert get(port)[1] == f"nothing {nobody}".encode()
        refused = emperor.wait_state("mine", "parked")
        assert "belongs to root" in refused["last_failure"]["message"]
        assert "chown blog" in refused["last_failure"]["message"]


def test_only_what_the_pattern_chooses_is_served(emperor: Emperor, port: int) -> None:
    emperor.app("hello")
    other = free_port()
    for name, each in (("live-blog", port), ("draft", other)):
        (emperor.vassals / f"{name}.ini").write_text(
            f"[uwsgi]\nchdir = {emperor.apps}\nmodule = hello\nhttp-socket = 127.0.0.1:{each}\n"
        )
    with emperor_uwsgi(emperor, "--emperor", f"{emperor.vassals}/live-*.ini"):
        emperor.wait_state("live-blog", "ready")
        (emperor.vassals / "live-shop.toml").write_text("app = \n")
        (emperor.vassals / "draft.ini").rename(emperor.vassals / "live-draft.ini")
        emperor.wait_state("live-draft", "ready")
        names = {vassal["name"] for vassal in emperor.status()["vassals"]}
        assert names == {"live-blog", "live-draft"}
