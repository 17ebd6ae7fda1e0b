"""A tenant that takes all it can get: its neighbour answers meanwhile, and the counters moved.

Each abuse is bounded by one limit. The control run is the same abuse as far as it is harmless
without that limit. The latencies are those of an emulated machine, and are printed.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.vm.guest import (
    PATIENCE_S,
    Machine,
    cgroup_numbers,
    get,
    processes,
    read_cgroup,
    run,
    wait_until,
)
from tests.vm.scenario_limits import drop, workload

NEIGHBOUR_LATE_MAX_S = 5.0
"""The neighbour's longest answer. It takes some 0.05 s here when nobody abuses anything."""

HOSTILE = """\
import errno, os, threading, time

def forks(count):
    made = 0
    try:
        for _ in range(int(count)):
            pid = os.fork()
            if pid == 0:
                time.sleep(3600)
            made += 1
    except OSError as error:
        return "%d %s" % (made, errno.errorcode[error.errno])
    return "%d done" % made

def bomb(_):
    while True:
        try:
            if os.fork() == 0:
                continue
        except OSError:
            time.sleep(0)

def threads(count):
    made = 0
    try:
        for _ in range(int(count)):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
            made += 1
    except RuntimeError:
        return "%d refused" % made
    return "%d done" % made

def zombies(count):
    made = 0
    try:
        for _ in range(int(count)):
            if os.fork() == 0:
                os._exit(0)
            made += 1
    except OSError as error:
        return "%d %s" % (made, errno.errorcode[error.errno])
    return "%d done" % made

def eat(size):
    block = bytearray(os.urandom(4096)) * (int(size) * 256)
    return "eaten %d" % len(block)

def tmpfs(size):
    with open("/tmp/big-%d" % time.monotonic_ns(), "wb") as file:
        for _ in range(int(size)):
            file.write(bytes(1 << 20))
    return "written"

def burn(_):
    while True:
        pass

def application(environ, start_response):
    _, name, argument = (environ["PATH_INFO"] + "/").split("/")[:3]
    try:
        answer = globals()[name](argument) if name else "hello"
    except OSError as error:
        answer = errno.errorcode[error.errno]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


@contextmanager
def neighbour(machine: Machine) -> Iterator[None]:
    """Have bob's site answer all the time, and soon, while the block runs."""
    machine.drop("neighbour", user="bob")
    machine.wait_served("neighbour")
    waits: list[float] = []
    end = threading.Event()

    def ask() -> None:
        while not end.is_set():
            began = time.monotonic()
            answered = get("neighbour.example", timeout=60).status == 200
            waits.append(time.monotonic() - began if answered else float("inf"))
            end.wait(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    print(f"neighbour: {len(waits)} answers, the longest after {max(waits):.2f} s")
    assert max(waits) <= NEIGHBOUR_LATE_MAX_S


def hostile(machine: Machine, harakiri: float = 4, **limits: Any) -> int:
    """Start the hostile site; return its master's pid."""
    machine.app("hostile", HOSTILE)
    machine.drop("blog", app="hostile:application", harakiri=harakiri, limits=limits)
    return int(machine.wait_state("blog", "ready")["pid"])


def ask(path: str) -> str:
    answer = get("blog.example", path)
    return answer.body if answer.status == 200 else str(answer.status)


def assert_site_goes_on(machine: Machine, master: int) -> None:
    wait_until(lambda: get("blog.example").body == "hello", what="the site serves again")
    vassal = machine.vassal("blog")
    assert vassal
    assert vassal["pid"] == master


def events(machine: Machine, name: str) -> dict[str, int]:
    return cgroup_numbers(workload(machine), name)


def test_fork_bomb_is_held_at_tasks_max_and_ended_by_harakiri(machine: Machine) -> None:
    master = hostile(machine, tasks_max=50, cpu_quota="50%")
    folder = workload(machine)
    with neighbour(machine):
        threading.Thread(target=get, args=("blog.example", "/bomb/"), daemon=True).start()
        wait_until(lambda: int(read_cgroup(folder, "pids.current")) >= 49, what="it is full")
        wait_until(lambda: cgroup_numbers(folder, "pids.events")["max"] > 0, what="refusals")
        machine.emperor("restart", "blog")
        machine.wait_state("blog", "ready")
        assert int(read_cgroup(workload(machine), "pids.current")) < 10
        machine.wait_served("blog")
    assert machine.vassal("blog")["pid"] != master  # type: ignore[index]


def test_thread_bomb_ends_at_tasks_max(machine: Machine) -> None:
    master = hostile(machine, tasks_max=40)
    with neighbour(machine):
        made, outcome = ask("/threads/200").split()
        assert (int(made) < 40, outcome) == (True, "refused")
        assert events(machine, "pids.events")["max"] >= 1
    assert_site_goes_on(machine, master)
    hostile(machine, tasks_max=400)
    assert ask("/threads/100") == "100 done"  # the control run


def test_zombies_are_reaped_or_refused(machine: Machine) -> None:
    master = hostile(machine, tasks_max=40)
    with neighbour(machine):
        made, outcome = ask("/zombies/200").split()
        assert (int(made) < 40, outcome) == (True, "EAGAIN")
        assert events(machine, "pids.events")["max"] >= 1
    assert machine.vassal("blog")["pid"] == master  # type: ignore[index]
    machine.remove("blog")
    machine.wait_gone("blog")
    uid = int(run("id", "-u", "alice"))
    assert [p for p in processes() if p.uid == uid] == []


def test_memory_hogs_die_one_by_one_and_the_master_lives(machine: Machine) -> None:
    master = hostile(machine, memory_max="96M")
    assert ask("/eat/20") == f"eaten {20 << 20}"  # the control run: it fits
    with neighbour(machine):
        for _ in range(4):
            assert ask("/eat/200") != f"eaten {200 << 20}"
            wait_until(lambda: get("blog.example").body == "hello", what="the next worker")
        assert events(machine, "memory.events")["oom_kill"] == 4
    assert_site_goes_on(machine, master)
    vassal = machine.vassal("blog")
    assert vassal
    assert sum(one["count"] for one in vassal["incidents"] if one["key"] == "memory_max") == 4


def test_tmp_is_charged_to_the_tenant_and_bounded(machine: Machine) -> None:
    machine.app("hostile", HOSTILE)
    machine.drop(
        "blog",
        app="hostile:application",
        limits={"memory_max": "128M"},
        sandbox={"private_tmp": {"size": "32M"}},
    )
    machine.wait_state("blog", "ready")
    with neighbour(machine):
        assert ask("/tmpfs/20") == "written"  # the control run
        for _ in range(3):
            assert ask("/tmpfs/20") == "ENOSPC"
        assert int(read_cgroup(workload(machine), "memory.current")) >= 32 << 20


def test_tmp_larger_than_the_memory_takes_the_site_down_for_a_moment_only(
    machine: Machine,
) -> None:
    machine.app("hostile", HOSTILE)
    machine.drop(
        "blog",
        app="hostile:application",
        limits={"memory_max": "64M"},
        sandbox={"private_tmp": {"size": "500M"}},
    )
    machine.wait_state("blog", "ready")
    with neighbour(machine):
        # What is in /tmp stays, and is memory: where no worker fits beside it, only a new
        # start, with a new /tmp, helps. Nobody has to ask for that.
        for _ in range(3):
            assert ask("/tmpfs/200") != "written"
        wait_until(lambda: ask("/") == "hello", 2 * PATIENCE_S, "the site serves again")


def test_busy_loops_leave_the_neighbour_its_share(machine: Machine) -> None:
    machine.app("hostile", HOSTILE)
    machine.drop(
        "blog", app="hostile:application", workers=4, harakiri=0, limits={"cpu_weight": 10}
    )
    machine.wait_state("blog", "ready")
    for _ in range(4):
        threading.Thread(target=get, args=("blog.example", "/burn/"), daemon=True).start()
    with neighbour(machine):
        time.sleep(10)
    machine.remove("blog")
    machine.wait_gone("blog")


def test_vassal_whose_cgroup_is_frozen_is_started_again_all_the_same(machine: Machine) -> None:
    drop(machine)
    folder = workload(machine)
    (folder.parent / "cgroup.freeze").write_text("1")
    with neighbour(machine):
        machine.emperor("restart", "blog")
        machine.wait_state("blog", "ready")
        machine.wait_served("blog")
    assert read_cgroup(workload(machine).parent, "cgroup.freeze") == "0"
