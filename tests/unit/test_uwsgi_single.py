"""One application by uWSGI's command line, without an emperor."""

import signal

import pytest

from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings
from emperor.uwsgi.option import Option
from emperor.uwsgi.read import Loaded
from emperor.uwsgi.rows import Support
from emperor.uwsgi.single import Single, single_app
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.words import COMMAND_LINE, take_apart
from vassal.master.commands import Command

ALWAYS = "--http-socket :8000 --module blog.wsgi "
SHELL = {"HOME": "/root", "NOTIFY_SOCKET": "/run/n", "PYTHONPATH": "a:/b", "TERM": "x"}


def found(words: str) -> Single | ConfigError:
    taken = take_apart(words.split(), KNOWN)
    assert taken.problems == ()
    options = [Option(name, value, COMMAND_LINE, 1) for name, value in taken.options]
    loaded = Loaded(tuple(options), (), (), tuple(options))
    return single_app(loaded, "/srv", SHELL, EmperorSettings(), lambda pattern: [pattern])


def single(words: str) -> Single:
    one = found(ALWAYS + words)
    assert isinstance(one, Single), one
    return one


def test_nothing_is_confined_or_logged_elsewhere_that_nobody_asked_for() -> None:
    settings = single("").settings
    assert (settings.name, settings.app) == ("blog", "blog.wsgi:application")
    assert (settings.directory, settings.log.target) == ("/srv", "inherit")
    assert (settings.harakiri, settings.limits.rlimits) == (0, {})


def test_name_is_that_of_the_file() -> None:
    assert single("--ini /etc/uwsgi/apps-enabled/shop.ini").settings.name == "shop"
    assert single("--ini /etc/uwsgi/common.ini:shop").settings.name == "common"
    one = found("--http-socket :80 --wsgi-file /srv/-odd.py")
    assert isinstance(one, Single)
    assert one.settings.name == "app"


def test_environment_is_the_shells_without_what_systemd_tells_its_service() -> None:
    one = single("--env A=b --unenv TERM --unenv HOME --env HOME=/srv")
    assert one.environ == {"HOME": "/srv", "PYTHONPATH": "a:/b", "A": "b"}
    assert one.settings.pythonpath == ("/srv", "/srv/a", "/b")


def test_signals_are_those_of_a_master_only_where_there_is_one() -> None:
    assert single("").signals[signal.SIGTERM] is Command.RESTART
    assert single("--master").signals[signal.SIGTERM] is Command.RELOAD
    assert single("--master --die-on-term").signals[signal.SIGTERM] is Command.RESTART
    assert single("--die-on-term").signals[signal.SIGQUIT] is Command.RESTART


@pytest.mark.parametrize(
    ("words", "name", "support"),
    [
        ("--daemonize /var/log/a.log", "daemonize", Support.UNSUPPORTED),
        ("--cheap", "cheap", Support.UNSUPPORTED),
        ("--idle 60", "idle", Support.UNSUPPORTED),
        ("--idle 60 --die-on-idle", "idle", Support.SUPPORTED),
        ("--idle 0", "idle", Support.IGNORED),
        ("--vacuum", "vacuum", Support.SATISFIED),
        ("--processes 2", "processes", Support.SUPPORTED),
    ],
)
def test_verdicts_are_those_of_a_process_in_the_foreground(
    words: str, name: str, support: Support
) -> None:
    said = {verdict.option.name: verdict for verdict in single(words).verdicts}
    assert said[name].verdict is support, said[name].text


def test_it_never_sleeps_and_ends_when_idle_only_if_it_shall() -> None:
    assert not single("--cheap --idle 60").settings.on_demand
    assert single("--idle 60").settings.idle_stop == 0
    one = single("--idle 60 --die-on-idle")
    assert one.settings.idle_stop == 60


def test_what_is_missing_or_wrong_is_said_together() -> None:
    problems = found("--processes -2 --threads -1")
    assert isinstance(problems, ConfigError)
    assert {each.key for each in problems.problems} == {"module", "socket", "processes", "threads"}
