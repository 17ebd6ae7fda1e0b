"""The command line of uWSGI's emperor, in our terms."""

import tomllib

import pytest

from emperor.uwsgi.command_line import EmperorsOwn, emperors_own
from emperor.uwsgi.environment import ENVIRONMENT, INHERITED_BYTES_MAX, from_environment, inherited
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Support
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.words import COMMAND_LINE, take_apart


def own(*words: str) -> EmperorsOwn:
    taken = take_apart(words, KNOWN)
    assert taken.problems == ()
    options = [Option(name, value, COMMAND_LINE, 1) for name, value in taken.options]
    return emperors_own(options, KNOWN, "/srv")


def settings(*words: str) -> dict[str, object]:
    return tomllib.loads(own(*words).text)


def test_words_are_taken_apart_as_getopt_does_it() -> None:
    words = ["--emperor", "/etc/a", "--uid=www-data", "-M", "-p", "4", "-l100", "site.yml"]
    assert take_apart(words, KNOWN).options == (
        ("emperor", "/etc/a"),
        ("uid", "www-data"),
        ("master", "true"),
        ("workers", "4"),
        ("listen", "100"),
        ("yaml", "site.yml"),
    )


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("site.ini -M", [("master", "true"), ("ini", "site.ini")]),
        ("-MTp4", [("master", "true"), ("enable-threads", "true"), ("workers", "4")]),
        ("-MC site.ini", [("master", "true"), ("chmod", "true"), ("ini", "site.ini")]),
        ("-C660", [("chmod", "660")]),
        ("--chmod-socket=660", [("chmod-socket", "660")]),
        ("--wsgi-fil app.py", [("wsgi-file", "app.py")]),
        ("-- --strange.yaml", [("yaml", "--strange.yaml")]),
    ],
)
def test_letters_beginnings_and_files_are_taken_as_uwsgi_takes_them(
    words: str, options: list[tuple[str, str]]
) -> None:
    taken = take_apart(words.split(), KNOWN)
    assert (taken.options, taken.problems) == (tuple(options), ())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--master=false", "--master: takes no value; write --master, or leave it out"),
        (
            "--mast",
            "--mast: is the beginning of several options; write --master, --master-as-root,"
            " --master-fifo",
        ),
        (
            "app.py",
            "app.py: is no configuration file; name it by its option: --ini FILE, --wsgi-file FILE,"
            " --module MODULE",
        ),
        ("-M!p 4", "-!: is no option of uWSGI; remove it"),
        ("-p", "-p: needs a value; write -p VALUE"),
    ],
)
def test_words_that_uwsgi_refuses(words: str, problem: str) -> None:
    assert str(take_apart(words.split(), KNOWN).problems[0]) == f"command line:1: {problem}"


def test_all_that_is_wrong_is_said_at_once() -> None:
    problems = take_apart(["--emperro", "/a", "--no-such-thing", "--uid"], KNOWN).problems
    assert [str(problem) for problem in problems] == [
        "command line:1: --emperro: is no option of uWSGI; did you mean --emperor?",
        "command line:1: --no-such-thing: is no option of uWSGI; remove it",
        "command line:1: --uid: needs a value; write --uid VALUE",
    ]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("/etc/uwsgi/vassals", {"directories": ["/etc/uwsgi/vassals"]}),
        ("/etc/uwsgi/*.ini", {"directories": ["/etc/uwsgi"], "files": ["/etc/uwsgi/*.ini"]}),
        ("dir:///etc/uwsgi", {"directories": ["/etc/uwsgi"]}),
        ("glob:///etc/uwsgi/*", {"directories": ["/etc/uwsgi"]}),
        ("live-?.ini", {"directories": ["/srv"], "files": ["/srv/live-?.ini"]}),
        ("/etc/blog.ini", {"directories": ["/etc"], "files": ["/etc/blog.ini"]}),
        ("vassals", {"directories": ["/srv/vassals"]}),
    ],
)
def test_what_is_watched(written: str, found: dict[str, list[str]]) -> None:
    assert watched("--emperor", written) == found


def test_a_directory_that_is_named_as_a_whole_too_is_watched_as_a_whole() -> None:
    found = watched("--emperor", "/etc/a/*.ini", "--emperor", "/etc/a")
    assert found == {"directories": ["/etc/a"]}


def watched(*words: str) -> dict[str, object]:
    found = settings(*words)
    return {key: found[key] for key in ("directories", "files") if key in found}


@pytest.mark.parametrize("path", ["pg://host=db", "/home/*/vassals"])
def test_what_nothing_watches_is_refused(path: str) -> None:
    found = own("--emperor", path)
    assert len(found.problems) == 1
    assert not found.is_emperor


def test_units_that_people_have() -> None:
    found = own(
        "--emperor", "/etc/uwsgi", "--emperor-tyrant", "--die-on-term", "--master",
        "--vassals-inherit", "base.ini", "--vassal-set", "chmod-socket=660",
        "--uid", "www-data", "--gid", "www-data", "--logto", "/var/log/uwsgi/emperor.log",
        "--emperor-stats", "127.0.0.1:9191", "--emperor-freq", "5",
    )  # fmt: skip
    assert tomllib.loads(found.text) == {
        "directories": ["/etc/uwsgi"],
        "stats": ["tcp://127.0.0.1:9191"],
        "policy": {"tyrant": True, "default_user": "www-data", "default_group": "www-data"},
        "uwsgi": {
            "vassals_inherit": ["/etc/uwsgi/base.ini"],
            "vassals_set": ["chmod-socket=660"],
            "inherit_environment": True,
        },
    }
    assert found.log == "/var/log/uwsgi/emperor.log"
    said = {verdict.option.name: verdict.verdict for verdict in found.verdicts}
    assert said["master"] is said["die-on-term"] is Support.SATISFIED
    assert said["emperor-freq"] is Support.IGNORED


def test_statistics_of_the_emperor_and_of_all_workers_have_an_address_each() -> None:
    found = own("--emperor", "/e", "--emperor-stats", "@emperor", "--stats", "all.sock")
    assert tomllib.loads(found.text)["stats"] == ["unix://@emperor"]
    assert tomllib.loads(found.text)["stats_workers"] == ["unix:///srv/all.sock"]
    found = own("--emperor", "/e", "--emperor-stats-server", ":9191", "--stats-http")
    assert tomllib.loads(found.text)["stats"] == ["http://:9191"]
    found = own("--emperor", "/e", "--stats", "udp://x")
    assert found.problems == ()
    assert found.verdicts[-1].verdict is Support.UNSUPPORTED
    assert "stats_workers" not in tomllib.loads(found.text)


def test_pidfile_is_the_last_of_its_kind_and_the_emperors_own_before_others() -> None:
    words = ("--emperor", "/e", "--pidfile", "/run/a.pid", "--safe-pidfile", "b.pid")
    assert settings(*words, "--safe-pidfile", "c.pid")["pidfile"] == "/srv/c.pid"
    found = own(*words, "--emperor-pidfile", "/run/emperor.pid")
    assert tomllib.loads(found.text)["pidfile"] == "/run/emperor.pid"
    refused = [each for each in found.verdicts if each.verdict is Support.UNSUPPORTED]
    assert {each.option.name for each in refused} == {"pidfile", "safe-pidfile"}
    assert refused[0].text == "an emperor has one pidfile, and emperor-pidfile says where"
    same = own(*words[:4], "--emperor-pidfile", "/run/a.pid")
    assert Support.UNSUPPORTED not in [each.verdict for each in same.verdicts]


def test_variables_are_options_of_the_emperor_and_of_its_vassals() -> None:
    environ = {
        "PATH": "/bin",
        "UWSGI_RELOADS": "3",
        "UWSGI_Emperor_Stats": "@all",
        "UWSGI_VASSAL_SET": "a=b",
        "UWSGI_VASSAL_MY_OWN": "c=d",
        "UWSGI_VASSAL_THREADS": "2",
        "UWSGI_EMPTY": "",
    }
    found = from_environment(environ, KNOWN)
    assert found.own == (("emperor-stats", "@all"), ("vassal-set", "a=b"), ("empty", ""))
    assert found.for_vassals == (("my-own", "c=d"), ("threads", "2"))
    options = [Option("emperor", "/e", COMMAND_LINE, 1), Option("threads", "2", ENVIRONMENT, 1)]
    text = emperors_own(options, KNOWN, "/srv", found.for_vassals)
    assert tomllib.loads(text.text)["uwsgi"] == {
        "vassals_options": ["my-own=c=d", "threads=2"],
        "inherit_environment": True,
    }
    assert text.verdicts[-1].text == "is for vassals: set UWSGI_VASSAL_THREADS"


def test_vassals_inherit_all_but_what_is_the_emperors_own() -> None:
    own = (
        "NOTIFY_SOCKET WATCHDOG_USEC LISTEN_FDS INVOCATION_ID JOURNAL_STREAM MAINPID FDSTORE"
        " CREDENTIALS_DIRECTORY SYSTEMD_EXEC_PID EMPEROR_RUNTIME_DIR UWSGI_EMPEROR PYTHONPATH HOME"
        " USER LOGNAME SHELL PATH VIRTUAL_ENV XDG_RUNTIME_DIR"
    )
    environ = dict.fromkeys(own.split(), "x")
    mine = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SECRET_KEY": "s", "TZ": "UTC", "EMPTY": ""}
    assert inherited(environ | mine) == (mine, ())
    large = "x" * (INHERITED_BYTES_MAX - 1)
    found = inherited({"A": large, "B": "b", "BYTES": "\udcff"})
    assert found == ({"A": large}, ("B", "BYTES"))


def test_files_that_the_emperor_may_open_are_granted_to_its_vassals() -> None:
    defaults = {"limits": {"limit_nofile": 65536}}
    assert settings("--emperor", "/etc/a", "--max-fd", "65536")["defaults"] == defaults
    assert "defaults" not in settings("--emperor", "/etc/a", "--max-fd", "0")


def test_options_of_a_vassal_are_said_to_be_one_s() -> None:
    found = own("--emperor", "/etc/uwsgi", "--processes", "4")
    assert found.verdicts[-1].verdict is Support.UNSUPPORTED
    assert found.verdicts[-1].text == "is for vassals"


def test_the_file_of_an_emperor_is_no_option_of_a_vassal() -> None:
    found = own("--emperor", "/etc/uwsgi", "--ini", "/etc/uwsgi-emperor/emperor.ini")
    assert found.verdicts[-1].verdict is Support.SUPPORTED
    assert own("--emperor", "/etc/uwsgi/*.ini").verdicts[-1].verdict is Support.SUPPORTED
