"""Vassals of which nothing runs before the first connection, and again when none comes."""

import socket
import threading
import time

import pytest

from tests.support.emperor import Emperor, get
from tests.support.processes import children, sleeps
from tests.support.serving import read_all
from tests.support.wait import wait_until


def sleeper(one: Emperor, **keys: object) -> int:
    """Drop a vassal on demand, start the emperor, and return the port when it sleeps."""
    one.app("hello")
    port = one.drop("blog", on_demand=True, **keys)
    one.start()
    one.wait_state("blog", "dormant")
    return port


def masters(one: Emperor) -> int:
    return len(children(one.pid)) - 1  # the brain


def test_nothing_runs_before_the_first_connection_which_is_served(emperor: Emperor) -> None:
    port = sleeper(emperor)
    assert masters(emperor) == 0
    assert get(port)[0] == 200
    emperor.wait_state("blog", "ready")  # the worker serves before the brain has heard of it
    assert masters(emperor) == 1


def test_connection_to_a_unix_socket_wakes_too(emperor: Emperor) -> None:
    path = emperor.base / "blog.sock"
    sleeper(emperor, listen=[f"http+unix://{path}"])
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in read_all(client)


def test_many_clients_at_once_start_it_once(emperor: Emperor) -> None:
    port = sleeper(emperor)
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(get(port)[0])) for _ in range(50)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(20)
    assert answers == [200] * 50
    assert emperor.log().count("vassal=blog event=vassal_starting") == 1


def test_it_sleeps_again_when_no_request_comes_and_loses_none_at_that_moment(
    emperor: Emperor,
) -> None:
    port = sleeper(emperor, idle_stop=0.3)
    for cycle in range(8):
        assert get(port)[0] == 200
        # Between one and two periods after the last request: some are under way then.
        wait_until(
            lambda: emperor.vassal("blog")["state"] in ("stopping", "dormant"), 5, "it stops"
        )
        if cycle % 2:
            emperor.wait_state("blog", "dormant")
    emperor.wait_state("blog", "dormant")
    assert masters(emperor) == 0


def test_requests_that_come_all_the_time_keep_it_awake(emperor: Emperor) -> None:
    port = sleeper(emperor, idle_stop=0.5)
    assert get(port)[0] == 200
    pid = emperor.vassal("blog")["pid"]
    for _ in range(20):
        time.sleep(0.1)
        assert get(port)[0] == 200
    assert emperor.vassal("blog")["pid"] == pid


def test_long_request_is_no_idleness(emperor: Emperor) -> None:
    port = sleeper(emperor, idle_stop=0.3)
    assert get(port, "/sleep/2")[0] == 200


def test_clients_of_one_that_cannot_start_are_told_so_at_once(emperor: Emperor) -> None:
    port = sleeper(emperor, app="broken:application")
    emperor.app("broken", "raise RuntimeError('no database')\n")
    began = time.monotonic()
    assert get(port)[0] == 503
    emperor.wait_state("blog", "parked")
    assert get(port)[0] == 503
    assert time.monotonic() - began < 5
    # Mended, it sleeps until somebody asks again.
    emperor.app("broken", "def application(e, s):\n    s('200 OK', [])\n    return [b'mended']\n")
    emperor.do("start", "blog")
    emperor.wait_state("blog", "dormant")
    assert get(port) == (200, b"mended")


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(1000)\n", "import os\nos._exit(3)\n"],
    ids=["hangs", "exits"],
)
def test_start_that_fails_answers_all_who_wait(emperor: Emperor, source: str) -> None:
    emperor.app("broken", source)
    port = sleeper(emperor, app="broken:application", spawn_timeout=1)
    answers: list[int] = []
    clients = [
        threading.Thread(target=lambda: answers.append(get(port, timeout=60)[0])) for _ in range(20)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(90)
    assert answers == [503] * 20


def test_one_that_is_refused_an_address_answers_nobody_in_the_name_of_its_holder(
    emperor: Emperor,
) -> None:
    port = emperor.serve("shop")
    emperor.drop("blog", port=port, on_demand=True)
    emperor.wait_state("blog", "backoff")
    answers: list[int] = []

    def ask(path: str) -> None:
        answers.append(get(port, path, timeout=20)[0])

    # All but the first wait in the queue until the only worker of "shop" is free.
    for _ in range(4):
        clients = [threading.Thread(target=ask, args=[path]) for path in ["/sleep/0.5"] + ["/"] * 4]
        for client in clients:
            client.start()
            time.sleep(0.05)
        for client in clients:
            client.join(30)
    assert answers == [200] * 20
    assert emperor.vassal("blog")["last_failure"]["message"].endswith("listens there already")


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi", "scgi"])
def test_refusal_is_an_answer_in_the_protocol_of_the_socket(
    emperor: Emperor, protocol: str
) -> None:
    path = emperor.base / "blog.sock"
    sleeper(emperor, app="broken:application", listen=[f"{protocol}+unix://{path}"])
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"\x01")
        assert b"503 Service Unavailable" in read_all(client)


def test_brain_that_dies_finds_it_asleep_and_whoever_waits_is_served(emperor: Emperor) -> None:
    port = sleeper(emperor)
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("blog", "dormant")
    assert masters(emperor) == 0
    old = emperor.kill_brain()
    assert get(port)[0] == 200  # asked while there was no brain
    emperor.wait_new_brain(old)
    assert emperor.vassal("blog")["state"] == "ready"


@pytest.mark.parametrize("state", ["dormant", "stopped"])
def test_new_brain_gives_the_address_of_a_vassal_that_does_not_run_to_no_other(
    emperor: Emperor, state: str
) -> None:
    port = sleeper(emperor)
    if state == "stopped":
        emperor.do("stop", "blog")
        emperor.wait_state("blog", "stopped")
    emperor.drop("afirst", port=port)  # by its name it comes before
    emperor.wait_state("afirst", "backoff")
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("afirst", "backoff")
    emperor.wait_state("blog", state)
    assert time.time() - emperor.vassal("blog")["since"] < 60
    emperor.remove("blog")
    emperor.wait_state("afirst", "ready")
    assert get(port)[0] == 200


def test_changed_file_of_a_sleeping_vassal_wakes_nobody_and_counts_at_the_next_start(
    emperor: Emperor,
) -> None:
    port = sleeper(emperor)
    other = emperor.drop("blog", on_demand=True, workers=2)
    wait_until(lambda: f":{other}" in str(emperor.vassal("blog")["listen"]), 5, "the new file")
    time.sleep(0.2)
    assert masters(emperor) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)
    assert get(other)[0] == 200  # the first worker serves while the second is born
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, 5, "both workers")


def test_stopped_and_removed_ones_do_not_wake(emperor: Emperor) -> None:
    port = sleeper(emperor)
    emperor.do("stop", "blog")
    emperor.wait_state("blog", "stopped")
    assert get(port)[0] == 503
    assert emperor.vassal("blog")["state"] == "stopped"
    emperor.do("start", "blog")
    emperor.wait_state("blog", "dormant")
    assert get(port)[0] == 200
    emperor.remove("blog")
    wait_until(lambda: emperor.vassal("blog") == {}, 10, "it is gone")


def test_sleeping_vassals_cost_the_brain_no_wake_ups(emperor: Emperor) -> None:
    sleeper(emperor, idle_stop=60)
    brain = emperor.brain_pid
    time.sleep(0.5)
    before = sleeps(brain)
    time.sleep(2)
    assert sleeps(brain) - before <= 1


BLOCKS_AND_FAILS = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        os.set_blocking(int(name), True)
    except OSError:
        pass
raise RuntimeError("no")
"""


def test_tenant_that_makes_the_shared_socket_block_holds_nobody_up(emperor: Emperor) -> None:
    port = sleeper(emperor, app="tricky:application")
    emperor.app("tricky", BLOCKS_AND_FAILS)
    assert get(port)[0] == 503
    emperor.wait_state("blog", "parked")
    for _ in range(3):
        assert get(port)[0] == 503
        assert emperor.vassal("blog")["state"] == "parked"
