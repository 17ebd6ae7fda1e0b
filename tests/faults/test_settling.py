"""A change that only a new master can bring has to settle too: until then the old one stands by."""

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port, is_bound
from tests.support.processes import alive, children
from tests.support.wait import wait_until

APP = """
import os

print("loaded by", os.getuid(), flush=True)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/die" and os.getuid() == BAD:
        os._exit(5)
    start_response("200 OK", [])
    return [str(os.getuid()).encode()]
"""


def uid(user: str) -> int:
    return pwd.getpwnam(user).pw_uid


OLD, NEW = b"%d" % uid("nobody"), b"%d" % uid("games")


def drop(emperor: Emperor, port: int | None, user: str, settle_s: float, **keys: Any) -> int:
    where = {"port": port} if port is not None else {}
    text = f"""
stop_timeout = 3
pidfile = "{emperor.apps}/blog.pid"
[health]
settle = {settle_s}
"""
    return emperor.drop("blog", app="who:application", user=user, text=text, **where, **keys)


@pytest.fixture
def port(emperor: Emperor) -> int:
    """Return where a vassal listens that runs as nobody; as games it dies when it is told to."""
    need_root()
    emperor.app("who", APP, BAD=str(uid("games")))
    emperor.apps.chmod(0o777)
    port = drop(emperor, None, "nobody", 20)
    emperor.start()
    emperor.wait_state("blog", "ready")
    return port


def change(emperor: Emperor, port: int, settle_s: float = 20) -> None:
    """Have another user, and wait until the new master serves alone."""
    drop(emperor, port, "games", settle_s)
    wait_until(lambda: "event=successor_serves" in emperor.log(), 15, "the new master serves")
    wait_until(lambda: {get(port)[1] for _ in range(5)} == {NEW}, 5, "only the new one answers")


def masters(emperor: Emperor) -> set[int]:
    return set(children(emperor.pid)) - {emperor.brain_pid}


def crash_twice(port: int) -> None:
    for _ in range(2):
        with pytest.raises(OSError):
            get(port, "/die")


def serves_again(emperor: Emperor, port: int, pid: int) -> None:
    """Check that the old master is the only one, and as it was."""
    wait_until(lambda: get(port)[1] == OLD, 10, "the old master serves again")
    status = emperor.wait_state("blog", "ready")
    assert status["pid"] == pid
    wait_until(lambda: masters(emperor) == {pid}, 10, "the new master is gone")
    assert {get(port)[1] for _ in range(5)} == {OLD}


def test_crashes_before_it_has_settled_bring_the_old_master_back(
    emperor: Emperor, port: int
) -> None:
    before = emperor.vassal("blog")["pid"]
    with asked_all_the_time(port) as answers:
        change(emperor, port)
        status = emperor.vassal("blog")
        assert status["state"] == "reloading"
        assert status["pid"] != before
        # Of the new one: idle or, as it is asked all the time, busy.
        assert [row["generation"] for row in status["workers"]] == [2]
        assert {row["state"] for row in status["workers"]} <= {"idle", "busy"}
        crash_twice(port)
        serves_again(emperor, port, before)
    # Whoever shared its worker with the one that died has lost its answer, nobody else.
    assert sum(code != 200 for code, _ in answers) <= 2
    failure = emperor.vassal("blog")["last_failure"]
    assert (failure["kind"], failure["exit_status"]) == ("crash", 5)
    assert (emperor.apps / "blog.pid").read_text() == f"{before}\n"
    time.sleep(1)
    assert masters(emperor) == {before}  # the same is not tried again


def test_deploy_script_is_told_the_verdict(emperor: Emperor, port: int) -> None:
    change(emperor, port)
    deploy = subprocess.Popen(
        [sys.executable, "-m", "emperor", "reload", "blog", "--wait"],
        env={"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: emperor.vassal("blog")["generation"] == 3, 10, "the reload is under way")
    drop(emperor, port, "games", 0.2)
    assert deploy.wait(20) == 0
    status = emperor.wait_state("blog", "ready")
    wait_until(lambda: masters(emperor) == {status["pid"]}, 10, "the old master is gone")
    assert (emperor.apps / "blog.pid").read_text() == f"{status['pid']}\n"


def test_settled_change_stays(emperor: Emperor, port: int) -> None:
    before = emperor.vassal("blog")["pid"]
    with asked_all_the_time(port) as answers:
        change(emperor, port, settle_s=0.5)
        after = emperor.wait_state("blog", "ready")
        wait_until(lambda: not alive(before), 10, "the old master is gone")
    assert {code for code, _ in answers} == {200}
    crash_twice(port)
    assert get(port)[1] == NEW
    assert emperor.vassal("blog")["pid"] == after["pid"]
    # Its log goes on in a file of its new user's.
    assert f"loaded by {uid('games')}" in emperor.vassal_log("blog")
    earlier = emperor.runtime_dir / "log/blog/blog.log.1"
    assert f"loaded by {uid('nobody')}" in earlier.read_text()
    assert "log_unavailable" not in emperor.log()


def test_new_master_that_is_killed_before_it_has_settled(emperor: Emperor, port: int) -> None:
    before = emperor.vassal("blog")["pid"]
    change(emperor, port)
    os.kill(emperor.vassal("blog")["pid"], signal.SIGKILL)
    serves_again(emperor, port, before)


def test_old_master_that_is_killed_while_it_stands_by(emperor: Emperor, port: int) -> None:
    before = emperor.vassal("blog")["pid"]
    with asked_all_the_time(port) as answers:
        change(emperor, port, settle_s=2)
        os.kill(before, signal.SIGKILL)
        after = emperor.wait_state("blog", "ready")
    assert {code for code, _ in answers} == {200}
    assert masters(emperor) == {after["pid"]}
    assert get(port)[1] == NEW


@pytest.mark.parametrize("when", ["before", "after"])
def test_brain_that_dies_while_it_settles(emperor: Emperor, port: int, when: str) -> None:
    before = emperor.vassal("blog")["pid"]
    change(emperor, port)
    brain = emperor.kill_brain()
    if when == "before":
        emperor.wait_new_brain(brain)
        status = emperor.vassal("blog")
        assert (status["state"], status["pid"] == before) == ("reloading", False)
    crash_twice(port)
    if when == "after":
        emperor.wait_new_brain(brain)
        # Nothing is known of that try any more: it is tried once again.
        wait_until(lambda: emperor.log().count("successor_serves") == 2, 15, "it is tried again")
        wait_until(lambda: {get(port)[1] for _ in range(5)} == {NEW}, 5, "only the new one answers")
        crash_twice(port)
    serves_again(emperor, port, before)


def test_new_master_that_hangs_before_it_has_settled(emperor: Emperor, port: int) -> None:
    before = emperor.vassal("blog")["pid"]
    change(emperor, port, settle_s=1.5)
    os.kill(emperor.vassal("blog")["pid"], signal.SIGSTOP)
    wait_until(lambda: get(port)[1] == OLD, 15, "the old master serves again")
    wait_until(lambda: {get(port)[1] for _ in range(5)} == {OLD}, 10, "only the old one answers")
    status = emperor.wait_state("blog", "ready")
    assert status["pid"] == before
    assert "no sign of life" in status["last_failure"]["message"]


def test_stop_and_removal_end_both(emperor: Emperor, port: int) -> None:
    change(emperor, port)
    assert len(masters(emperor)) == 2
    emperor.do("stop", "blog")
    emperor.wait_state("blog", "stopped")
    wait_until(lambda: not masters(emperor), 10, "both masters are gone")
    emperor.do("start", "blog")
    emperor.wait_state("blog", "ready")
    drop(emperor, port, "nobody", 20)
    wait_until(lambda: emperor.log().count("successor_serves") == 2, 15, "it is changed again")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), 10, "it is forgotten")
    assert not masters(emperor)


def test_change_back_before_it_has_settled(emperor: Emperor, port: int) -> None:
    with asked_all_the_time(port) as answers:
        change(emperor, port)
        drop(emperor, port, "nobody", 0.2)
        wait_until(lambda: get(port)[1] == OLD, 15, "the old user answers")
        status = emperor.wait_state("blog", "ready")
        wait_until(lambda: masters(emperor) == {status["pid"]}, 10, "one master is left")
    assert {code for code, _ in answers} == {200}
    assert Path(f"/proc/{status['pid']}").stat().st_uid == uid("nobody")


def test_address_of_a_reload_that_a_new_master_cut_short_is_closed(
    emperor: Emperor, port: int
) -> None:
    before = emperor.vassal("blog")["pid"]
    added = free_port()
    emperor.app("slow", "import time\ntime.sleep(60)\nfrom who import application\n")
    text = "[health]\nsettle = 20\n"
    urls = [f"http://127.0.0.1:{one}" for one in (port, added)]
    emperor.drop("blog", "slow:application", user="nobody", text=text, listen=urls)
    wait_until(lambda: is_bound(added), 10, "the address of the reload")
    change(emperor, port)
    crash_twice(port)
    wait_until(lambda: not is_bound(added), 10, "nobody is kept waiting there")
    serves_again(emperor, port, before)
