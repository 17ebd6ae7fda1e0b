"""What scenarios are given, and how they are told to the host: pytest's plugin in the guest.

No conftest.py: the host's pytest would load that with the other tests.

A scenario is a test in tests/vm/scenario_*.py. Marks: `boot(2)` = run after a reboot of the
machine; `last` = run after all others, because it takes the emperor away.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.guest import UNIT, Machine

HOST_LINE = Path("/dev/ttyS1")
NEEDS_REBOOT = Path("/run/scenarios/needs-reboot")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "boot(number): run in this boot of the machine; default: 1")
    config.addinivalue_line("markers", "keep: leave the vassals to the next boot")
    config.addinivalue_line("markers", "last: run after all others, in the last boot")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what belongs into this boot."""
    now = int(os.environ["SCENARIO_BOOT"])
    boots = {item: boot_of(item) for item in items}
    final = max(boots.values(), default=1)
    for item in items:
        if item.get_closest_marker("last"):
            boots[item] = final
    if final > now:
        NEEDS_REBOOT.touch()
    items.sort(
        key=lambda item: (
            bool(item.get_closest_marker("keep")),
            bool(item.get_closest_marker("last")),
        )
    )
    chosen = [item for item in items if boots[item] == now]
    config.hook.pytest_deselected(items=[item for item in items if boots[item] != now])
    items[:] = chosen


def boot_of(item: pytest.Item) -> int:
    mark = item.get_closest_marker("boot")
    return int(mark.args[0]) if mark else 1


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Machine:
    """Return the guest with an emperor that runs and has no vassals."""
    one = Machine()
    if boot_of(request.node) == 1:
        one.make_clean()
    return one


# ── telling the host ─────────────────────────────────────────────────────────────────────


def tell(**what: object) -> None:
    """Send one line to the host."""
    with HOST_LINE.open("w", encoding="ascii") as line:
        line.write(json.dumps(what) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    tell(event="started", test=nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    report = (yield).get_result()
    if report.failed:
        machine = Machine()
        for name, look in (
            ("systemctl status", lambda: machine.systemctl("status", UNIT, check=False)),
            ("journal", lambda: machine.journal(lines=100)),
        ):
            try:
                report.sections.append((name, look()))
            except Exception as error:  # what is told of a failure must not hide it
                report.sections.append((name, repr(error)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.passed:
        return
    text = report.longreprtext
    if report.failed:
        text += "".join(f"\n--- {title}\n{content}" for title, content in report.sections)
    elif report.passed:
        text = report.capstdout.strip()  # figures that a scenario has measured
    tell(
        event="finished",
        test=report.nodeid,
        outcome=report.outcome,
        when=report.when,
        seconds=round(report.duration, 3),
        text=text[-60_000:],
    )


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        tell(
            event="finished",
            test=report.nodeid,
            outcome="failed",
            when="collect",
            seconds=0,
            text=report.longreprtext,
        )
