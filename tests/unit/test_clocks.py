"""Setting the machine's clock changes nothing: no decision is made on the wall clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path for name in ("emperor", "vassal", "limits") for path in (REPOSITORY / name).rglob("*.py")
)

WALL_CLOCK = {
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "time.CLOCK_REALTIME",
    "datetime.datetime",
    "datetime.date",
}

FOR_PEOPLE = {
    "emperor/brain/fleet.py": "when a file was refused",
    "emperor/brain/versions.py": "when a version served first",
    "emperor/brain/incidents.py": "when a limit was hit",
    "emperor/brain/brain.py": "when an event was",
    "emperor/brain/roll.py": "when a vassal failed",
    "emperor/brain/live_limits.py": "says when limits were changed",
    "emperor/brain/steering.py": "turns monotonic times into times of day for status",
    "emperor/uwsgi/real_host.py": "the magic variables %t and %T",
    "emperor/cli/client_commands.py": "how long ago something was",
    "emperor/logfmt.py": "the time of a log line",
    "vassal/master/ledger.py": "when something failed",
    "vassal/master/stream.py": "the time of a log line",
    "vassal/master/service.py": "when the birth failed",
    "vassal/master/stats_view.py": "since when a worker and its request run",
    "vassal/master/worker_hands.py": "how many were killed today",
    "vassal/runtime/uwsgi/module.py": "uwsgi.started_on, uwsgi.micros, when a worker was born",
    "vassal/runtime/access_log.py": "when a request came",
    "vassal/runtime/ranges.py": "turns the time of a file into a date; reads no clock",
    "vassal/runtime/output.py": "the Date field of a response",
}
"""Where the time of day is read, and what it is shown for."""


def names_used(tree: ast.AST) -> Iterator[str]:
    """Yield every `module.attribute`, also of names imported with `from`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def wall_clock_readers() -> set[str]:
    return {
        str(path.relative_to(REPOSITORY))
        for path in SOURCES
        if WALL_CLOCK & set(names_used(ast.parse(path.read_text())))
    }


def test_time_of_day_is_read_for_display_only() -> None:
    assert wall_clock_readers() == set(FOR_PEOPLE)


@pytest.mark.parametrize(
    "source", ["import time\ntime.time()", "from time import time_ns", "import time as t\n"]
)
def test_this_check_can_fail(source: str) -> None:
    found = bool(WALL_CLOCK & set(names_used(ast.parse(source))))
    assert found is ("as t" not in source)


def test_no_module_hides_a_clock_behind_another_name() -> None:
    """`import time as t` would get past the check above."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                hidden = [a.name for a in node.names if a.asname and a.name in ("time", "datetime")]
                assert not hidden, path


def test_sleeps_and_deadlines_never_meet_a_file_time() -> None:
    """Times of files are compared for being the same, not for being later than now."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(
                isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for operator in node.ops
            ):
                names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
                assert not names & {"st_mtime", "st_mtime_ns", "st_ctime", "mtime_ns"}, path
