"""`emperor serve`: one application, one command, and nothing left behind."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from emperor.standalone import ONE_WISH_S
from tests.support.emperor import HELLO, Emperor, get
from tests.support.need import need_open_checkout, need_root
from tests.support.processes import alive, children, pid_tree
from tests.support.served import served
from tests.support.wait import wait_until
from tests.support.wires import ask_uwsgi


def test_serves_with_so_many_workers(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--workers", "3") as one:
        one.wait_ready()
        assert get(one.port)[0] == 200
        assert len(one.worker_pids()) == 3
        assert len(children(one.process.pid)) == 4


def test_requests_are_logged_and_changed_files_loaded_anew_if_asked_for(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--access-log", "on", "--autoreload", "1") as one:
        one.wait_ready()
        assert get(one.port, "/before")[0] == 200
        wait_until(lambda: '"GET /before HTTP/1.1" 200' in one.log(), what="a line for the request")
        emperor.app("hello", "def application(environ, start_response):\n    fails()\n")
        wait_until(lambda: get(one.port)[0] == 500, what="the new code serves")


def test_directory_that_is_not_there_is_told_without_a_traceback(emperor: Emperor) -> None:
    with served(emperor, "--directory", "/nowhere") as one:
        assert one.process.wait(10) == 1
        assert one.log() == (
            "emperor serve: directory: /nowhere is no folder; create it, or correct the path\n"
        )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stops_within_two_seconds_with_status_0(emperor: Emperor, signum: int) -> None:
    emperor.app("hello")
    with served(emperor, "--workers", "2") as one:
        one.wait_ready()
        assert get(one.port)[0] == 200
        status, took = one.stop(signum)
        assert status == 0
        assert took < 2.0
        assert "Traceback" not in one.log()
        with pytest.raises(ConnectionRefusedError):
            get(one.port)


def test_stop_waits_for_a_running_request_and_a_second_signal_does_not(emperor: Emperor) -> None:
    emperor.app("hello")
    at_once, later = 0.003, ONE_WISH_S + 0.2  # sent by one hand, as `timeout` does, or by two
    for pause_s, takes_s, expected in ((None, 1, [200]), (at_once, 1, [200]), (later, 30, [503])):
        with served(emperor) as one:
            one.wait_ready()
            answers: list[int] = []

            def ask(
                port: int = one.port, answers: list[int] = answers, takes_s: int = takes_s
            ) -> None:
                try:
                    answers.append(get(port, f"/sleep/{takes_s}", timeout=40)[0])
                except OSError:
                    pass

            client = threading.Thread(target=ask)
            client.start()
            time.sleep(0.3)
            one.process.terminate()
            if pause_s is not None:
                time.sleep(pause_s)
                one.process.terminate()
            assert one.process.wait(10) == 0
            client.join(10)
            assert answers == expected


def test_ctrl_c_in_a_terminal_reaches_the_master_alone(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, start_new_session=True) as one:
        one.wait_ready()
        answers: list[int] = []
        client = threading.Thread(target=lambda: answers.append(get(one.port, "/sleep/0.7")[0]))
        client.start()
        time.sleep(0.3)
        os.killpg(one.process.pid, signal.SIGINT)
        assert one.process.wait(10) == 0
        client.join(10)
        assert answers == [200], "a running request is finished"
        assert "KeyboardInterrupt" not in one.log()


def test_hup_reloads_and_refuses_nobody(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--workers", "2") as one:
        one.wait_ready()
        bodies: list[bytes] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                status, body = get(one.port)
                bodies.append(body if status == 200 else b"%d" % status)

        clients = [threading.Thread(target=load) for _ in range(2)]
        for client in clients:
            client.start()
        for number in range(2, 5):
            # Of another size each time: Python takes a source of the same second and the
            # same size for the one that it compiled.
            emperor.app("hello", HELLO.replace("one", "v" * number))
            one.process.send_signal(signal.SIGHUP)
            one.wait_ready(number)
        wait_until(lambda: bodies[-1].startswith(b"vvvv "), what="the newest code answers")
        stop.set()
        for client in clients:
            client.join(10)
        assert {body.split()[0] for body in bodies} <= {b"one", b"vv", b"vvv", b"vvvv"}
        wait_until(lambda: len(one.worker_pids()) == 2, what="the old workers are gone")


def test_hup_with_code_that_cannot_be_loaded_keeps_the_old_serving(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor) as one:
        one.wait_ready()
        emperor.app("hello", "import nonsense_that_is_not_there\n")
        one.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "event=load_failed" in one.log(), what="it is told")
        assert get(one.port)[1].startswith(b"one")
        emperor.app("hello", HELLO.replace("one", "second"))
        one.process.send_signal(signal.SIGHUP)
        wait_until(lambda: get(one.port)[1].startswith(b"second"), what="the mended code")
        assert one.stop()[0] == 0


def test_application_that_cannot_be_loaded_ends_it_with_the_traceback(emperor: Emperor) -> None:
    emperor.app("broken", "print('about to fail')\nimport nonsense_that_is_not_there\n")
    with served(emperor, app="broken:application") as one:
        assert one.process.wait(10) == 1
        assert "about to fail" in one.log()
        assert "broken.py" in one.log()
        assert "nonsense_that_is_not_there" in one.log()


@pytest.mark.parametrize("app", ["hello:nothing_of_this_name", "no_such_module:application"])
def test_wrong_name_of_the_application_ends_it(emperor: Emperor, app: str) -> None:
    emperor.app("hello")
    with served(emperor, app=app) as one:
        assert one.process.wait(10) == 1
        assert app.partition(":")[2] in one.log() or "no_such_module" in one.log()


def test_address_in_use_ends_it_with_one_line(emperor: Emperor) -> None:
    emperor.app("hello")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with served(emperor, "--listen", url) as one:
            assert one.process.wait(10) == 1
            assert url in one.log()
            assert "Traceback" not in one.log()


def test_harakiri_kills_and_the_rest_serves_on(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--harakiri", "0.5", "--workers", "2") as one:
        one.wait_ready()
        began = time.monotonic()
        assert get(one.port, "/spin")[0] == 504
        assert 0.5 <= time.monotonic() - began < 5
        wait_until(lambda: "reason=harakiri" in one.log(), what="it is told")
        # Of the application's lines, which are as they are, ours can be told apart.
        assert re.search(r"^vassal=hello \S+Z event=worker_killed ", one.log(), re.MULTILINE)
        # A worker that gets no CPU in its last 10 ms does not tell where it was.
        wait_until(
            lambda: "hello.py" in one.log() or get(one.port, "/spin")[0] != 504,
            what="where it was",
        )
        assert "hello.py" in one.log()
        assert get(one.port)[0] == 200
        wait_until(lambda: len(one.worker_pids()) == 2, what="a new worker")
        assert one.stop()[0] == 0


def test_killed_worker_is_replaced(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor) as one:
        one.wait_ready()
        (old,) = one.worker_pids()
        os.kill(old, signal.SIGKILL)
        assert get(one.port)[0] == 200
        assert old not in one.worker_pids()


def test_killed_master_takes_mold_and_workers_with_it(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--workers", "2") as one:
        one.wait_ready()
        tree = pid_tree(one.process.pid)
        assert len(tree) == 3
        one.process.kill()
        one.process.wait(10)
        wait_until(lambda: not [pid for pid in tree if alive(pid)], what="all are gone")


def test_unix_socket_is_removed_at_the_end_and_a_stale_one_is_no_obstacle(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    path = emperor.base / "app.sock"
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with served(emperor, "--listen", f"uwsgi+unix://{path}") as one:
            one.wait_ready()
            assert ask_uwsgi(str(path), "/")[0] == 200
            one.process.send_signal(how)
            one.process.wait(10)
        assert path.exists() is (how == signal.SIGKILL)


def test_environment_and_arguments_reach_the_application(emperor: Emperor) -> None:
    emperor.app(
        "made",
        "import os\n"
        "def factory(word, times=1):\n"
        "    def application(environ, start_response):\n"
        "        start_response('200 OK', [])\n"
        "        return [(word * times + os.environ['GIVEN'] + os.environ['FOUND']).encode()]\n"
        "    return application\n",
    )
    environ = {**os.environ, "FOUND": "?"}
    with served(emperor, "--env", "GIVEN=!", app="made:factory('ab', times=2)", env=environ) as one:
        one.wait_ready()
        assert get(one.port) == (200, b"abab!?")


def test_without_a_master_one_process_serves(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--no-master") as one:
        wait_until(lambda: _answers(one.port), what="it answers")
        assert pid_tree(one.process.pid) == []
        assert get(one.port)[1].split()[1] == b"%d" % one.process.pid
        assert one.stop()[0] == 0
        assert "Traceback" not in one.log()


def test_without_a_master_ctrl_c_ends_it_and_a_second_one_does_not_wait(emperor: Emperor) -> None:
    emperor.app("hello", HELLO, **{"time.sleep(": "print('begun'); time.sleep("})
    with served(emperor, "--no-master", "--harakiri", "0") as one:
        wait_until(lambda: _answers(one.port), what="it answers")
        assert one.stop(signal.SIGINT)[0] == 0
    with served(emperor, "--no-master", "--harakiri", "0") as one:
        wait_until(lambda: _answers(one.port), what="it answers")
        with socket.create_connection(("127.0.0.1", one.port)) as client:
            client.sendall(b"GET /sleep/60 HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: "begun" in one.log(), what="the request runs")
            one.process.send_signal(signal.SIGINT)
            wait_until(lambda: not _catches(one.process.pid, signal.SIGINT), what="it was heard")
            assert one.stop(signal.SIGINT)[0] == -signal.SIGINT


def test_without_a_master_harakiri_ends_the_process(emperor: Emperor) -> None:
    emperor.app("hello")
    with served(emperor, "--no-master", "--harakiri", "0.5") as one:
        wait_until(lambda: _answers(one.port), what="it answers")
        assert get(one.port, "/sleep/0.3")[0] == 200
        began = time.monotonic()
        with pytest.raises(OSError):
            get(one.port, "/spin")
        assert one.process.wait(10) == -signal.SIGALRM
        assert 0.5 <= time.monotonic() - began < 1.5


def test_without_a_master_a_broken_application_ends_it_with_the_traceback(
    emperor: Emperor,
) -> None:
    emperor.app("broken", "import nonsense_that_is_not_there\n")
    with served(emperor, "--no-master", app="broken:application") as one:
        assert one.process.wait(10) == 1
        assert "broken.py" in one.log()
        assert "nonsense_that_is_not_there" in one.log()


def test_an_ordinary_user_can_serve(emperor: Emperor) -> None:
    need_root()
    need_open_checkout()
    emperor.app("hello")
    ordinary: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    with served(emperor, "--workers", "2", **ordinary) as one:
        one.wait_ready()
        assert get(one.port)[0] == 200
        for pid in [one.process.pid, *one.worker_pids()]:
            assert f"\nUid:\t{65534}\t" in Path(f"/proc/{pid}/status").read_text()
        one.process.send_signal(signal.SIGHUP)
        one.wait_ready(2)
        assert get(one.port)[0] == 200
        assert one.stop()[0] == 0


def test_uid_without_an_account_can_serve(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    nameless: dict[str, Any] = {"user": 54321, "group": 54321, "extra_groups": [], "cwd": "/"}
    with served(emperor, env={}, **nameless) as one:
        one.wait_ready()
        assert get(one.port)[0] == 200


def _catches(pid: int, signum: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signum - 1) & 1)


def _answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False
