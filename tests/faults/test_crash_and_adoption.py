"""Whatever dies, the rest goes on, and there is one of everything."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from inotify_simple import INotify, flags

from tests.support.code import change, installed
from tests.support.emperor import HELLO, Emperor, get
from tests.support.exchange import exchange
from tests.support.processes import alive, children, cmdline, pid_tree
from tests.support.wait import wait_until


class Load:
    """Requests in a row from a thread; counts what was not a 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answered = 0
        self.failures: list[str] = []

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                status, _ = get(self._port, timeout=20)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                self.answered += 1
                if status != 200:
                    self.failures.append(str(status))


def masters(emperor: Emperor) -> list[int]:
    return [pid for pid in children(emperor.pid) if "master of" in cmdline(pid)]


def test_killed_brain_loses_no_request_and_steers_again(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    time.sleep(2.0)  # longer than masters take to answer on a busy machine
    with Load(port) as load:
        for _ in range(3):
            wait_until(emperor.answers, what="an emperor that answers")
            killed_at = time.monotonic()
            old = emperor.kill_brain()
            emperor.wait_new_brain(old)
            assert time.monotonic() - killed_at < 5.0
    assert load.failures == []
    assert load.answered > 10
    after = emperor.wait_state("blog", "ready")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert abs(after["since"] - before["since"]) < 1.5, "it has been ready all the time"
    assert len(masters(emperor)) == 1
    emperor.app("hello", VERSION="VERSION", one="two")
    emperor.do("reload", "blog")
    wait_until(lambda: get(port)[1].startswith(b"two"), what="the new brain steers")


def test_new_brain_reads_no_file_again_for_what_runs_of_it(emperor: Emperor) -> None:
    """Those of masters are read before the others; and all once more when they are watched, as they
    may have changed until then."""
    emperor.serve()
    with INotify() as opened:
        opened.add_watch(emperor.vassals, flags.OPEN)
        emperor.wait_new_brain(emperor.kill_brain())
        emperor.drop("shop")  # read after all others
        emperor.wait_state("shop", "ready")
        names = [event.name for event in opened.read(timeout=0)]
    assert names.count("blog.toml") == 2


def test_brain_killed_in_mid_spawn_leaves_exactly_one_instance(emperor: Emperor) -> None:
    emperor.app("slow", "import time\ntime.sleep(0.8)\nfrom hello import application\n")
    emperor.app("hello")
    emperor.start()
    for delay in (0.0, 0.01, 0.03, 0.3):
        port = emperor.drop("blog", app="slow:application")
        time.sleep(delay)
        old = emperor.kill_brain()
        emperor.wait_new_brain(old)
        emperor.wait_state("blog", "ready")
        assert get(port)[0] == 200
        assert len(masters(emperor)) == 1
        emperor.remove("blog")
        wait_until(lambda: not emperor.vassal("blog"), what="blog is forgotten")
        assert masters(emperor) == []


def test_brain_killed_in_mid_reload_and_mid_stop_ends_as_wanted(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("hello", "import time\ntime.sleep(0.5)\n" + _hello("two"))
    emperor.do("reload", "blog")
    old = emperor.kill_brain()
    emperor.wait_new_brain(old)
    wait_until(lambda: get(port)[1].startswith(b"two"), what="the reload is finished")
    emperor.wait_state("blog", "ready")
    emperor.remove("blog")
    old = emperor.kill_brain()
    emperor.wait_new_brain(old)
    wait_until(lambda: not masters(emperor), what="the stop is finished")


def _hello(version: str) -> str:
    return HELLO.replace("one", version)


def test_change_made_while_there_was_no_brain_is_seen(emperor: Emperor) -> None:
    emperor.serve()
    old = emperor.kill_brain(signal.SIGSTOP)
    emperor.remove("blog")
    port = emperor.drop("shop")
    os.kill(old, signal.SIGKILL)
    emperor.wait_new_brain(old)
    emperor.wait_state("shop", "ready")
    assert get(port)[0] == 200
    wait_until(lambda: not emperor.vassal("blog"), what="blog is forgotten")


def test_vassal_stopped_by_hand_stays_stopped_after_the_brain_died(emperor: Emperor) -> None:
    emperor.serve()
    emperor.do("stop", "blog")
    emperor.wait_state("blog", "stopped")
    old = emperor.kill_brain()
    emperor.wait_new_brain(old)
    assert emperor.vassal("blog")["state"] == "stopped"


def test_killed_master_is_replaced_on_the_same_socket_and_the_queue_is_served(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    tree = pid_tree(before["pid"])
    os.kill(before["pid"], signal.SIGKILL)
    # A worker that has not died of it yet may take a request along.
    wait_until(lambda: not any(alive(pid) for pid in tree), 5, "its workers are gone too")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as queued:
        queued.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert queued.recv(1000).startswith(b"HTTP/1.1 200")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] != before["pid"]
    assert after["restarts"] == 1
    assert after["last_failure"]["signal"] == signal.SIGKILL
    assert not any(alive(pid) for pid in tree)


def test_master_that_dies_with_the_brain_is_told_of_by_the_next(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    master = emperor.wait_state("blog", "ready")["pid"]
    brain = emperor.status()["emperor"]["pid"]
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(master, signal.SIGKILL)
    os.kill(brain, signal.SIGKILL)
    os.kill(emperor.pid, signal.SIGCONT)
    emperor.wait_new_brain(brain)
    status = emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    assert (status["restarts"], status["last_failure"]["signal"]) == (1, 9)
    wait_until(lambda: f"event=master_died level=error pid={master}" in emperor.log(), what="log")
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("blog", "ready")
    assert emperor.log().count("event=master_died") == 1, "it is told once"


def test_masters_that_die_at_any_moment_of_a_start_are_replaced(emperor: Emperor) -> None:
    emperor.app("hello")
    ports = [emperor.drop(f"blog{number}") for number in range(16)]
    for number in range(300):
        (emperor.vassals / f"broken{number}.toml").write_text("app = \n")  # a start takes longer
    emperor.start()
    pids = [emperor.wait_state(f"blog{number}", "ready")["pid"] for number in range(16)]
    brain = emperor.kill_brain()
    wait_until(lambda: any("emperor: brain" in cmdline(pid) for pid in children(emperor.pid)))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.015)
    emperor.wait_new_brain(brain)
    for number, port in enumerate(ports):
        assert get(port)[0] == 200
        assert emperor.wait_state(f"blog{number}", "ready")["pid"] != pids[number]


def test_what_was_acknowledged_is_done_also_if_the_brain_dies_at_once(emperor: Emperor) -> None:
    code, python = installed(emperor.base)
    emperor.program = [python, "-m", "emperor"]
    # As of a brain that has much to look at.
    change(code / "emperor/brain/fleet.py", "self._look_took_s, self._rec", "0.3, self._rec")
    port = emperor.serve()
    emperor.app("hello", one="two")
    assert emperor.do("reload", "blog")[0] == 202
    brain = emperor.kill_brain()
    wait_until(lambda: get(port)[1].startswith(b"two"), 15, "the new code")
    emperor.wait_new_brain(brain)
    assert emperor.do("stop", "blog")[0] == 202
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("blog", "stopped")


def test_new_master_that_was_asked_for_comes_also_if_the_brain_dies_meanwhile(
    emperor: Emperor,
) -> None:
    port = emperor.serve()
    first = emperor.vassal("blog")["pid"]
    emperor.app("hello", "import time; time.sleep(1)\n" + HELLO)
    assert emperor.do("renew", "blog")[0] == 202
    emperor.wait_new_brain(emperor.kill_brain())
    wait_until(lambda: emperor.vassal("blog").get("pid") not in (None, 0, first), 20, "it came")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_what_was_stopped_stays_so_over_brains_that_do_not_see_its_file(emperor: Emperor) -> None:
    emperor.app("hello")
    far = emperor.base / "far"
    far.mkdir()
    emperor.drop("shop")
    emperor.drop("blog")
    (emperor.vassals / "shop.toml").rename(far / "shop.toml")
    emperor.start(str(far))
    for name in ("shop", "blog"):
        emperor.wait_state(name, "ready")
        emperor.do("stop", name)
        emperor.wait_state(name, "stopped")
    far.rename(emperor.base / "away")
    for _ in range(2):
        emperor.wait_new_brain(emperor.kill_brain())
        emperor.do("start", "blog")
        emperor.wait_state("blog", "ready")
    (emperor.base / "away").rename(far)
    wait_until(lambda: emperor.vassal("shop").get("state"), 10, "its file is seen again")
    time.sleep(0.3)
    assert emperor.state_of("shop") == "stopped"


def test_killed_mold_is_replaced_and_its_workers_serve_on(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    worker = status["workers"][0]["pid"]
    mold = next(pid for pid in children(status["pid"]) if pid != worker)
    os.kill(mold, signal.SIGKILL)
    assert get(port)[0] == 200
    wait_until(
        lambda: len([p for p in children(status["pid"]) if alive(p)]) == 2, what="a new mold"
    )
    assert emperor.vassal("blog")["workers"][0]["pid"] == worker
    line = "reason=crash message='the mold died (signal 9)'"
    assert f"event=mold_died generation=1 {line}" in emperor.vassal_log("blog")
    wait_until(lambda: "event=mold_died" in emperor.log(), what="the emperor's log")
    assert emperor.vassal("blog")["last_failure"]["message"] == "the mold died (signal 9)"
    os.kill(worker, signal.SIGKILL)
    assert get(port)[0] == 200
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["pid"] != worker, what="new worker")


def test_killed_worker_costs_only_its_own_request(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    broken: list[BaseException] = []

    def ask_slowly() -> None:
        try:
            get(port, "/sleep/5")
        except (OSError, ConnectionError) as error:
            broken.append(error)

    client = threading.Thread(target=ask_slowly)
    client.start()

    def busy() -> list[int]:
        return [w["pid"] for w in emperor.vassal("blog")["workers"] if w["state"] == "busy"]

    pids = wait_until(busy, what="a busy worker")
    os.kill(pids[0], signal.SIGKILL)
    client.join(10)
    assert len(broken) == 1
    assert [get(port)[0] for _ in range(10)] == [200] * 10
    wait_until(
        lambda: all(w["pid"] != pids[0] for w in emperor.vassal("blog")["workers"]),
        what="a successor",
    )
    workers = wait_until(
        lambda: len(found := emperor.vassal("blog")["workers"]) == 2 and found, what="both"
    )
    assert [worker["slot"] for worker in workers] == [1, 2]
    assert emperor.vassal("blog")["pid"] == status["pid"]
    assert emperor.vassal("blog")["totals"]["worker_deaths"] == 1


def test_second_emperor_on_one_runtime_directory_exits_and_deletes_nothing(
    emperor: Emperor,
) -> None:
    import subprocess
    import sys

    port = emperor.serve(text="")
    command = [sys.executable, "-m", "emperor", "run", "--runtime-dir"]
    second = subprocess.run(
        [*command, str(emperor.runtime_dir), str(emperor.vassals)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 78
    assert "another emperor runs in" in second.stderr
    assert emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


@pytest.mark.parametrize("who", ["brain", "master"])
def test_stopped_and_continued_process_kills_nobody(emperor: Emperor, who: str) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", workers=2, harakiri=1)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    pid = emperor.brain_pid if who == "brain" else before["pid"]
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        assert get(port, "/sleep/0.2")[0] == 200
    with contextlib.suppress(ProcessLookupError):  # the brain has a successor by now
        os.kill(pid, signal.SIGCONT)
    wait_until(emperor.answers, what="the emperor answers")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] == before["pid"]
    assert after["totals"]["worker_deaths"] == 0
    assert after["totals"]["harakiris"] == 0


def test_removed_and_added_again_at_once_is_one_instance(emperor: Emperor) -> None:
    port = emperor.serve()
    for _ in range(5):
        emperor.remove("blog")
        time.sleep(0.005)
        emperor.drop("blog", port=port)
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    assert len(masters(emperor)) == 1


def test_many_files_at_once_start_paced(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.start()
    ports = [emperor.drop(f"v{n}") for n in range(30)]
    most = 0

    def all_ready() -> bool:
        nonlocal most
        states = [vassal["state"] for vassal in emperor.status()["vassals"]]
        most = max(most, states.count("starting"))
        return states.count("ready") == 30

    wait_until(all_ready, 40.0, "30 ready")
    assert 1 <= most <= 4
    assert [get(port)[0] for port in ports] == [200] * 30


def test_shutdown_lets_requests_finish(emperor: Emperor) -> None:
    port = emperor.serve()
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/1")[0]))
    client.start()
    wait_until(
        lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="a busy worker"
    )
    assert emperor.stop() == 0
    client.join(10)
    assert answers == [200]


def test_killed_spawner_takes_everything_with_it(emperor: Emperor) -> None:
    """Without systemd nobody starts it again; then nothing may be left that cannot be steered."""
    emperor.serve()
    tree = pid_tree(emperor.pid)
    os.kill(emperor.pid, signal.SIGKILL)
    assert emperor.process is not None
    emperor.process.wait(10)

    def gone() -> bool:
        return not any(alive(pid) for pid in tree)

    wait_until(gone, what="brain, master, mold and worker are gone")


def test_new_brain_that_cannot_read_the_files_stops_nobody(emperor: Emperor) -> None:
    """A folder that cannot be read says nothing about what is in it."""
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    path = emperor.vassals / "blog.toml"
    old = emperor.kill_brain(signal.SIGSTOP)
    folder = emperor.base / "folder"
    folder.mkdir()
    exchange(path, folder)
    os.kill(old, signal.SIGKILL)
    emperor.wait_new_brain(old)
    failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the problem")
    assert "is a folder" in failure["message"]
    assert get(port)[0] == 200
    exchange(path, folder)
    wait_until(lambda: emperor.vassal("blog")["listen"], what="the file is read")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] == before["pid"]
    assert get(port)[0] == 200


def test_sighup_reads_the_settings_anew_and_loses_no_request(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    assert len(before["workers"]) == 1
    emperor.config_file.write_text("[defaults]\nworkers = 2\n")
    old = emperor.brain_pid
    with Load(port) as load:
        os.kill(emperor.pid, signal.SIGHUP)
        emperor.wait_new_brain(old)
        wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, what="the new default")
    assert load.failures == []
    assert emperor.wait_state("blog", "ready")["pid"] == before["pid"]
    assert "level=error" not in emperor.log()


def test_sighup_with_broken_settings_changes_nothing_and_says_so(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("")
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.config_file.write_text("nonsense = 1\n")
    old = emperor.brain_pid
    os.kill(emperor.pid, signal.SIGHUP)
    wait_until(lambda: "event=reload_refused" in emperor.log(), what="the refusal")
    assert "emperor.toml:1: nonsense" in emperor.log()
    assert emperor.brain_pid == old
    emperor.kill_brain()
    emperor.wait_new_brain(old)
    assert emperor.wait_state("blog", "ready")


def test_reload_after_one_in_which_the_brain_was_killed(emperor: Emperor) -> None:
    emperor.app("slow", "import time\ntime.sleep(1)\nfrom hello import application\n")
    port = emperor.serve(app="slow:application", text="[health]\nsettle = 0.1\n")
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, what="a reload")
    emperor.wait_new_brain(emperor.kill_brain())
    # A master tells of that before it describes itself so; on a busy host before it was adopted.
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="its end")
    emperor.app("hello", one="two")
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: get(port)[1].startswith(b"two"), what="the newer code")
