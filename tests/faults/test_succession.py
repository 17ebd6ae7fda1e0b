"""A change that only a new master can bring: it is built beside the one that serves."""

import os
import pwd
import signal
import threading
from pathlib import Path

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need, need_root
from tests.support.processes import alive, children
from tests.support.wait import wait_until

WHO = """
import os, time

def application(environ, start_response):
    if environ["PATH_INFO"].startswith("/sleep/"):
        time.sleep(float(environ["PATH_INFO"].rpartition("/")[2]))
    start_response("200 OK", [])
    return [str(os.getuid()).encode()]
"""


def uid(user: str) -> bytes:
    return str(pwd.getpwnam(user).pw_uid).encode()


def test_change_of_the_user_loses_no_request_and_the_old_master_goes(emperor: Emperor) -> None:
    need_root()
    emperor.app("who", WHO)
    port = emperor.drop("blog", app="who:application", user="nobody")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    with asked_all_the_time(port) as answers:
        emperor.drop("blog", app="who:application", user="games", port=port)
        wait_until(
            lambda: answers[-1:] and answers[-1][1] == uid("games"), what="the new master answers"
        )
    assert {status for status, _ in answers} == {200}, answers[-5:]
    assert {body for _, body in answers} == {uid("nobody"), uid("games")}
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] != before["pid"]
    assert after["generation"] == before["generation"] + 1
    wait_until(lambda: not alive(before["pid"]), what="the old master is gone")
    wait_until(lambda: len(children(emperor.pid)) == 2, what="the brain and one master")


def test_request_that_the_old_master_has_begun_is_finished(emperor: Emperor) -> None:
    need_root()
    emperor.app("who", WHO)
    port = emperor.drop("blog", app="who:application", user="nobody")
    emperor.start()
    emperor.wait_state("blog", "ready")
    found: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: found.append(get(port, "/sleep/2")))
    slow.start()
    wait_until(
        lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="the slow one runs"
    )
    emperor.drop("blog", app="who:application", user="games", port=port)
    wait_until(lambda: get(port)[1] == uid("games"), what="the new master answers")
    slow.join(20)
    assert found == [(200, uid("nobody"))]


def test_new_master_that_cannot_load_the_application_leaves_the_old_one_serving(
    emperor: Emperor,
) -> None:
    need_root()
    emperor.app("who", WHO)
    source = emperor.apps / "who.py"
    os.chown(source, pwd.getpwnam("nobody").pw_uid, 0)
    source.chmod(0o600)
    port = emperor.drop("blog", app="who:application", user="nobody")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    with asked_all_the_time(port) as answers:
        emperor.drop("blog", app="who:application", user="games", port=port)
        wait_until(lambda: "reload_failed" in emperor.log(), what="the failure is logged")
    assert set(answers) == {(200, uid("nobody"))}
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] == before["pid"]
    assert after["last_failure"]["kind"] == "load"
    wait_until(lambda: len(children(emperor.pid)) == 2, what="the new master is gone")
    # Mended, it takes over.
    source.chmod(0o644)
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: get(port)[1] == uid("games"), what="the new master answers")


def test_brain_killed_while_a_successor_is_built_ends_with_one_master_as_wanted(
    emperor: Emperor,
) -> None:
    need_root()
    emperor.app("who", "import time\ntime.sleep(1.0)\n" + WHO)
    port = emperor.drop("blog", app="who:application", user="nobody")
    emperor.start()
    emperor.wait_state("blog", "ready")
    with asked_all_the_time(port) as answers:
        emperor.drop("blog", app="who:application", user="games", port=port)
        wait_until(lambda: len(children(emperor.pid)) == 3, what="two masters")
        brain = emperor.kill_brain(signal.SIGKILL)
        emperor.wait_new_brain(brain)
        wait_until(
            lambda: answers[-1:] and answers[-1][1] == uid("games"), what="the new master answers"
        )
    assert {status for status, _ in answers} == {200}, [a for a in answers if a[0] != 200][:3]
    wait_until(lambda: len(children(emperor.pid)) == 2, what="one master is left")
    assert emperor.wait_state("blog", "ready")["user"] == "games"


def test_file_removed_while_a_successor_is_built_ends_both(emperor: Emperor) -> None:
    need_root()
    emperor.app("who", "import time\ntime.sleep(1.0)\n" + WHO)
    port = emperor.drop("blog", app="who:application", user="nobody")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.drop("blog", app="who:application", user="games", port=port)
    wait_until(lambda: len(children(emperor.pid)) == 3, what="two masters")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), what="blog is forgotten")
    wait_until(lambda: len(children(emperor.pid)) == 1, what="both masters are gone")


def test_restart_by_hand_stops_before_it_starts(emperor: Emperor) -> None:
    emperor.app("who", WHO)
    emperor.drop("blog", app="who:application")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    assert emperor.do("restart", "blog")[0] == 202
    wait_until(
        lambda: emperor.vassal("blog")["pid"] not in (0, before["pid"]), what="another master"
    )
    emperor.wait_state("blog", "ready")
    assert "reason='somebody said restart'" in emperor.log().replace('"', "'")


def customers_cgroups(pid: int) -> list[str]:
    """Return the names that a process' cgroups have below ours."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next((line.split("/") for line in lines if "/tenants/" in line), [])


def with_customers(emperor: Emperor) -> None:
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("[customer.one]\n[customer.two]\n")


def test_vassal_that_gets_another_customer_moves_without_a_lost_request(emperor: Emperor) -> None:
    need_root()
    with_customers(emperor)
    emperor.app("hello")
    port = emperor.drop("blog", user="games", text="[limits]\nslice = 'one'\n")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    need(customers_cgroups(before["pid"]), "cgroup v2")
    assert "c-one" in customers_cgroups(before["pid"])
    with asked_all_the_time(port) as answers:
        emperor.drop("blog", user="games", port=port, text="[limits]\nslice = 'two'\n")
        wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="the move")
        after = emperor.wait_state("blog", "ready")
    assert {status for status, _ in answers} == {200}, answers[-5:]
    assert "c-two" in customers_cgroups(after["pid"])
    assert "c-two" in customers_cgroups(after["workers"][0]["pid"])
    wait_until(lambda: not alive(before["pid"]), what="the old master is gone")


def test_move_to_another_customer_that_fails_leaves_nothing_there(emperor: Emperor) -> None:
    need_root()
    with_customers(emperor)
    emperor.app("hello")
    port = emperor.drop("blog", user="games", text="[limits]\nslice = 'one'\n")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    need(customers_cgroups(before["pid"]), "cgroup v2")
    tenants = cgroup_of(before["pid"]).parents[2]
    emperor.app("hello", "raise RuntimeError('no database')\n")
    emperor.drop("blog", user="games", port=port, text="[limits]\nslice = 'two'\n")
    wait_until(lambda: "reload_failed" in emperor.log(), what="the failure is logged")
    wait_until(lambda: not (tenants / "c-two" / "a-blog").exists(), what="its cgroup is gone")
    assert (tenants / "c-one" / "a-blog").exists()
    assert emperor.vassal("blog")["usage"]["cpu_s"] is not None
    assert get(port)[0] == 200


def cgroup_of(pid: int) -> Path:
    """Return the cgroup v2 of a process."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("0::"))
    mounts = Path("/proc/mounts").read_text().splitlines()
    (root,) = (words[1] for words in map(str.split, mounts) if words[2] == "cgroup2")
    return Path(root + line.removeprefix("0::"))


def test_request_of_a_replaced_master_is_finished_though_the_brain_dies_meanwhile(
    emperor: Emperor,
) -> None:
    need_root()
    emperor.app("who", WHO)
    quick = "[health]\nsettle = 0.1\n"
    port = emperor.drop("blog", app="who:application", user="nobody", text=quick)
    emperor.start()
    emperor.wait_state("blog", "ready")
    found: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: found.append(get(port, "/sleep/9", 20)))
    slow.start()
    wait_until(
        lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="the slow one runs"
    )
    emperor.drop("blog", app="who:application", user="games", port=port, text=quick)
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="the change")
    emperor.wait_state("blog", "ready")
    emperor.wait_new_brain(emperor.kill_brain())
    slow.join(20)
    assert found == [(200, uid("nobody"))]
