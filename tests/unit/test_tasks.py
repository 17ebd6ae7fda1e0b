"""Tasks beside requests: read, checked and kept, and said not to run."""

from pathlib import Path

import pytest

from emperor.cli.check import check_files
from emperor.config.problems import Invalid
from emperor.config.settings import Cron, Daemon, EmperorSettings, Remark, VassalSettings
from emperor.config.task_keys import NOT_YET, crons, daemons
from emperor.config.vassal_file import load_vassal, written
from emperor.uwsgi.native import native_text
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Support
from emperor.uwsgi.translate import Translation, translate

TASKS = """
app = "blog:app"
listen = "http://:80"
[[cron]]
schedule = "*/5 0-6,12 * * 1"
command = "./tidy"
[[daemon]]
command = "./worker"
kill_signal = 2
touch_reload = "a"
"""


def load(text: str) -> VassalSettings:
    found = load_vassal("blog", text, "blog.toml", "/srv", EmperorSettings())
    assert isinstance(found, VassalSettings), found
    return found


def test_tables_are_kept_and_remarked_upon_and_written_again() -> None:
    settings = load(TASKS)
    assert settings.cron == (Cron(schedule="*/5 0-6,12 * * 1", command="./tidy"),)
    assert settings.daemon == (Daemon(command="./worker", kill_signal=2, touch_reload=("a",)),)
    assert [remark.key for remark in settings.remarks] == ["cron.0", "daemon.0"]
    assert all("not run yet" in remark.reason for remark in settings.remarks)
    again = load(native_text(written(settings)))
    assert (again.cron, again.daemon) == (settings.cron, settings.daemon)


def test_check_says_of_our_files_what_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "blog.toml"
    file.write_text(TASKS)
    said: list[tuple[str, Remark]] = []
    problems = check_files([str(file)], on_remark=lambda path, remark: said.append((path, remark)))
    assert problems == []
    assert [(path, remark.key) for path, remark in said] == [
        (str(file), "cron.0"),
        (str(file), "daemon.0"),
    ]


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ("a", (), "is not an array of tables"),
        (["a"], (), "is not an array of tables"),
        ([{"command": "a"}], (0, "schedule"), "is missing"),
        ([{"schedule": "* * * *", "command": "a"}], (0, "schedule"), "has 4 fields, not 5"),
        ([{"schedule": "60 * * * *", "command": "a"}], (0, "schedule"), '"60" is no minute'),
        ([{"schedule": "* * 0 * *", "command": "a"}], (0, "schedule"), '"0" is no day'),
        ([{"schedule": "* * * * 5-2", "command": "a"}], (0, "schedule"), "is no weekday"),
        ([{"schedule": "*/0 * * * *", "command": "a"}], (0, "schedule"), "is no minute"),
        ([{"schedule": "* * * * *", "command": "a", "at": 1}], (0, "at"), "unknown key"),
    ],
)
def test_what_is_no_cron_is_said(value: object, path: tuple[object, ...], problem: str) -> None:
    with pytest.raises(Invalid) as found:
        crons(value)
    assert found.value.faults[0].path == path
    assert problem in found.value.faults[0].problem


def test_a_daemon_has_a_command() -> None:
    with pytest.raises(Invalid):
        daemons([{"pidfile": "/a"}])


# --- of uWSGI's files ---------------------------------------------------------------------


def translated(name: str, value: str) -> Translation:
    lines = [("module", "blog"), ("http-socket", ":80"), (name, value)]
    return translate("blog", [Option(*line, "a.ini", 2) for line in lines], "/srv")


@pytest.mark.parametrize(
    ("name", "value", "table"),
    [
        ("cron", "59 2 -1 -1 -1 ./a b", {"schedule": "59 2 * * *", "command": "./a b"}),
        ("cron", "-5 -2 -3 -4 7 a", {"schedule": "*/5 */2 3-31/3 4-12/4 7", "command": "a"}),
        (
            "unique-cron",
            "0 0 1 1 0 a",
            {"schedule": "0 0 1 1 0", "command": "a", "unique": True},
        ),
        (
            "cron2",
            "minute=-10,week=1,unique=1,harakiri=60 ./a b",
            {"schedule": "*/10 * * * 1", "command": "./a b", "unique": True, "timeout": 60},
        ),
        ("cron2", "./a b=c", {"schedule": "* * * * *", "command": "./a b=c"}),
    ],
)
def test_crons_are_kept_as_crontabs_lines(name: str, value: str, table: object) -> None:
    found = translated(name, value)
    assert found.problems == ()
    assert found.document.values["cron"] == [table]
    assert found.verdicts[-1][1:] == (Support.UNSUPPORTED, NOT_YET["cron"])


@pytest.mark.parametrize(
    ("name", "value", "table"),
    [
        ("attach-daemon", "./a b", {"command": "./a b"}),
        (
            "smart-attach-daemon",
            "/a.pid,30 ./a b",
            {"pidfile": "/a.pid", "command": "./a b", "daemonizes": True},
        ),
        ("smart-attach-daemon2", "/a.pid ./a", {"pidfile": "/a.pid", "command": "./a"}),
        (
            "attach-daemon2",
            "cmd=./a b\\,c,chdir=/srv,pidfile=/a.pid,daemonize=1,stop_signal=2,touch=/x;/y",
            {
                "command": "./a b,c",
                "directory": "/srv",
                "pidfile": "/a.pid",
                "kill_signal": 2,
                "touch_reload": ["/x", "/y"],
            },
        ),
    ],
)
def test_daemons_are_kept(name: str, value: str, table: object) -> None:
    found = translated(name, value)
    assert found.problems == ()
    assert found.document.values["daemon"] == [table]
    verdict, text = found.verdicts[-1][1:]
    assert (verdict, text.partition("; left out")[0]) == (Support.UNSUPPORTED, NOT_YET["daemon"])


ALL_KEYS = [
    "freq",
    "control",
    "uid",
    "gid",
    "stdin",
    "ns_pid",
    "max_throttle",
    "legion",
    "notifypid",
]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *(("attach-daemon2", f"cmd=a,{key}=1", [f"left out: {key}: "]) for key in ALL_KEYS),
        ("attach-daemon2", "cmd=a,uid=1,gid=2", ["; left out: uid: ", "; gid: "]),
        ("attach-daemon2", "cmd=a,foo=1", ['"foo" is no key of attach-daemon2']),
        ("attach-control-daemon", "./a", ["left out: control: "]),
        ("smart-attach-daemon", "/a.pid,30 ./a", ['"30" seconds: ']),
        ("cron2", "minute=1,foo=1 ./a", ['"foo" is no key of cron2']),
    ],
)
def test_each_key_that_is_left_out_has_its_word(name: str, value: str, words: list[str]) -> None:
    found = translated(name, value)
    assert found.problems == ()
    for word in words:
        assert word in found.verdicts[-1].text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attach-daemon2", "cmd=a,chdir=/srv,pidfile=/p,daemonize=1,touch=/x,stopsignal=2"),
        ("attach-daemon2", "exec=a,daemon=1,stop_signal=2,reload_signal=1,pidfile=/p"),
        ("attach-daemon", "./a freq=1,uid=2"),
        ("cron2", "./a foo=b"),
        ("cron2", "minute=1,unique=1,harakiri=3 ./a foo=b"),
    ],
)
def test_nothing_is_said_to_be_left_out_that_is_kept(name: str, value: str) -> None:
    assert "left out" not in translated(name, value).verdicts[-1].text


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("cron", "1 2 3 4 a", "is not five numbers and a command"),
        ("cron2", "minute=1", "has no command"),
        ("smart-attach-daemon", "/a.pid", "is no pidfile and command"),
        ("attach-daemon2", "pidfile=/a.pid", "command is missing"),
    ],
)
def test_what_is_no_task_is_a_problem_of_its_line(name: str, value: str, problem: str) -> None:
    found = translated(name, value)
    assert any(problem in each.problem for each in found.problems), found.problems
    assert not found.document.values.keys() & {"cron", "daemon"}
