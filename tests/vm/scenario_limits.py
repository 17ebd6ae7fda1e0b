"""Limits in the kernel's own files, and in their effect; and what becomes of them meanwhile."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.vm.guest import (
    CGROUPS,
    Machine,
    cgroup_numbers,
    cgroup_of,
    get,
    processes,
    read_cgroup,
    run,
    wait_until,
)

MIB = 2**20
SETTINGS = Path("/etc/emperor/emperor.toml")
LATE_MAX_S = 1.0
"""A kill may come so late here: every instruction is emulated. The figure is printed."""

TENANT = """\
import errno, os, socket, threading, time

held = []
time.sleep(float(os.environ.get("IMPORT_S", "0")))

def eat(size):
    held.append(bytearray(os.urandom(4096)) * (int(size) * 256))
    return "eaten"

def pause(seconds):
    time.sleep(float(seconds))
    return "rested"

def burn(_):
    while True:
        pass

def fork(count):
    made = 0
    try:
        for _ in range(int(count)):
            if os.fork() == 0:
                time.sleep(3600)
            made += 1
    except OSError as error:
        return "%d %s" % (made, errno.errorcode[error.errno])
    return "%d" % made

def bomb(_):
    while True:
        try:
            if os.fork() == 0:
                continue
        except OSError:
            pass

def fill(_):
    while True:
        try:
            held.append(bytearray(65536))
        except MemoryError:
            pass

def daemon(_):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    os.wait()
    return "left"

def connect(where):
    host, port = where.split(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return "connected"

def write(size):
    began = time.monotonic()
    fd = os.open("/srv/alice/big", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    import mmap
    block = mmap.mmap(-1, 1 << 20)
    for _ in range(int(size)):
        os.write(fd, block)
    os.close(fd)
    return "%.3f" % (time.monotonic() - began)

def read(size):
    path = "/srv/alice/read"
    with open(path, "wb") as file:
        for _ in range(int(size)):
            file.write(bytes(1 << 20))
    os.sync()
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass
    os.unlink(path)
    return "read"

def application(environ, start_response):
    _, name, argument = (environ["PATH_INFO"] + "/").split("/")[:3]
    answer = globals()[name](argument) if name else "hello"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


def drop(machine: Machine, name: str = "blog", **keys: Any) -> dict[str, Any]:
    """Drop the tenant's application; return its status when it is ready."""
    machine.app("tenant", TENANT)
    machine.drop(name, app="tenant:application", **keys)
    return machine.wait_state(name, "ready")


def worker_of(machine: Machine, name: str = "blog") -> int:
    """Return the pid of the vassal's first worker."""

    def known() -> int:
        vassal = machine.vassal(name)
        return vassal["workers"][0]["pid"] if vassal and vassal["workers"] else 0

    return wait_until(known, what=f"a worker of {name}")


def workload(machine: Machine, name: str = "blog") -> Path:
    return cgroup_of(worker_of(machine, name))


def log_of(name: str = "blog") -> str:
    path = Path(f"/var/log/emperor/{name}/{name}.log")
    return path.read_text() if path.exists() else ""


@contextmanager
def settings(machine: Machine, more: str) -> Iterator[None]:
    """Have the emperor read these lines too, inside the block."""
    before = SETTINGS.read_text()
    SETTINGS.write_text(f"{before}\n{more}")
    try:
        reload(machine)
        yield
    finally:
        SETTINGS.write_text(before)
        reload(machine)


def reload(machine: Machine) -> None:
    brain = machine.brain_pid()
    machine.systemctl("reload", "emperor")
    wait_until(lambda: machine.brain_pid() not in (0, brain), what="a new brain")


# ── what is written is in the kernel's files ─────────────────────────────────────────────


def test_every_directive_is_in_the_files_of_the_workloads_cgroup(machine: Machine) -> None:
    with settings(machine, "[customer.acme]\n"):
        drop(
            machine,
            limits={
                "memory_max": "160M",
                "memory_high": "150M",
                "memory_oom_group": True,
                "cpu_quota": "50%",
                "cpu_quota_period_sec": 0.05,
                "cpu_burst": 0.01,
                "cpu_weight": 42,
                "allowed_cpus": "0",
                "allowed_memory_nodes": "0",
                "io_write_bandwidth_max": {"/srv": "5M"},
                "io_read_iops_max": {"/srv": 700},
                "tasks_max": 40,
                "slice": "acme",
            },
        )
        folder = workload(machine)
        assert folder.parts[-4:] == ("tenants", "c-acme", "a-blog", "workload")
        assert folder.parent.parent.parent.parent.name == "emperor.service"
        found = {
            name: read_cgroup(folder, name)
            for name in (
                *("memory.max", "memory.high", "memory.swap.max", "memory.oom.group"),
                *("cpu.max", "cpu.max.burst", "cpu.weight", "cpuset.cpus", "cpuset.mems"),
                "pids.max",
            )
        }
        assert found == {
            "memory.max": str(160 * MIB),
            "memory.high": str(150 * MIB),
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "cpu.max": "25000 50000",
            "cpu.max.burst": "10000",
            "cpu.weight": "42",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
            "pids.max": "40",
        }
        io = read_cgroup(folder, "io.max")
        assert "wbps=5242880" in io
        assert "riops=700" in io
        outcomes = {limit["key"]: limit["outcome"] for limit in machine.explain("blog")["limits"]}
        assert {outcomes[f"limits.{key}"] for key in ("memory_max", "cpu_quota", "tasks_max")} == {
            "applied"
        }
        # Its supervisor is outside: what the tenant uses up does not hold that up.
        master = cgroup_of(machine.status()["vassals"][0]["pid"])
        assert master == folder.parent / "master"
        assert read_cgroup(master, "memory.max") == read_cgroup(master, "pids.max") == "max"


def test_what_the_machine_cannot_do_is_an_error_or_said(machine: Machine) -> None:
    # systemd has promised no memory to this unit, so none can be promised further.
    machine.drop("blog", limits={"memory_low": "16M"})
    failure = machine.wait_state("blog", "parked")["last_failure"]
    assert "memory_low" in failure["message"], failure
    machine.drop("blog", limits={"memory_low": "16M"}, on_unsupported="warn")
    unsupported = machine.wait_state("blog", "ready")["unsupported"]
    assert any("memory_low" in one["key"] and one["reason"] for one in unsupported), unsupported


# ── and in their effect ──────────────────────────────────────────────────────────────────


def test_worker_above_memory_max_dies_alone_and_the_reason_is_told(machine: Machine) -> None:
    before = drop(machine, workers=2, limits={"memory_max": "96M"})
    assert get("blog.example", "/eat/20").body == "eaten"  # the control: it fits
    assert get("blog.example", "/eat/150").status != 200
    said = "killed: memory_max=96M reached (once today)"

    def told() -> dict[str, Any] | None:
        vassal = machine.vassal("blog")
        failure = (vassal or {}).get("last_failure") or {}
        return vassal if said in failure.get("message", "") else None

    status = wait_until(told, what=said)
    assert status["pid"] == before["pid"]
    assert status["state"] == "ready"
    assert [incident["key"] for incident in status["incidents"]] == ["memory_max"]
    assert said in log_of()
    assert cgroup_numbers(workload(machine), "memory.events")["oom_kill"] == 1
    assert get("blog.example").body == "hello"


def test_worker_that_grows_is_replaced_before_memory_max_and_no_request_fails(
    machine: Machine,
) -> None:
    said = len(log_of())
    drop(machine, workers=2, limits={"memory_max": "160M"})
    eat_in_small_bites(machine)
    assert "event=worker_retiring" in log_of()[said:]


def test_worker_that_outgrows_its_successor_stops_before_memory_max(machine: Machine) -> None:
    said = len(log_of())
    slow = {"lazy_apps": True, "env": {"IMPORT_S": "3"}}
    drop(machine, workers=2, limits={"memory_max": "160M"}, **slow)
    eat_in_small_bites(machine)
    assert "event=worker_left" in log_of()[said:]
    vassal = machine.vassal("blog")
    assert vassal is not None
    assert (vassal["totals"]["worker_deaths"], vassal["last_failure"]) == (0, None)


def test_new_generation_that_outgrows_memory_max_gives_its_place_back(machine: Machine) -> None:
    keys: dict[str, Any] = {
        "workers": 2,
        "lazy_apps": True,
        "health": {"settle": 120},
        "limits": {"memory_max": "160M"},
    }
    drop(machine, env={"IMPORT_S": "0"}, **keys)
    machine.drop("blog", app="tenant:application", env={"IMPORT_S": "3"}, **keys)
    wait_until(lambda: (machine.vassal("blog") or {}).get("generation") == 2, what="it serves")

    def is_back() -> bool:
        assert get("blog.example", "/eat/2").status == 200
        return (machine.vassal("blog") or {}).get("generation") == 1

    wait_until(is_back, what="the first one serves again", every=0.0)
    assert "memory_max is near" in str((machine.vassal("blog") or {})["last_failure"])


def eat_in_small_bites(machine: Machine) -> None:
    """Have the workers grow by more than memory_max, a little with each request."""
    answers = [get("blog.example", "/eat/2") for _ in range(100)]
    assert {answer.status for answer in answers} == {200}
    assert cgroup_numbers(workload(machine), "memory.events")["oom_kill"] == 0


def test_pages_of_files_that_fill_memory_max_have_no_worker_replaced(machine: Machine) -> None:
    said = len(log_of())
    drop(machine, workers=1, limits={"memory_max": "96M"})
    worker = worker_of(machine)
    assert get("blog.example", "/eat/10").status == 200  # it has grown
    assert get("blog.example", "/read/200").body == "read"
    for _ in range(5):
        assert get("blog.example", "/").status == 200
    assert "event=worker_retiring" not in log_of()[said:]
    assert worker_of(machine) == worker


def test_forks_above_tasks_max_fail_and_are_counted(machine: Machine) -> None:
    drop(machine, limits={"tasks_max": 24})
    made, error = get("blog.example", "/fork/100").body.split()
    assert int(made) < 24
    assert error == "EAGAIN"
    assert cgroup_numbers(workload(machine), "pids.events")["max"] >= 1
    wait_until(
        lambda: (
            [one["key"] for one in (machine.vassal("blog") or {}).get("incidents", [])]
            == ["tasks_max"]
        ),
        what="the incident",
    )
    drop(machine, name="shop", user="bob")
    assert get("shop.example", "/fork/30").body == "30"  # the control


def used_s(folder: Path) -> float:
    return cgroup_numbers(folder, "cpu.stat")["usage_usec"] / 1e6


def share(folder: Path, seconds: float = 8.0) -> float:
    """Return which part of a CPU the cgroup uses now."""
    began, before = time.monotonic(), used_s(folder)
    time.sleep(seconds)
    return (used_s(folder) - before) / (time.monotonic() - began)


def burn(machine: Machine, name: str, user: str, **limits: Any) -> Path:
    drop(machine, name, user=user, harakiri=0, workers=2, limits=limits)
    folder = workload(machine, name)
    threading.Thread(target=get, args=(f"{name}.example", "/burn/"), daemon=True).start()
    time.sleep(2)
    return folder


def test_busy_loop_gets_its_quota_and_no_more(machine: Machine) -> None:
    folder = burn(machine, "blog", "alice", cpu_quota="20%")
    assert 0.15 <= share(folder) <= 0.25
    assert cgroup_numbers(folder, "cpu.stat")["nr_throttled"] > 0
    # Changed while it burns: the same processes.
    before = worker_of(machine)
    machine.drop(
        "blog",
        app="tenant:application",
        harakiri=0,
        workers=2,
        limits={"cpu_quota": "40%"},
    )
    wait_until(lambda: read_cgroup(folder, "cpu.max") == "40000 100000", what="the new quota")
    assert 0.32 <= share(folder) <= 0.48
    assert worker_of(machine) == before
    assert machine.vassal("blog")["generation"] == 1  # type: ignore[index]


def test_apps_of_one_customer_share_its_budget(machine: Machine) -> None:
    with settings(machine, '[customer.acme.limits]\ncpu_quota = "20%"\n'):
        one = burn(machine, "blog", "alice", slice="acme")
        other = burn(machine, "shop", "alice", slice="acme")
        customer = one.parent.parent
        assert customer == other.parent.parent
        assert read_cgroup(customer, "cpu.max") == "20000 100000"
        assert share(customer) <= 0.26


def test_apps_of_one_customer_grow_no_further_than_its_memory(machine: Machine) -> None:
    with settings(machine, '[customer.acme.limits]\nmemory_max = "160M"\n'):
        drop(machine, workers={"min": 1, "max": 8}, harakiri=60, limits={"slice": "acme"})
        drop(machine, "shop", harakiri=60, limits={"slice": "acme"})
        customer = workload(machine).parent.parent
        get("shop.example", "/eat/80")
        get("blog.example", "/eat/30")
        busy = [threading.Thread(target=get, args=("blog.example", "/pause/8")) for _ in range(12)]
        for client in busy:
            client.start()
        wait_until(
            lambda: "memory of customer acme" in machine.emperor("explain", "blog"),
            what="the customer's memory stops growth",
        )
        vassal = machine.vassal("blog")
        assert vassal is not None
        assert len(vassal["workers"]) < 8
        for client in busy:
            client.join()
        assert cgroup_numbers(customer, "memory.events")["oom_kill"] == 0


def test_direct_writes_are_as_fast_as_io_max_lets_them(machine: Machine) -> None:
    free = {"sandbox": {"protect_home": False, "read_write_paths": ["/srv/alice"]}}
    run("install", "-d", "-o", "alice", "/srv/alice")
    drop(machine, **free)
    unbound = float(get("blog.example", "/write/4").body)
    drop(machine, limits={"io_write_bandwidth_max": {"/srv": "1M"}}, **free)
    wait_until(lambda: "wbps=1048576" in read_cgroup(workload(machine), "io.max"), what="io.max")
    assert float(get("blog.example", "/write/4").body) >= max(2.5, unbound)


def test_metadata_address_is_denied_and_others_as_the_file_says(machine: Machine) -> None:
    drop(machine)
    assert get("blog.example", "/connect/169.254.169.254:80").body == "EPERM"
    assert get("blog.example", "/connect/127.0.0.1:80").body == "connected"
    drop(
        machine,
        "shop",
        user="bob",
        sandbox={"network": "egress-filter", "ip_address_allow": ["10.0.2.0/24"]},
    )
    assert get("shop.example", "/connect/127.0.0.1:80").body == "EPERM"
    assert get("shop.example", "/connect/169.254.169.254:80").body == "EPERM"
    drop(machine, "free", user="carol", sandbox={"ip_address_deny": []})
    assert get("free.example", "/connect/169.254.169.254:80").body != "EPERM"  # the control


# ── live changes, and the death of the brain ─────────────────────────────────────────────


def test_limits_of_a_plan_reach_what_runs(machine: Machine) -> None:
    with settings(machine, "[plan.small.limits]\ntasks_max = 33\n"):
        first = drop(machine, plan="small")
        folder = workload(machine)
        assert read_cgroup(folder, "pids.max") == "33"
        SETTINGS.write_text(SETTINGS.read_text().replace("tasks_max = 33", "tasks_max = 44"))
        reload(machine)
        wait_until(lambda: read_cgroup(folder, "pids.max") == "44", what="the new plan's limit")
        now = machine.wait_state("blog", "ready")
        assert (now["pid"], now["generation"]) == (first["pid"], first["generation"])
        machine.remove("blog")
        machine.wait_gone("blog")


def test_brain_that_died_finds_the_same_cgroups_and_limits(machine: Machine) -> None:
    before = drop(machine, limits={"memory_max": "99M", "tasks_max": 33})
    folder = workload(machine)
    brain = machine.brain_pid()
    changes = machine.journal(lines=5000).count("event=limits_changed")
    machine.kill(brain)
    wait_until(lambda: machine.brain_pid() not in (0, brain), what="a new brain")
    after = machine.wait_state("blog", "ready")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert workload(machine) == folder
    assert read_cgroup(folder, "memory.max") == str(99 * MIB)
    assert machine.journal(lines=5000).count("event=limits_changed") == changes


def test_vassal_moves_to_another_customer_without_a_gap(machine: Machine) -> None:
    with settings(machine, "[customer.acme]\n"):
        drop(machine)
        with machine.load("blog") as load:
            wait_until(lambda: load.answers, what="a first answer")
            machine.drop("blog", app="tenant:application", limits={"slice": "acme"})
            wait_until(lambda: "c-acme" in str(workload(machine)), what="the move")
            wait_until(lambda: len(load.answers) > 20, what="more answers")
        assert load.failures == []
        wait_until(lambda: not list(CGROUPS.glob("**/c-alice")), what="the old cgroup is removed")


def test_stop_leaves_no_daemon_and_no_cgroup(machine: Machine) -> None:
    drop(machine)
    folder = workload(machine)
    assert get("blog.example", "/daemon").body == "left"
    uid = int(run("id", "-u", "alice"))
    assert len([p for p in processes() if p.uid == uid]) >= 3
    machine.remove("blog")
    machine.wait_gone("blog")
    assert [p.command for p in processes() if p.uid == uid] == []
    wait_until(lambda: not folder.parent.exists(), what="the cgroup is removed")


# ── harakiri is punctual whatever the workload does ──────────────────────────────────────


def lateness_of_harakiri(machine: Machine, path: str, **limits: Any) -> float:
    drop(machine, harakiri=2, limits=limits)
    return lateness(path)


def lateness(path: str) -> float:
    said = len(log_of())
    get("blog.example", path)
    found = wait_until(lambda: re.search(r"ran_s=([0-9.]+)", log_of()[said:]), what="harakiri")
    return float(found.group(1)) - 2


def test_harakiri_is_punctual_in_a_fork_bomb(machine: Machine) -> None:
    late = lateness_of_harakiri(machine, "/bomb/", tasks_max=60, cpu_quota="50%")
    print(f"harakiri in a fork bomb: {late * 1000:.0f} ms late")
    assert 0 <= late <= LATE_MAX_S
    machine.remove("blog")
    machine.wait_gone("blog")


def test_harakiri_is_punctual_under_a_quota_of_5_percent(machine: Machine) -> None:
    drop(machine, harakiri=2)
    # Not before it is ready: under emulation it would load for a minute at that quota.
    machine.drop("blog", app="tenant:application", harakiri=2, limits={"cpu_quota": "5%"})
    folder = workload(machine)
    wait_until(lambda: read_cgroup(folder, "cpu.max") == "5000 100000", what="the quota")
    late = lateness("/burn/")
    print(f"harakiri under a 5 % CPU quota: {late * 1000:.0f} ms late")
    assert 0 <= late <= LATE_MAX_S


def test_harakiri_is_punctual_at_the_memory_limit(machine: Machine) -> None:
    # memory_high throttles and never kills: the worker hangs in the kernel's reclaim.
    late = lateness_of_harakiri(machine, "/fill/", memory_high="64M", memory_max="900M")
    print(f"harakiri at the memory limit: {late * 1000:.0f} ms late")
    assert 0 <= late <= LATE_MAX_S


# ── the library alone ────────────────────────────────────────────────────────────────────


def test_library_keeps_every_limit_in_a_delegated_unit(machine: Machine) -> None:
    pytest_words = "-m pytest -q -p no:cacheprovider -c /dev/null tests/vm/guest_limits.py"
    done = run(
        *("systemd-run", "--wait", "--pipe", "--quiet", "-p", "Delegate=yes"),
        *("-p", "MemoryLow=64M", f"--working-directory={Path(__file__).parents[2]}"),
        "--setenv=PYTHONPATH=.:/usr/lib/python3/dist-packages",
        *("/opt/emperord/bin/python", "-B", *pytest_words.split()),
        check=False,
        timeout=220,
    )
    assert " passed" in done, done
    assert not re.search(r"failed|error", done), done
