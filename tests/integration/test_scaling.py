"""The number of workers follows the load, between bounds that the file says."""

import socket
import threading
import time
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.serving import read_all
from tests.support.wait import wait_until


def workers(one: Emperor) -> int:
    return len({row["slot"] for row in one.vassal("blog")["workers"] if row["state"] != "stopping"})


def clients(port: int, count: int, path: str) -> list[threading.Thread]:
    started = [threading.Thread(target=get, args=(port, path)) for _ in range(count)]
    for client in started:
        client.start()
    return started


def test_workers_come_when_all_are_busy_and_no_more_than_the_most(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text="workers = { min = 1, max = 4 }\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert workers(emperor) == 1
    waiting = clients(port, 8, "/sleep/3")
    wait_until(lambda: workers(emperor) == 4, 3, "four workers")
    time.sleep(0.5)
    assert workers(emperor) == 4
    story = emperor.ask("GET", "/v1/vassals/blog/explain")[1]["scaling"]
    assert "4 of 1-4 workers" in story
    for client in waiting:
        client.join(20)
    assert "event=scaled workers=2 before=1" in emperor.vassal_log("blog")


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


def test_new_code_has_as_many_workers_as_the_old_had(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text="workers = { min = 1, max = 4 }\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
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
    before = switches(master)
    time.sleep(2)
    assert switches(master) == before
    assert get(port)[0] == 200


def switches(pid: int) -> int:
    """Return how often a process has gone to sleep."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
