"""A dropped file becomes a served application; an edited one reloads; a removed one stops."""

import contextlib
import os
import socket
import threading
import time

import pytest

from emperor.control.client import ControlClient
from tests.support.emperor import HELLO, Emperor, get
from tests.support.need import need_root
from tests.support.wait import wait_until


def test_dropped_file_is_served(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.start()
    port = emperor.drop("blog")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_file_that_was_there_at_the_start_is_served(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    assert status["generation"] == 1
    assert [worker["state"] for worker in status["workers"]] == ["idle"]
    assert status["workers"][0]["pid"] > 1
    assert status["workers"][0]["rss_bytes"] > 1_000_000
    assert status["since"] == pytest.approx(time.time(), abs=10)


def test_removed_file_stops_the_vassal_and_frees_its_port(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), what="blog is forgotten")

    def is_free() -> bool:
        """The spawner's copy of the socket is closed a moment after the emperor's."""
        with contextlib.suppress(ConnectionResetError):
            try:
                get(port)
            except ConnectionRefusedError:
                return True
        return False

    wait_until(is_free, what="nobody listens any more")


def test_changed_content_reloads_and_nobody_is_refused_meanwhile(emperor: Emperor) -> None:
    port = emperor.serve()
    # Of another size: Python takes one of the same second and size for what it compiled.
    emperor.app("hello", one="second")
    emperor.drop("blog", port=port, workers=2)
    answers = set()

    def answered_by_the_new_code() -> bool:
        status, body = get(port)
        answers.add(status)
        return body.startswith(b"second")

    wait_until(answered_by_the_new_code, what="new code answers")
    assert answers == {200}
    assert emperor.wait_state("blog", "ready")["generation"] == 2


def test_same_content_written_again_does_nothing(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    emperor.drop("blog", port=port)
    os.utime(emperor.vassals / "blog.toml")
    time.sleep(0.3)
    after = emperor.vassal("blog")
    assert (after["generation"], after["pid"]) == (before["generation"], before["pid"])


def test_touch_reloads_only_if_asked_for(emperor: Emperor) -> None:
    emperor.app("hello")
    trigger = emperor.base / "reload-me"
    trigger.touch()
    emperor.drop("blog", touch_reload=[str(trigger)])
    emperor.start()
    emperor.wait_state("blog", "ready")
    os.utime(trigger, (1, 1))
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="reload by touch")


def test_comment_only_change_does_not_reload(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    emperor.drop("blog", port=port, text="# a comment\n")
    wait_until(lambda: emperor.log().count("event=file_read") == 1, what="the file is read")
    time.sleep(0.1)
    assert emperor.vassal("blog")["pid"] == before["pid"]
    assert emperor.vassal("blog")["generation"] == 1


def test_broken_new_file_leaves_the_old_version_running_and_says_so(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.drop("blog", port=port, wrokers=3)
    failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the problem")
    assert failure["kind"] == "config"
    assert "did you mean workers" in failure["message"]
    assert get(port)[0] == 200
    emperor.drop("blog", port=port)  # as it was: nothing is reloaded
    wait_until(lambda: not emperor.vassal("blog")["last_failure"], what="no trouble any more")
    emperor.drop("blog", port=port, workers=2)
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, what="the mended file")


def test_file_that_was_never_valid_is_parked_until_it_is_mended(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog", wrokers=3)
    emperor.start()
    assert emperor.wait_state("blog", "parked")["last_failure"]["kind"] == "config"
    port = emperor.drop("blog")
    assert not emperor.wait_state("blog", "ready")["last_failure"]
    assert get(port)[0] == 200


def test_clients_of_a_parked_vassal_are_told_so_until_it_is_mended(emperor: Emperor) -> None:
    emperor.app("hello", "import nonsense_that_is_not_there\n")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "parked")
    for _ in range(3):
        assert get(port)[0] == 503
    emperor.app("hello")
    emperor.drop("blog", port=port, text="# mended\n")
    emperor.do("start", "blog")
    emperor.wait_state("blog", "ready")
    assert {get(port)[0] for _ in range(20)} == {200}


def test_host_of_another_vassal_is_refused_and_status_says_so(emperor: Emperor) -> None:
    emperor.app("hello")
    for name, hosts in (("blog", ["a.example"]), ("shop", ["a.example", "b.example"])):
        path = emperor.base / f"{name}.sock"
        emperor.drop(name, listen=[f"uwsgi+unix://{path}"], hosts=hosts)
        if name == "blog":
            emperor.start()
        emperor.wait_state(name, "ready")
    shop = emperor.vassal("shop")
    assert shop["hosts"] == ["b.example"]
    assert shop["hosts_refused"] == ['hosts: "a.example" is served by vassal blog already']
    assert emperor.vassal("blog")["hosts"] == ["a.example"]
    emperor.remove("blog")
    wait_until(lambda: emperor.vassal("shop")["hosts"] == ["a.example", "b.example"], what="it")
    assert emperor.vassal("shop")["hosts_refused"] == []


def test_new_code_that_cannot_be_imported_leaves_the_old_serving(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("hello", "import nonsense_that_is_not_there\n")
    assert emperor.do("reload", "blog")[0] == 202
    failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the failure")
    assert failure["kind"] == "load"
    assert "nonsense_that_is_not_there" in failure["message"]
    assert "hello.py" in failure["traceback"]
    now = emperor.vassal("blog")
    assert (now["state"], now["behind"]) == ("ready", True)
    assert get(port)[1].startswith(b"one")
    emperor.app("hello")
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: not emperor.vassal("blog")["behind"], what="the mended code serves")


def test_directory_that_is_closed_to_the_user_is_told_without_a_traceback(emperor: Emperor) -> None:
    closed = emperor.base / "closed"
    closed.mkdir(mode=0)
    emperor.app("hello")
    emperor.drop("blog", directory=str(closed))
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    closed.chmod(0o700)
    assert f"cannot enter {closed}: Permission denied; correct directory" in failure["message"]
    assert failure["traceback"] == ""


def test_failed_first_start_explains_itself(emperor: Emperor) -> None:
    emperor.app("broken", "print('about to fail')\nimport nonsense_that_is_not_there\n")
    emperor.drop("blog", app="broken:application")
    emperor.start()
    status = emperor.wait_state("blog", "parked")
    failure = status["last_failure"]
    assert failure["kind"] == "load"
    assert "broken.py" in failure["traceback"]
    assert "about to fail" in failure["output"]
    wait_until(lambda: "nonsense_that_is_not_there" in emperor.log(), what="it is in the log")


def test_app_that_exits_while_it_is_loaded_is_tried_again_later(emperor: Emperor) -> None:
    emperor.app("broken", "import os\nos._exit(7)\n")
    emperor.drop("blog", app="broken:application")
    emperor.start()
    status = emperor.wait_state("blog", "backoff")
    explain = "/v1/vassals/blog/explain"
    wait_until(
        lambda: emperor.ask("GET", explain)[1]["next_action"].startswith("StartVassal in"),
        what="it is told when it is tried again",
    )
    assert status["last_failure"]["exit_status"] == 7
    emperor.app("broken", HELLO)
    emperor.wait_state("blog", "ready")


def test_stop_start_restart_and_reload_by_hand(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    first = emperor.wait_state("blog", "ready")
    assert emperor.do("stop", "blog")[0] == 202
    emperor.wait_state("blog", "stopped")
    assert emperor.do("start", "blog")[0] == 202
    second = emperor.wait_state("blog", "ready")
    assert second["pid"] != first["pid"]
    assert emperor.do("restart", "blog")[0] == 202
    wait_until(lambda: emperor.vassal("blog")["pid"] not in (0, second["pid"]), what="new master")
    third = emperor.wait_state("blog", "ready")
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(
        lambda: emperor.vassal("blog")["generation"] == third["generation"] + 1, what="reload"
    )
    assert emperor.vassal("blog")["pid"] == third["pid"]
    assert get(port)[0] == 200


def test_master_and_workers_run_confined(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    assert status["user"] == "nobody"
    assert get(port)[1].split()[1] != b"1"
    for pid in (status["pid"], status["workers"][0]["pid"]):
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert lines["Uid"].split() == ["65534"] * 4
        assert lines["Gid"].split() == ["65534"] * 4
        assert lines["Groups"].split() == ["65534"]
        assert lines["NoNewPrivs"] == "1"
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(lines[name], 16) == 0, name
        assert len(lines["NSpid"].split()) == 2
    assert os.readlink(f"/proc/{status['pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")
    with open(f"/proc/{status['pid']}/status") as file:  # noqa: PTH123
        assert f"NSpid:\t{status['pid']}\t1\n" in file.read()


def test_address_that_another_process_has_is_taken_as_soon_as_it_is_free(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = emperor.drop("blog", port=other.getsockname()[1])
        emperor.start()
        failure = emperor.wait_state("blog", "backoff")["last_failure"]
        assert failure["kind"] == "listen"
        assert f":{port}: the address is in use" in failure["message"]
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_numbers_of_an_event_are_those_of_the_log(emperor: Emperor) -> None:
    emperor.serve()
    events, heard = ControlClient(emperor.runtime_dir).events(), []

    def listen() -> None:
        heard.append(next(event for event in events if "took_s" in event.fields))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()

    def is_heard() -> bool:
        emperor.do("restart", "blog")
        listener.join(1.0)
        return not listener.is_alive()

    wait_until(is_heard, what="an event with a number")
    assert f" took_s={heard[0].fields['took_s']} " in emperor.log()


def test_vassal_whose_workers_all_die_at_once_is_started_anew_with_a_pause(
    emperor: Emperor,
) -> None:
    # They die of something that a fork does not mend; here a file that a new start removes.
    emperor.app(
        "dying",
        "import os, threading\n"
        "TRAP = '/tmp/trap'\n"
        "def application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/trap':\n"
        "        open(TRAP, 'w').close()\n"
        "    if os.path.exists(TRAP):\n"
        "        os._exit(9)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'fine']\n",
    )
    need_root()  # a /tmp of its own
    port = emperor.drop("blog", app="dying:application")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    assert get(port) == (200, b"fine")
    with contextlib.suppress(OSError):
        get(port, "/trap")

    def asked_until_it_is_another() -> bool:
        with contextlib.suppress(OSError):
            get(port, timeout=2)
        return bool(emperor.vassal("blog")["restarts"])

    wait_until(asked_until_it_is_another, 30, "a new start")
    after = emperor.wait_state("blog", "ready")
    assert after["pid"] != before["pid"]
    assert after["last_failure"]["exit_status"] == 9
    assert get(port) == (200, b"fine")
