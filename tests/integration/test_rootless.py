"""The whole tree as an ordinary user: what works, and what is said of what does not."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.emperor import get
from tests.support.processes import alive, children, pid_tree
from tests.support.rootless import Rootless, rootless_over
from tests.support.wait import wait_until

DAEMON = """
import os, time
from hello import application

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


@pytest.fixture
def rootless(nothing_left_behind: None) -> Iterator[Rootless]:
    with rootless_over() as one:
        yield one


def test_dropped_file_is_served_and_what_is_missing_is_listed(rootless: Rootless) -> None:
    rootless.app("hello")
    rootless.start()
    port = rootless.drop("blog")
    status = rootless.wait_state("blog", "ready")
    assert get(port)[0] == 200
    missing = {item["key"]: item["reason"] for item in status["unsupported"]}
    assert "CAP_SYS_ADMIN" in missing["sandbox.private_pids"]
    assert "sandbox.capability_bounding_set" in missing
    assert rootless.status()["emperor"]["mode"] == "rootless"


def test_another_user_is_refused(rootless: Rootless) -> None:
    rootless.app("hello")
    rootless.start()
    rootless.drop("blog", user="games")
    failure = rootless.wait_state("blog", "parked")["last_failure"]
    assert "cannot become" in failure["message"]


def test_daemon_of_the_application_is_gone_after_stop(rootless: Rootless) -> None:
    rootless.app("hello")
    rootless.app("forks", DAEMON)
    rootless.start()
    rootless.drop("blog", app="forks:application")
    status = rootless.wait_state("blog", "ready")
    # mold, worker, and the daemon, which became the master's child.
    family = wait_until(
        lambda: len(children(status["pid"])) == 3 and children(status["pid"]), what="the daemon"
    )
    rootless.do("stop", "blog")
    rootless.wait_state("blog", "stopped")
    wait_until(lambda: not any(alive(pid) for pid in family), what="all of it is gone")


def test_killed_master_takes_workers_and_daemons_with_it(rootless: Rootless) -> None:
    rootless.app("hello")
    rootless.app("forks", DAEMON)
    rootless.start()
    port = rootless.drop("blog", app="forks:application")
    status = rootless.wait_state("blog", "ready")
    family = pid_tree(status["pid"])
    assert len(family) == 3
    os.kill(status["pid"], signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in family), what="all of it is gone")
    wait_until(lambda: rootless.vassal("blog")["pid"] not in (0, status["pid"]), what="new master")
    rootless.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_application_beside_the_emperors_own_folders_is_found(rootless: Rootless) -> None:
    (rootless.base / "beside.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'beside']\n"
    )
    port = rootless.drop("blog", app="beside:application", directory=str(rootless.base))
    rootless.start()
    rootless.wait_state("blog", "ready")
    assert get(port) == (200, b"beside")
