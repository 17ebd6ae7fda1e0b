"""The number of workers follows the load, between bounds that the file says."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.support.control import emperor as run_cli
from tests.support.emperor import Emperor, free_port, get
from tests.support.need import need_root
from tests.support.processes import sleeps
from tests.support.serving import read_all
from tests.support.wait import wait_until
from vassal.master.scaling import CALM_S


def workers(one: Emperor, name: str = "blog") -> int:
    return len({row["slot"] for row in one.vassal(name)["workers"] if row["state"] != "stopping"})


def story(one: Emperor, name: str) -> str:
    return str(one.ask("GET", f"/v1/vassals/{name}/explain")[1]["scaling"])


def clients(port: int, count: int, path: str) -> list[threading.Thread]:
    started = [threading.Thread(target=get, args=(port, path, 60)) for _ in range(count)]
    for client in started:
        client.start()
    return started


@pytest.mark.timeout(120)
def test_workers_come_when_all_are_busy_and_no_more_than_the_most(emperor: Emperor) -> None:
    port = emperor.serve(text="workers = { min = 1, max = 4 }\n")
    assert workers(emperor) == 1
    waiting = clients(port, 8, "/sleep/3")
    wait_until(lambda: workers(emperor) == 4, 3, "four workers")
    time.sleep(0.5)
    assert workers(emperor) == 4
    assert "4 of 1-4 workers" in story(emperor, "blog")
    for client in waiting:
        client.join(20)
    assert "event=scaled workers=2 before=1" in emperor.vassal_log("blog")
    # They go by themselves: the load is forgotten in one calm, and the next one is without any.
    pids = {row["pid"] for row in emperor.vassal("blog")["workers"]}
    wait_until(lambda: workers(emperor) == 1, 2 * CALM_S + 10, "one worker", every=0.5)
    assert "at most 0 were busy at a time for 30 s" in story(emperor, "blog")
    wait_until(lambda: sum(map(psutil.pid_exists, pids)) == 1, 10, "the others are gone")
    assert get(port)[0] == 200
    assert emperor.vassal("blog")["totals"]["worker_deaths"] == 0


def unix_clients(path: Path, count: int, target: str) -> list[socket.socket]:
    """Ask over a unix socket; the answers are left to the caller."""
    connections = []
    for _ in range(count):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        connections.append(client)
    return connections


def test_those_who_wait_at_a_unix_socket_are_counted(emperor: Emperor) -> None:
    emperor.app("hello")
    path = emperor.base / "blog.sock"
    # Without a network of its own: the queue is asked for where the socket was made.
    text = "workers = { min = 2, max = 8 }\n[sandbox]\nnetwork = 'none'\n"
    emperor.drop("blog", listen=[f"http+unix://{path}"], text=text, on_unsupported="warn")
    emperor.start()
    emperor.wait_state("blog", "ready")
    waiting = unix_clients(path, 12, "/sleep/2")
    wait_until(lambda: workers(emperor) == 8, 3, "eight workers")
    assert "all 2 workers were busy, 10 connections waited" in emperor.vassal_log("blog")
    for client in waiting:
        assert b"200 OK" in read_all(client)
        client.close()


def test_those_who_wait_at_a_tcp_socket_are_counted(emperor: Emperor) -> None:
    port = emperor.serve(text="workers = { min = 2, max = 8 }\n")
    waiting = clients(port, 12, "/sleep/3")
    wait_until(lambda: workers(emperor) > 2, what="more workers")
    for client in waiting:
        client.join(60)
    grown = emperor.vassal_log("blog").partition("event=scaled")[2]
    waited = re.search(r"all 2 workers were busy, (\d+) connections? waited", grown)
    assert waited is not None, grown
    assert 1 <= int(waited[1]) <= 10


def test_status_tells_how_many_wait_at_each_socket(emperor: Emperor) -> None:
    emperor.app("hello")
    path = emperor.base / "blog.sock"
    port = free_port()
    urls = [f"http+unix://{path}", f"http://127.0.0.1:{port}"]
    emperor.drop("blog", listen=urls, text="backlog = 50\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    busy = unix_clients(path, 1, "/sleep/3")
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", 3, "a request")
    waiting = unix_clients(path, 4, "/")
    assert emperor.vassal("blog")["backlog"] == [
        {"url": urls[0], "waiting": 4, "max": 50},
        {"url": urls[1], "waiting": 0, "max": 50},
    ]
    told = run_cli("status", "blog", environ={"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)})
    assert f"{urls[0]}  4 of 50 wait" in told.stdout
    for client in busy + waiting:
        assert b"200 OK" in read_all(client)
        client.close()


def test_new_code_has_as_many_workers_as_the_old_had(emperor: Emperor) -> None:
    port = emperor.serve(text="workers = { min = 1, max = 4 }\n")
    waiting = clients(port, 4, "/sleep/2")
    wait_until(lambda: workers(emperor) == 4, 3, "four workers")
    emperor.do("reload", "blog")
    emperor.wait_state("blog", "reloading")
    emperor.wait_state("blog", "ready")
    for client in waiting:
        client.join(20)
    assert {row["generation"] for row in emperor.vassal("blog")["workers"]} == {2}
    assert workers(emperor) == 4


def test_vassal_at_its_least_sleeps_without_a_timeout(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text="harakiri = 0\nworkers = { min = 1, max = 4 }\n")
    emperor.start()
    master = emperor.wait_state("blog", "ready")["pid"]
    assert get(port)[0] == 200
    time.sleep(1)
    before = sleeps(master)
    time.sleep(2)
    assert sleeps(master) == before
    assert get(port)[0] == 200


def test_vassals_together_grow_no_further_than_the_emperor_allows(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("workers_max = 5\n")
    scaled = "workers = { min = 1, max = 4 }\n"
    blog, shop = emperor.drop("blog", text=scaled), emperor.drop("shop", text=scaled)
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_state("shop", "ready")
    first = clients(blog, 8, "/sleep/3")
    wait_until(lambda: workers(emperor) == 4, 3, "four workers, the fifth is the other's")
    # What was granted outlives the emperor that did it.
    brain = emperor.brain_pid
    os.kill(brain, signal.SIGKILL)
    emperor.wait_new_brain(brain)
    second = clients(shop, 4, "/sleep/1")
    wait_until(lambda: "workers_max" in story(emperor, "shop"), 5, "a refusal")
    assert story(emperor, "shop").startswith("1 of 1-4 workers: all workers are busy")
    assert workers(emperor, "shop") == 1
    for client in first + second:
        client.join(20)


def test_vassals_of_one_customer_grow_no_further_than_it_may_and_others_do(
    emperor: Emperor,
) -> None:
    need_root()  # else all vassals have one uid, and its processes one customer
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("[customer.acme]\nworkers_max = 3\n")
    scaled = "workers = { min = 1, max = 4 }\n"
    acme = scaled + '[limits]\nslice = "acme"\n'
    ports = {
        "blog": emperor.drop("blog", text=acme),
        "shop": emperor.drop("shop", text=acme),
        "stranger": emperor.drop("stranger", text=scaled, user="games"),
    }
    emperor.start()
    for name in ports:
        emperor.wait_state(name, "ready")
    waiting = [client for port in ports.values() for client in clients(port, 4, "/sleep/3")]
    wait_until(lambda: workers(emperor, "stranger") == 4, what="the stranger grows")
    refused = ("blog", "shop")
    wait_until(
        lambda: any("workers_max" in story(emperor, name) for name in refused), what="a refusal"
    )
    wait_until(lambda: sum(workers(emperor, name) for name in refused) == 3, what="three together")
    for client in waiting:
        client.join(60)
    counts = [
        int(found)
        for name in refused
        for found in re.findall(r"event=scaled workers=(\d+)", emperor.vassal_log(name))
    ]
    assert max(counts) <= 2, "one each is the least, and the third was one's"
