import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from emperor.cli import tables, terminal, units
from emperor.cli.client_commands import LINE_BYTES_MAX, json_text, log_lines
from emperor.cli.view import Cell, Column, Line, Table, cell, line, plain
from emperor.status import (
    AppliedLimit,
    Backlog,
    CurrentRequest,
    EmperorStatus,
    Event,
    Explanation,
    Status,
    Unsupported,
    VassalState,
    VassalStatus,
    WorkerStatus,
)
from vassal.failure import Failure
from vassal.messages import Totals

NOW = 1000.0
EVIL = "\x1b[2J\x9b1m\u202e\r\n\x00é"

EMPEROR = EmperorStatus(
    pid=12, spawner_pid=11, version="0.1", since=808.0, mode="root", directories=("/etc/vassals",)
)
BUSY_WORKER = WorkerStatus(
    slot=0,
    pid=812,
    state="busy",
    requests=12,
    exceptions=1,
    harakiris=2,
    rss_bytes=48 * 2**20,
    since=940.0,
    current=CurrentRequest(method="GET", uri="/report?q=1", seconds=2.25),
)
IDLE_WORKER = WorkerStatus(
    slot=1,
    pid=812,
    state="idle",
    requests=3,
    exceptions=0,
    harakiris=0,
    rss_bytes=48 * 2**20,
    since=940.0,
)
BLOG = VassalStatus(
    name="blog",
    state=VassalState.READY,
    config="/etc/vassals/blog.toml",
    user="blog",
    generation=2,
    pid=800,
    since=808.0,
    listen=("http://127.0.0.1:8000",),
    hosts=("blog.example",),
    workers=(BUSY_WORKER, IDLE_WORKER),
    totals=Totals(requests=15, exceptions=1, harakiris=2, bytes_sent=2048),
    unsupported=(Unsupported(key="cpu_quota", reason="no cgroup"),),
)
FAILURE = Failure(
    kind="load",
    message="ModuleNotFoundError: No module named 'shop'",
    at=988.0,
    exit_status=1,
    traceback="Traceback:\n  File x\nModuleNotFoundError",
    output="".join(f"said {number}\n" for number in range(40)),
)
SHOP = VassalStatus(
    name="shop",
    state=VassalState.BACKOFF,
    config="/etc/vassals/shop.toml",
    user="shop",
    restarts=3,
    next_retry_s=7.5,
    last_failure=FAILURE,
)


def test_overview_has_a_row_for_each_vassal_and_a_line_for_each_trouble():
    text = plain(tables.status_view(Status(emperor=EMPEROR, vassals=(BLOG, SHOP)), NOW))
    assert text == (
        "emperor 0.1  root  pid 12  spawner 11  since 3m 12s\n"
        "watching /etc/vassals\n"
        "2 vassals: 1 ready, 1 backoff\n"
        "\n"
        "NAME  STATE    BUSY  REQUESTS  EXCEPTIONS  HARAKIRIS  RESTARTS  MEMORY   SINCE"
        "  LISTEN\n"
        "blog  ready     1/2        15           1          2         0   48.0M  3m 12s"
        "  http://127.0.0.1:8000\n"
        "shop  backoff     -         0           0          0         3       -       -\n"
        "\n"
        "shop: load: ModuleNotFoundError: No module named 'shop'. Next try in 7.5s."
        " More: emperor status shop\n"
    )


def test_connections_that_wait_are_shown_beside_the_address():
    queues = (
        Backlog(url="http://127.0.0.1:8000", waiting=3, max=128),
        Backlog(url="uwsgi+unix:///run/blog.sock", waiting=0, max=128),
    )
    blog = msgspec.structs.replace(BLOG, listen=tuple(one.url for one in queues), backlog=queues)
    text = plain(tables.vassal_view(blog, NOW))
    assert "listen:      http://127.0.0.1:8000  3 of 128 wait\n" in text
    assert "listen:      uwsgi+unix:///run/blog.sock\n" in text


def test_stopped_vassal_is_shown_with_the_reason_and_what_clients_are_told():
    stopped = {"state": VassalState.STOPPED, "held": "somebody said stop", "refusing": True}
    text = plain(tables.vassal_view(msgspec.structs.replace(BLOG, **stopped), NOW))
    assert "held:        somebody said stop" in text
    assert "clients:     are answered 503" in text


def test_overview_lists_config_errors():
    emperor = EmperorStatus(
        pid=1, spawner_pid=1, version="1", since=0, mode="root", errors=("a.toml:1: app: missing",)
    )
    text = plain(tables.status_view(Status(emperor=emperor), NOW))
    assert text.endswith("0 vassals\n\nconfig errors\n  a.toml:1: app: missing\n")


def test_one_vassal_is_shown_with_workers_and_current_requests():
    text = plain(tables.vassal_view(BLOG, NOW))
    assert "blog  ready\n" in text
    assert "unsupported: cpu_quota: no cgroup\n" in text
    assert "host:        blog.example\n" in text
    assert "master:      pid 800\n" in text
    assert "GET /report?q=1  2.2s\n" in text
    assert "last failure" not in text


def test_last_failure_is_shown_with_traceback_and_the_last_lines_of_output():
    text = plain(tables.vassal_view(SHOP, NOW))
    assert "next try:    in 7.5s\n" in text
    assert "last failure: load, 12s ago\n  ModuleNotFoundError: No module named 'shop'\n" in text
    assert "  exit status 1\n" in text
    assert "traceback\n  Traceback:\n    File x\n  ModuleNotFoundError\n" in text
    assert "last output\n  said 10\n" in text
    assert text.endswith("  said 39\n")


def test_explanation_says_what_is_wanted_and_why_but_no_secrets():
    explanation = Explanation(
        name="blog",
        desired="running",
        actual="backoff",
        next_action="start in 3s",
        why="it crashed twice",
        settings={"workers": 2, "env": {"SECRET_KEY": "hunter2"}},
        limits=(
            AppliedLimit(key="memory_max", value="256M", outcome="unsupported", reason="no cgroup"),
        ),
        last_failure=FAILURE,
    )
    text = plain(tables.explanation_view(explanation, NOW))
    assert "why:         it crashed twice\n" in text
    assert "memory_max  256M   unsupported  no cgroup\n" in text
    assert "  workers = 2\n" in text
    assert "  env = 1 variables: SECRET_KEY\n" in text
    assert "hunter2" not in text
    bare = msgspec.structs.replace(explanation, settings={"env": {}})
    assert "  env = {}\n" in plain(tables.explanation_view(bare, NOW))
    assert "last failure: load" in text


def test_event_is_one_line_in_the_words_of_the_log():
    event = Event(at=0.0, event="worker_killed", vassal="shop", fields={"uri": "/a b", "slot": "3"})
    assert tables.event_line(event) == (
        '1970-01-01T00:00:00.000Z vassal=shop event=worker_killed uri="/a b" slot=3'
    )


def evil_views():
    worker = WorkerStatus(
        slot=0,
        pid=1,
        state=EVIL,
        requests=0,
        exceptions=0,
        harakiris=0,
        rss_bytes=0,
        since=0,
        current=CurrentRequest(method=EVIL, uri=EVIL, seconds=1),
    )
    failure = Failure(kind=EVIL, message=EVIL, traceback=EVIL, output=EVIL)
    vassal = VassalStatus(
        name=EVIL,
        state=VassalState.PARKED,
        config=EVIL,
        user=EVIL,
        listen=(EVIL,),
        hosts=(EVIL,),
        hosts_refused=(EVIL,),
        workers=(worker,),
        last_failure=failure,
        unsupported=(Unsupported(key=EVIL, reason=EVIL),),
    )
    emperor = EmperorStatus(
        pid=1,
        spawner_pid=1,
        version=EVIL,
        since=0,
        mode=EVIL,
        directories=(EVIL,),
        errors=(EVIL,),
    )
    explanation = Explanation(
        name=EVIL,
        desired=EVIL,
        actual=EVIL,
        next_action=EVIL,
        why=EVIL,
        settings={EVIL: EVIL, "env": {EVIL: EVIL}},
        limits=(AppliedLimit(key=EVIL, value=EVIL, outcome=EVIL, reason=EVIL),),
        last_failure=failure,
    )
    return [
        tables.status_view(Status(emperor=emperor, vassals=(vassal,)), NOW),
        tables.vassal_view(vassal, NOW),
        tables.explanation_view(explanation, NOW),
    ]


@pytest.mark.parametrize("width", [40, 300])
@pytest.mark.parametrize("view", evil_views(), ids=["status", "vassal", "explanation"])
def test_nothing_that_a_tenant_wrote_can_steer_a_terminal(view, width):
    assert all(part.isprintable() for part in plain(view).split("\n"))
    written = io.StringIO()
    console = Console(file=written, width=width, color_system=None, force_terminal=False)
    terminal.show(view, console)
    assert all(part.isprintable() for part in written.getvalue().split("\n"))


def test_event_of_a_tenant_cannot_steer_a_terminal():
    shown = tables.event_line(Event(at=0, event=EVIL, vassal=EVIL, fields={EVIL: EVIL}))
    assert shown.isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_printable_and_says_the_same(text):
    import json

    shown = json_text({"key": text, text: 1}, indent=2)
    assert all(part.isprintable() for part in shown.split("\n"))
    assert json.loads(shown) == {"key": text, text: 1}


def test_markup_of_a_tenant_is_plain_text_on_the_terminal():
    written = io.StringIO()
    console = Console(file=written, width=80, color_system=None, markup=False, emoji=False)
    terminal.show([line("[red]x[/red] :boom:")], console)
    assert written.getvalue() == "[red]x[/red] :boom:\n"


def on_terminal(view, width):
    written = io.StringIO()
    terminal.show(view, Console(file=written, width=width, color_system=None, markup=False))
    return [text.rstrip() for text in written.getvalue().split("\n")]


TABLE = Table(
    (Column("NAME"), Column("HARAKIRIS", right=True), Column("LISTEN")),
    (
        (Cell("blog"), Cell("3"), Cell("http://127.0.0.1:8000, uwsgi://127.0.0.1:8001")),
        (Cell("shop"), Cell("12"), Cell("")),
    ),
)


def test_table_that_fits_has_one_line_for_each_row():
    assert on_terminal([TABLE], 80) == [
        "NAME  HARAKIRIS  LISTEN",
        "─" * 62,
        "blog          3  http://127.0.0.1:8000, uwsgi://127.0.0.1:8001",
        "shop         12",
        "",
    ]


def test_narrow_terminal_folds_the_last_column_only():
    assert on_terminal([TABLE], 40) == [
        "NAME  HARAKIRIS  LISTEN",
        "─" * 40,
        "blog          3  http://127.0.0.1:8000,",
        "                 uwsgi://127.0.0.1:8001",
        "shop         12",
        "",
    ]


def test_where_hardly_anything_is_left_the_last_column_stands_below_its_row():
    assert on_terminal([TABLE], 30) == [
        "NAME HARAKIRIS",
        "    LISTEN",
        "blog         3",
        "    http://127.0.0.1:8000, uwsgi://127.0.0.1:8001",
        "shop        12",
        "",
    ]


def test_terminal_gets_colours():
    written = io.StringIO()
    console = Console(file=written, width=120, color_system="standard", force_terminal=True)
    terminal.show([Line((Cell("ready", "green"),))], console)
    assert written.getvalue() == "\x1b[32mready\x1b[0m\n"


def test_plain_table_is_aligned():
    table = Table(
        (Column("NAME"), Column("N", right=True), Column("END")),
        ((cell("a"), cell(5), cell("x")), (cell("long"), cell(1000), cell(""))),
    )
    assert plain([table]) == "NAME     N  END\na        5  x\nlong  1000\n"


def test_log_lines_are_made_of_pieces_and_printable():
    pieces = [b"one\ntw", b"o\ttab\n", b"\xff\x1b[0m\n\nend"]
    assert list(log_lines(pieces)) == ["one", "two\ttab", "\\xff\\x1b[0m", "", "end"]


def test_log_line_without_end_is_shown_in_parts():
    shown = log_lines([b"x" * 1000] * 200)
    assert max(map(len, shown)) <= LINE_BYTES_MAX + 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.04, "0.0s"),
        (9.96, "10.0s"),
        (12.9, "12s"),
        (192, "3m 12s"),
        (3600, "1h 0m"),
        (90000, "1d 1h"),
    ],
)
def test_duration_is_shown_in_its_two_largest_units(seconds, text):
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (1023, "1023"), (1536, "1.5K"), (48 * 2**20, "48.0M"), (2**40, "1.0T")],
)
def test_size_is_shown_with_a_unit(amount, text):
    assert units.size(amount) == text


def test_deploy_that_failed_is_a_trouble_though_what_served_before_serves_on():
    blog = msgspec.structs.replace(BLOG, behind=True, last_failure=FAILURE)
    overview = plain(tables.status_view(Status(emperor=EMPEROR, vassals=(blog,)), NOW))
    assert overview.endswith(
        "\nblog: load: ModuleNotFoundError: No module named 'shop'. What served before serves on."
        " More: emperor status blog\n"
    )
    text = plain(tables.vassal_view(blog, NOW))
    assert "serves:      what served before: what is wanted has failed\n" in text


def test_overview_has_one_line_for_a_file_with_many_problems():
    failure = Failure(kind="config", message="a.toml:1: one\na.toml:2: two\na.toml:3: three")
    shop = msgspec.structs.replace(SHOP, last_failure=failure, next_retry_s=None)
    text = plain(tables.status_view(Status(emperor=EMPEROR, vassals=(shop,)), NOW))
    assert text.endswith("\nshop: config: a.toml:1: one (and 2 more). More: emperor status shop\n")


def test_keys_that_are_unsupported_for_one_reason_share_a_line():
    missing = (
        Unsupported(key="private_ipc", reason="no root"),
        Unsupported(key="cpu_quota", reason="no cgroup"),
        Unsupported(key="private_tmp", reason="no root"),
    )
    text = plain(tables.vassal_view(msgspec.structs.replace(BLOG, unsupported=missing), NOW))
    assert "unsupported: private_ipc, private_tmp: no root\n" in text
    assert "unsupported: cpu_quota: no cgroup\n" in text


def test_totals_are_counted_in_plain_words():
    totals = Totals(requests=1, exceptions=2, bytes_sent=110)
    text = plain(tables.vassal_view(msgspec.structs.replace(BLOG, totals=totals), NOW))
    assert "1 request, 2 exceptions, 0 harakiris, 0 worker deaths, 110 B sent\n" in text
