"""Signals at bad moments, many exits at once, and a machine that has run out of something."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import alive, children, cmdline, fds_of, pid_tree
from tests.support.traced import failing_forks
from tests.support.wait import wait_until

WARM_UP_RELOADS = 160
RELOADS = int(os.environ.get("EMPEROR_TEST_RELOADS", "100"))

DAEMONS = """
import os, time

def application(environ, start_response):
    words = environ["PATH_INFO"].split("/")
    body = b""
    if words[1] == "daemon":
        read, write = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:
                os.write(write, b"%d" % os.getpid())
                os.close(write)
                time.sleep(float(words[2]))
                os._exit(5)
            os._exit(0)
        os.wait()
        body = os.read(read, 100)
    if words[1] == "print":
        for number in range(int(words[2])):
            print("x" * 1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


def masters(emperor: Emperor) -> list[int]:
    return [pid for pid in children(emperor.pid) if "master of" in cmdline(pid)]


def mold_of(status: dict[str, object]) -> int:
    """Return the host's pid of a vassal's mold."""
    workers = {worker["pid"] for worker in status["workers"]}  # type: ignore[attr-defined]
    (mold,) = [pid for pid in children(int(str(status["pid"]))) if pid not in workers]
    return mold


@contextlib.contextmanager
def limited(pid: int, what: str, soft: int) -> Iterator[None]:
    """Put a running process under a soft limit for the time of a with block."""
    before = _prlimit(pid, f"--{what}", "--output=SOFT", "--noheadings").strip()
    _prlimit(pid, f"--{what}={soft}:")
    try:
        yield
    finally:
        if alive(pid):
            _prlimit(pid, f"--{what}={before}:")


def _prlimit(pid: int, *options: str) -> str:
    """Run prlimit as the user of `pid`: another one needs a capability that CI may lack."""
    owner = int(Path(f"/proc/{pid}/status").read_text().partition("Uid:\t")[2].split()[0])
    demoted = owner != os.geteuid()
    return subprocess.run(
        ["prlimit", "--pid", str(pid), *options],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
        user=owner if demoted else None,
        group=owner if demoted else None,
    ).stdout


def fds_allowed(pid: int, more: int) -> int:
    """Return the RLIMIT_NOFILE under which `pid` can open `more` descriptors, and no more."""
    taken = fds_of(pid)
    free = [number for number in range(1024) if number not in taken]
    return free[more]


# ── SIGTERM at any moment ────────────────────────────────────────────────────────────

MOMENTS = 12


def answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_emperor_stopped_at_any_moment_of_its_start_exits_and_leaves_nothing(
    emperor: Emperor, signum: int
) -> None:
    emperor.app("hello")
    for step in range(MOMENTS):
        emperor.drop("blog")
        emperor.spawn()
        assert emperor.process is not None
        time.sleep(step * 0.04)
        if step == MOMENTS - 1:
            wait_until(lambda: "event=emperor_started" in emperor.log(), what="its start")
        started = "event=emperor_started" in emperor.log()
        emperor.process.send_signal(signum)
        status = emperor.process.wait(10)
        # Before its handlers are there, the signal's own effect is all that can be asked for.
        assert status == 0 or (status in (-signum, 1, 130) and not started), emperor.log()
        assert not (emperor.runtime_dir / "control.sock").exists()
        assert not [pid for pid in pid_tree(os.getpid()) if alive(pid)]
        if status != 0:
            emperor.log_file.write_text("")  # where Python stood when it was interrupted
        emperor.log_file.unlink()
    assert status == 0


@pytest.mark.timeout(180)
def test_emperor_stopped_at_any_moment_of_a_reload_finishes_requests_and_leaves_nothing(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    for step in range(0, MOMENTS, 2):
        emperor.drop("blog", workers=2)
        emperor.start()
        port = int(emperor.wait_state("blog", "ready")["listen"][0].rpartition(":")[2])
        answers: list[int] = []
        client = threading.Thread(
            target=lambda port, answers: answers.append(get(port, "/sleep/0.5", 20)[0]),
            args=(port, answers),
        )
        client.start()
        wait_until(lambda: "busy" in states_of_workers(emperor), what="a request")
        emperor.drop("blog", workers=2, port=port, text=f'[env]\nSTEP = "{step}"\n')
        wait_until(lambda: emperor.log().count("event=generation_started") == 2, what="a reload")
        time.sleep(step * 0.03)
        assert emperor.stop() == 0, emperor.log()
        client.join(20)
        assert answers == [200]
        assert not [pid for pid in pid_tree(os.getpid()) if alive(pid)]
        emperor.log_file.unlink()


def states_of_workers(emperor: Emperor) -> set[str]:
    return {worker["state"] for worker in emperor.vassal("blog")["workers"]}


def test_serve_stopped_at_any_moment_of_its_start_exits_and_leaves_nothing(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = free_port()
    command = [sys.executable, "-m", "emperor", "serve", "hello:application"]
    command += ["--listen", f"http://127.0.0.1:{port}", "--directory", str(emperor.apps)]
    statuses = []
    for step in range(MOMENTS):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        time.sleep(step * 0.04)
        if step == MOMENTS - 1:
            wait_until(lambda: answers(port), what="its start")
        process.terminate()
        _, output = process.communicate(timeout=10)
        statuses.append(process.returncode)
        assert b"Traceback" not in output, output
        assert process.returncode in (0, -signal.SIGTERM)
        assert not [pid for pid in pid_tree(os.getpid()) if alive(pid)]
    assert statuses[-1] == 0


def test_reload_signal_in_the_first_moments_is_not_fatal(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    for _ in range(20):
        os.kill(emperor.pid, signal.SIGHUP)
        time.sleep(0.01)
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


# ── many exits at once, and orphans ──────────────────────────────────────────────────


def test_all_workers_killed_at_once_are_all_reaped_and_all_come_back(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", workers=20)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    old = {worker["pid"] for worker in before["workers"]}
    assert len(old) == 20
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    def all_back() -> bool:
        new = {worker["pid"] for worker in emperor.vassal("blog")["workers"]}
        return len(new) == 20 and not new & old and 0 not in new

    wait_until(all_back, 5.0, "all are back")
    assert len(children(before["pid"])) == 21, "workers and mold, no zombie"
    assert emperor.vassal("blog")["totals"]["worker_deaths"] == 20
    assert emperor.vassal("blog")["pid"] == before["pid"]
    assert get(port)[0] == 200


def test_all_masters_killed_at_once_are_all_replaced(emperor: Emperor) -> None:
    emperor.app("hello")
    ports = [emperor.drop(f"v{number}") for number in range(8)]
    emperor.start()
    for number in range(8):
        emperor.wait_state(f"v{number}", "ready")
    old = masters(emperor)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(masters(emperor)) - set(old)) == 8, 20.0, "new masters")
    for number in range(8):
        emperor.wait_state(f"v{number}", "ready")
    assert [get(port)[0] for port in ports] == [200] * 8
    assert len(children(emperor.pid)) == 9, "masters and brain, no zombie"


def test_orphans_of_the_application_are_reaped_and_otherwise_ignored(emperor: Emperor) -> None:
    emperor.app("daemons", DAEMONS)
    port = emperor.drop("blog", app="daemons:application")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    for _ in range(5):
        assert get(port, "/daemon/0.1")[0] == 200
    wait_until(lambda: len(children(before["pid"])) == 2, what="the orphans are reaped")
    after = emperor.vassal("blog")
    assert after["workers"][0]["pid"] == before["workers"][0]["pid"]
    assert after["totals"]["worker_deaths"] == 0
    assert after["last_failure"] is None


def test_daemon_of_the_application_ends_with_the_vassal(emperor: Emperor) -> None:
    emperor.app("daemons", DAEMONS)
    port = emperor.drop("blog", app="daemons:application")
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    assert get(port, "/daemon/600")[0] == 200
    (daemon,) = set(children(status["pid"])) - {mold_of_daemons(status), *worker_pids(status)}
    emperor.remove("blog")
    wait_until(lambda: not alive(daemon), what="the daemon is gone")
    wait_until(lambda: not emperor.vassal("blog"), what="blog is forgotten")
    assert len(children(emperor.pid)) == 1


def worker_pids(status: dict[str, object]) -> set[int]:
    return {worker["pid"] for worker in status["workers"]}  # type: ignore[attr-defined]


def mold_of_daemons(status: dict[str, object]) -> int:
    """The oldest child that is no worker; the daemon came last."""
    return next(pid for pid in children(int(str(status["pid"]))) if pid not in worker_pids(status))


# ── reloads ──────────────────────────────────────────────────────────────────────────


def sizes(pid: int) -> dict[str, int]:
    """Return what a leak would make grow.

    Nobody but root may look at a master's descriptors: it is closed to its own uid.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {
        "fds": len(fds_of(pid)) if os.access(f"/proc/{pid}/fd", os.R_OK) else 0,
        "threads": int(fields["Threads"]),
        "rss": int(fields["RssAnon"].split()[0]) * 1024,
    }


@pytest.mark.timeout(60 + WARM_UP_RELOADS + RELOADS)
def test_many_reloads_leave_descriptors_threads_and_memory_flat(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text="[health]\nsettle = 0\n")
    emperor.start()
    status = emperor.wait_state("blog", "ready")

    def reload(generation: int) -> None:
        emperor.do("reload", "blog")
        wait_until(
            lambda: (
                (found := emperor.vassal("blog"))["generation"] == generation
                and found["state"] == "ready"
            ),
            what=f"generation {generation}",
        )

    processes = {"spawner": emperor.pid, "brain": emperor.brain_pid, "master": status["pid"]}
    # Until the queue of recent events is full: it is bounded, and grows until then.
    for number in range(WARM_UP_RELOADS):
        reload(number + 2)
    before = {name: sizes(pid) for name, pid in processes.items()}
    for number in range(RELOADS):
        reload(number + 2 + WARM_UP_RELOADS)
    assert get(port)[0] == 200
    wait_until(lambda: len(children(status["pid"])) == 2, what="the last old worker is gone")
    for name, pid in processes.items():
        # The last one who asked for the status may not be let go of yet.
        wait_until(
            lambda name=name, pid=pid: sizes(pid)["fds"] <= before[name]["fds"],
            what=f"no more descriptors of the {name}",
        )
        after = sizes(pid)
        assert after["threads"] == before[name]["threads"]
        grown = after["rss"] - before[name]["rss"]
        assert grown < 512 * 1024, f"{name} grew by {grown} bytes in {RELOADS} reloads"


# ── out of processes, descriptors, disk ──────────────────────────────────────────────


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_mold_that_cannot_fork_is_asked_again_later(emperor: Emperor, error: str) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    mold = mold_of(before)
    victim = before["workers"][0]["pid"]
    with failing_forks(mold, error):
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda: emperor.vassal_log("blog").count("event=worker_not_forked") >= 2,
            what="it is logged, and tried again",
        )
        assert [get(port)[0] for _ in range(3)] == [200] * 3
    text = os.strerror({"EAGAIN": 11, "ENOMEM": 12}[error])
    assert text in emperor.vassal_log("blog")
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, what="both workers")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] == before["pid"]
    assert mold in children(after["pid"])
    assert emperor.vassal_log("blog").count("event=worker_not_forked") < 20, "no busy loop"


def test_processes_limit_of_the_vassal_holds_workers_back_until_there_is_room(
    emperor: Emperor,
) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    with limited(mold_of(before), "nproc", 1):
        os.kill(before["workers"][0]["pid"], signal.SIGKILL)
        wait_until(
            lambda: "event=worker_not_forked" in emperor.vassal_log("blog"), what="it is logged"
        )
        assert get(port)[0] == 200
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, what="both workers")


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_master_that_cannot_fork_a_mold_is_tried_again_later(emperor: Emperor, error: str) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    fds = len(fds_of(before["pid"]))
    with failing_forks(before["pid"], error):
        os.kill(mold_of(before), signal.SIGKILL)
        wait_until(lambda: emperor.vassal("blog")["last_failure"], what="it is told")
        time.sleep(0.5)
        assert get(port)[0] == 200
    wait_until(lambda: len(children(before["pid"])) == 2, what="a new mold")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] == before["pid"]
    assert len(fds_of(before["pid"])) == fds


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_spawner_that_cannot_fork_tries_again_later(emperor: Emperor, error: str) -> None:
    need_root()
    emperor.app("hello")
    emperor.start()
    with failing_forks(emperor.pid, error):
        port = emperor.drop("blog")
        status = emperor.wait_state("blog", "backoff")
        assert os.strerror({"EAGAIN": 11, "ENOMEM": 12}[error]) in status["last_failure"]["message"]
        old = emperor.kill_brain()
        wait_until(lambda: "event=emperor_not_started" in emperor.log(), what="no brain either")
    emperor.wait_new_brain(old)
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


@pytest.mark.parametrize("more", range(8))
def test_spawner_without_descriptors_goes_on_and_recovers(emperor: Emperor, more: int) -> None:
    need_root()
    emperor.app("hello")
    kept = emperor.drop("kept")
    emperor.start()
    before = emperor.wait_state("kept", "ready")
    with limited(emperor.pid, "nofile", fds_allowed(emperor.pid, more)):
        port = emperor.drop("blog")
        time.sleep(0.5)
        assert emperor.process is not None
        assert emperor.process.poll() is None, "the spawner died"
        assert get(kept)[0] == 200
    emperor.wait_state("blog", "ready", timeout=30)
    assert get(port)[0] == 200
    assert emperor.vassal("kept")["pid"] == before["pid"]


@pytest.mark.parametrize("more", range(6))
def test_master_without_descriptors_goes_on_and_recovers(emperor: Emperor, more: int) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    master, victim, mold = before["pid"], before["workers"][0]["pid"], mold_of(before)
    with limited(master, "nofile", fds_allowed(master, more)):
        os.kill(victim, signal.SIGKILL)
        os.kill(mold, signal.SIGKILL)
        time.sleep(0.3)
        assert get(port)[0] == 200
    wait_until(lambda: len(children(master)) == 3, 20.0, "mold and both workers")
    wait_until(
        lambda: [worker["state"] for worker in emperor.vassal("blog")["workers"]] == ["idle"] * 2,
        what="both workers",
    )
    assert emperor.vassal("blog")["pid"] == master
    assert get(port)[0] == 200


def test_brain_without_descriptors_loses_nothing_and_recovers(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    brain = emperor.brain_pid
    with limited(brain, "nofile", fds_allowed(brain, 0)):
        second = emperor.drop("shop")
        time.sleep(1.0)
        assert get(port)[0] == 200
    wait_until(emperor.answers, what="the emperor answers")
    emperor.wait_state("shop", "ready", timeout=20)
    assert get(second)[0] == 200
    assert emperor.vassal("blog")["pid"] == before["pid"]


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """Mount an empty file system of so many bytes at `path`, writable for everybody."""
    libc = ctypes.CDLL(None, use_errno=True)
    path.mkdir()
    options = f"size={size},mode=1777".encode()
    if libc.mount(b"tmpfs", bytes(path), b"tmpfs", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount tmpfs")
    try:
        yield
    finally:
        if libc.umount2(bytes(path), 2) != 0:
            raise OSError(ctypes.get_errno(), "umount")


def test_full_disk_costs_log_lines_and_nothing_else(emperor: Emperor) -> None:
    need_root()
    emperor.app("daemons", DAEMONS)
    disk = emperor.base / "disk"
    with small_disk(disk, "128k"):
        port = emperor.drop(
            "blog", app="daemons:application", **{"log.target": str(disk / "blog.log")}
        )
        emperor.start()
        before = emperor.wait_state("blog", "ready")
        for _ in range(5):
            assert get(port, "/print/100")[0] == 200

        def dropped() -> int:
            return int(emperor.vassal("blog")["totals"]["log_lines_dropped"])

        lost = wait_until(dropped, what="lines are counted as dropped")
        assert lost >= 300
        assert (disk / "blog.log").stat().st_size > 100_000
        assert emperor.vassal("blog")["pid"] == before["pid"]
        (disk / "blog.log").write_bytes(b"")
        assert get(port, "/print/1")[0] == 200
        log = wait_until((disk / "blog.log").read_text, what="it is written again")
        assert f"event=log_lines_dropped lines={lost}\n" in log
        assert emperor.stop() == 0


def test_full_disk_for_the_emperors_own_log_stops_nothing(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    disk = emperor.base / "disk"
    with small_disk(disk, "8k"):
        emperor.log_file = disk / "emperor.log"
        (disk / "filler").write_bytes(b"x" * 4096)
        port = emperor.drop("blog")
        with contextlib.suppress(OSError):
            (disk / "more").write_bytes(b"x" * 8192)
        emperor.start()
        emperor.wait_state("blog", "ready")
        with ThreadedReloads(emperor):
            assert [get(port)[0] for _ in range(20)] == [200] * 20
        emperor.wait_state("blog", "ready")
        assert emperor.stop() == 0
        emperor.log_file = emperor.base / "none"


def test_emperor_without_standard_streams_gives_their_numbers_to_nothing_else(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.program = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *emperor.program]
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    for number in range(3):
        assert os.readlink(f"/proc/{emperor.pid}/fd/{number}") == os.devnull
    assert emperor.stop() == 0


class ThreadedReloads:
    """Reloads the vassal now and then for the time of a with block."""

    def __init__(self, emperor: Emperor) -> None:
        self._emperor = emperor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._emperor.do("reload", "blog")
