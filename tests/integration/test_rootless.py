"""The whole tree as an ordinary user: what works, and what is said of what does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.emperor import Emperor, emperor_over, get
from tests.support.processes import alive, children, pid_tree
from tests.support.wait import wait_until

NOBODY = 65534

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


class Rootless(Emperor):
    """An emperor of an ordinary user; nobody, where the tests run as root."""

    def spawn(self, *more: str) -> None:
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "emperor.cli.main", "run", str(self.vassals), *more]
                + ["--runtime-dir", str(self.runtime_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "HOME": str(self.base)},
                **as_user,
            )


@pytest.fixture
def rootless(nothing_left_behind: None) -> Iterator[Rootless]:
    with emperor_over("rootless-") as made:
        made.base.chmod(0o777)
        one = Rootless.__new__(Rootless)
        one.__dict__.update(made.__dict__)
        yield one
        made.process = one.process
        if one.process is not None and one.process.poll() is None:
            assert one.stop() == 0
        assert "Traceback" not in one.log(), one.log()


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


def test_application_beside_the_emperors_own_folders_is_found(rootless: Emperor) -> None:
    (rootless.base / "beside.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'beside']\n"
    )
    port = rootless.drop("blog", app="beside:application", directory=str(rootless.base))
    rootless.start()
    rootless.wait_state("blog", "ready")
    assert get(port) == (200, b"beside")
