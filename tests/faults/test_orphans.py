"""A crowd of processes that the application leaves behind."""

import os

from tests.support.emperor import Emperor, get
from tests.support.processes import pid_tree, state
from tests.support.wait import wait_until

CROWD = 500
APP = f"""
import os, signal

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] != "/leave":
        return [b"here"]
    for _ in range({CROWD}):
        if os.fork() == 0:
            # A child of a child: its parent ends, and it is the master's.
            if os.fork() == 0:
                os.setsid()
                os.closerange(0, 100)
                while True:
                    signal.pause()
            os._exit(0)
        os.wait()
    return [b"left"]
"""


def test_five_hundred_orphans_that_die_at_once_are_reaped_and_are_nobody_s_death(
    emperor: Emperor,
) -> None:
    emperor.app("crowd", APP)
    text = "[limits]\ntasks_max = 2000\nlimit_nproc = 4000\n"
    port = emperor.drop("blog", app="crowd:application", on_unsupported="warn", text=text)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    master = before["pid"]
    ours = {master, *pid_tree(master)}
    assert get(port, "/leave", 120) == (200, b"left")
    orphans = [pid for pid in pid_tree(master) if pid not in ours]
    assert len(orphans) == CROWD
    for pid in orphans:
        os.kill(pid, 9)
    wait_until(lambda: set(pid_tree(master)) | {master} == ours, 30, "all are reaped")
    assert not [pid for pid in pid_tree(master) if state(pid) == "Z"]
    after = emperor.vassal("blog")
    assert after["totals"]["worker_deaths"] == 0
    assert [row["pid"] for row in after["workers"]] == [row["pid"] for row in before["workers"]]
    assert get(port) == (200, b"here")
