"""What is written as TOML is read again as the same."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.config.document import Document, read_document
from emperor.config.settings import EmperorSettings, VassalSettings
from emperor.config.vassal_file import settle
from emperor.uwsgi.native import native_text
from emperor.uwsgi.option import Option
from emperor.uwsgi.report import migrated_text, summary_line, verdict_line
from emperor.uwsgi.translate import native_values, settle_translation, translate

SCALARS = st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES), st.lists(st.text()))
def test_any_values_are_read_as_they_were_written(
    values: dict[str, Any], comments: list[str]
) -> None:
    assert tomllib.loads(native_text(values, comments)) == values


LINES = st.lists(
    st.sampled_from(
        [
            "callable = app",
            "chdir = /srv/blog",
            "chdir = rel/ative",
            "virtualenv = venv",
            "pp = lib",
            "pythonpath = /srv/\u00fcber",
            "env = A=1",
            'env = B="quoted" \\ = # no comment',
            "env = PYTHONPATH=/x:/y",
            "uid = www-data",
            "gid = 33",
            "http = :8080",
            "scgi-socket = run/s.sock",
            "chmod-socket",
            "chown-socket = blog:www-data",
            "listen = 512",
            "buffer-size = 32768",
            "socket-timeout = 10",
            "limit-post = 1000000",
            "processes = 8",
            "cheaper = 2",
            "threads = 4",
            "idle = 60",
            "harakiri = 30",
            "harakiri-graceful-timeout = 5",
            "max-requests = 1000",
            "max-requests-delta = 10",
            "max-worker-lifetime = 3600",
            "reload-on-rss = 200",
            "worker-reload-mercy = 7",
            "limit-as = 512",
            "limit-nproc = 50",
            "max-fd = 1024",
            "prio = 5",
            "umask = 077",
            "touch-reload = touched",
            "logto = log/a.log",
            "log-maxsize = 1000000",
            "logger = syslog",
        ]
    ),
    unique_by=lambda line: line.partition(" ")[0],
)


@settings(deadline=None)
@given(LINES)
def test_a_native_file_gives_the_settings_of_the_file_it_was_made_from(lines: list[str]) -> None:
    found = translate("blog", _options("module = blog", "socket = a.sock", *lines), "/etc/v")
    if found.problems:  # cheaper without processes
        return
    document = read_document(migrated_text(found, "blog.ini"), "blog.toml")
    assert isinstance(document, Document)

    # Whatever folder it is put into.
    again = settle("blog", document, "/elsewhere", EmperorSettings())

    assert isinstance(again, VassalSettings)
    assert again == settle_translation(found, "blog", "/etc/v", EmperorSettings())


def test_keys_come_in_the_order_of_the_documentation_and_tables_last() -> None:
    text = native_text(
        {
            "harakiri": 30,
            "env": {"MY KEY": "a"},
            "workers": {"min": 1, "max": 2},
            "app": "blog:app",
            "log": {"keep": 3},
        }
    )

    assert text == (
        'app = "blog:app"\nworkers = { min = 1, max = 2 }\nharakiri = 30\n\n'
        '[env]\n"MY KEY" = "a"\n\n[log]\nkeep = 3\n'
    )


def test_a_migrated_file_says_what_a_person_must_look_at() -> None:
    found = translate(
        "blog", _options("module = blog", "http = :80", "cron = 1 2 3 4 5 a", "vaccum"), "/v"
    )

    comments = [line for line in migrated_text(found, "blog.ini").splitlines() if line[:1] == "#"]

    assert comments == [
        "# Made from blog.ini by: emperor migrate",
        "# uwsgi: line 4: cron = 1 2 3 4 5 a: unsupported: kept, and not run yet: let a systemd"
        " timer or cron run it, as the vassal's user",
        "# uwsgi: line 5: vaccum: unknown: is no option of uWSGI, which takes it for a"
        " placeholder; did you mean vacuum?",
    ]


def test_a_comment_cannot_end_its_line() -> None:
    text = native_text({}, ["a\nuser = root", "b\x7f"])

    assert tomllib.loads(text) == {}


@pytest.mark.parametrize("value", [float("inf"), 1.5, 1e30, "\x7f\u2028\\\"'", [], {}])
def test_odd_values_are_written_as_toml_has_them(value: object) -> None:
    assert tomllib.loads(native_text({"key": [value]})) == {"key": [value]}


def test_a_line_for_each_option_and_a_sum() -> None:
    found = translate("blog", _options("module = blog", "http = :80", "master = true"), "/v")

    assert [verdict_line(each) for each in found.verdicts] == [
        'blog.ini:2: module = blog: supported: app = "blog:application"',
        'blog.ini:3: http = :80: supported: listen has "http://:80"',
        "blog.ini:4: master = true: satisfied: every vassal has a master, which has no code of the"
        " application's in it",
    ]
    assert summary_line(found) == "3 options: 2 supported, 1 satisfied"


def test_what_a_hostile_option_says_cannot_move_a_cursor() -> None:
    found = translate("blog", [Option("\x1b[2J" * 50, "\x1b\n", "blog.ini", 2)], "/v")

    assert verdict_line(found.verdicts[0]).isprintable()


def test_native_values_say_what_uwsgi_does_without_a_word() -> None:
    values = native_values(translate("blog", _options("module = blog"), "/v").document)

    assert values["harakiri"] == 0
    assert values["limits"] == {"umask": "022"}


def _options(*lines: str) -> list[Option]:
    pairs = (line.partition("=")[::2] for line in lines)
    return [
        Option(name.strip(), value.strip(), "blog.ini", number)
        for number, (name, value) in enumerate(pairs, 2)
    ]
