"""The spawner takes new code in by an exec of itself, with all vassals running."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from emperor import __version__
from emperor.brain.main import SPAWNER_FD
from emperor.spawner import handover
from limits import syscalls
from tests.support.code import change, installed
from tests.support.control import emperor as command
from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.processes import alive, fds_of
from tests.support.wait import wait_until


def image_of(pid: int) -> set[int]:
    """Return what tells one image of a spawner from the next: the code that it has packed."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed
            if os.readlink(fd).startswith("/memfd:emperord-runtime"):
                found.add(fd.stat().st_ino)
    return found


def upgrade(one: Emperor) -> None:
    """SIGHUP, and wait for both the spawner's new image and its new brain."""
    image, brain = image_of(one.pid), one.brain_pid
    os.kill(one.pid, signal.SIGHUP)
    one.wait_new_brain(brain)
    wait_until(lambda: not image & image_of(one.pid), 5, "a new image")


def test_upgrade_keeps_pid_masters_and_every_request(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", workers=2)
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    lost: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                assert get(port)[0] == 200
            except Exception as error:
                lost.append(error)

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        for _ in range(3):
            upgrade(emperor)
    finally:
        stop.set()
        for client in clients:
            client.join(10)
    assert lost == []
    assert emperor.process is not None
    assert emperor.process.poll() is None
    after = emperor.wait_state("blog", "ready")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])


PROGRAM = """
import sys
import vassal.code
vassal.code.DIGEST = DIGEST
from emperor.cli.main import main
if __name__ == "__main__":
    sys.exit(main())
"""


def test_first_reload_after_an_upgrade_is_a_master_with_the_new_code(emperor: Emperor) -> None:
    program = emperor.base / "program.py"
    program.write_text(PROGRAM.replace("= DIGEST", '= "older"'))
    emperor.program = [sys.executable, str(program)]
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    old = emperor.wait_state("blog", "ready")["pid"]
    program.write_text(PROGRAM.replace("= DIGEST", "= vassal.code.DIGEST"))
    upgrade(emperor)
    assert emperor.wait_state("blog", "ready")["pid"] == old

    # A reload that fails leaves the old one, and the next try is a new master again.
    emperor.app("hello", "raise RuntimeError('no database')\n")
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.vassal("blog")["last_failure"], what="a failure")
    assert emperor.wait_state("blog", "ready")["pid"] == old
    assert get(port)[0] == 200
    emperor.app("hello")
    with asked_all_the_time(port) as answers:
        emperor.do("reload", "blog")
        wait_until(lambda: emperor.vassal("blog")["pid"] not in (0, old), 15, "a new master")
        new = emperor.wait_state("blog", "ready")
    assert {status for status, _ in answers} == {200}
    wait_until(lambda: not alive(old), 20, "the old master to go")

    emperor.do("reload", "blog")
    wait_until(lambda: emperor.vassal("blog")["generation"] > new["generation"], 15, "a reload")
    assert emperor.wait_state("blog", "ready")["pid"] == new["pid"]


def test_upgraded_spawner_reaps_and_replaces_the_masters_it_was_left(emperor: Emperor) -> None:
    port = emperor.serve()
    master = emperor.vassal("blog")["pid"]
    upgrade(emperor)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: emperor.vassal("blog")["pid"] not in (0, master), 10, "a new master")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    assert not Path(f"/proc/{master}").exists()


def test_upgrades_leave_no_descriptor_behind(emperor: Emperor) -> None:
    emperor.serve()
    upgrade(emperor)
    before = len(fds_of(emperor.pid))
    for _ in range(3):
        upgrade(emperor)
    assert len(fds_of(emperor.pid)) == before


def test_brain_that_dies_while_it_makes_way_leaves_that_to_the_new_code(emperor: Emperor) -> None:
    emperor.start()
    for _ in range(10):
        emperor.log_file.write_text("")
        image, brain = image_of(emperor.pid), emperor.brain_pid
        os.kill(emperor.pid, signal.SIGHUP)
        wait_until(lambda: "event=emperor_restarting" in emperor.log(), 10, "it goes", every=0.001)
        with contextlib.suppress(ProcessLookupError):
            os.kill(brain, signal.SIGKILL)
        emperor.wait_new_brain(brain)
        assert not image & image_of(emperor.pid)
        if "event=emperor_died" in emperor.log():
            break
    else:
        pytest.fail("it has always gone before it could be killed")


def test_what_a_busy_spawner_has_not_read_is_not_acknowledged_and_outlives_the_brain(
    emperor: Emperor,
) -> None:
    need_root()  # of others the kernel passes on few descriptors at a time
    port = emperor.serve()
    brain, image = emperor.brain_pid, image_of(emperor.pid)
    with os.fdopen(os.pidfd_open(brain)) as pidfd:
        held = syscalls.pidfd_getfd(pidfd.fileno(), SPAWNER_FD)
    with socket.socket(fileno=held) as channel:  # else so much fits that it takes a minute
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
    os.kill(emperor.pid, signal.SIGSTOP)
    try:
        answers = (emperor.do(action, "blog") for action in ("stop", "start") * 500)
        refused = next((found for status, found in answers if status == 409), None)
        assert "not passed on within" in str(refused)
        assert emperor.ask("POST", "/v1/upgrade")[0] == 202
        wait_until(lambda: not emperor.state_of("blog"), 10, "the brain makes way")
        time.sleep(0.5)  # it would be gone by now
    finally:
        os.kill(emperor.pid, signal.SIGCONT)
    emperor.wait_new_brain(brain)
    wait_until(lambda: not image & image_of(emperor.pid), 5, "a new image")
    assert "event=emperor_died" not in emperor.log()
    assert emperor.do("restart", "blog")[0] == 202  # whatever was said last
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_upgrade_that_no_brain_has_lived_to_decide_about_is_done(emperor: Emperor) -> None:
    port = emperor.serve()
    master = emperor.vassal("blog")["pid"]
    for _ in range(3):
        image, brain = image_of(emperor.pid), emperor.brain_pid
        os.kill(brain, signal.SIGKILL)
        os.kill(emperor.pid, signal.SIGHUP)
        emperor.wait_new_brain(brain)
        wait_until(lambda image=image: not image & image_of(emperor.pid), 10, "a new image")
    assert emperor.wait_state("blog", "ready")["pid"] == master
    assert get(port)[0] == 200


def test_upgrade_mends_code_whose_brains_die_without_waiting_for_the_next(
    emperor: Emperor,
) -> None:
    code, python = installed(emperor.base)
    emperor.program = [python, "-m", "emperor"]
    port = emperor.serve()
    master = emperor.vassal("blog")["pid"]
    image, brain = image_of(emperor.pid), emperor.brain_pid
    main, good, bad = code / "emperor/brain/main.py", "EX_CONFIG = 78", "raise SystemExit(3)"
    change(main, good, bad)
    os.kill(brain, signal.SIGKILL)
    wait_until(lambda: emperor.log().count("event=emperor_died") > 5, 20, "pauses of seconds")
    change(main, bad, good)
    os.kill(emperor.pid, signal.SIGHUP)
    wait_until(lambda: not image & image_of(emperor.pid), 10, "a new image")
    emperor.wait_new_brain(brain)
    assert emperor.wait_state("blog", "ready")["pid"] == master
    assert get(port)[0] == 200


def test_upgrade_that_was_refused_is_not_done_when_the_brain_dies_later(emperor: Emperor) -> None:
    settings = emperor.base / "emperor.toml"
    settings.write_text("")
    emperor.start("--config", str(settings))
    image, brain = image_of(emperor.pid), emperor.brain_pid
    settings.write_text("spawn_concurency = 4\n")
    os.kill(emperor.pid, signal.SIGHUP)
    wait_until(lambda: "event=reload_refused" in emperor.log(), 10, "it is refused")
    assert emperor.brain_pid == brain  # it has answered since, and the spawner has read that
    emperor.wait_new_brain(emperor.kill_brain())
    assert image == image_of(emperor.pid)


def test_stop_that_comes_in_the_middle_of_an_upgrade_is_obeyed(emperor: Emperor) -> None:
    emperor.serve()
    for pause in (0.05, 0.2):
        os.kill(emperor.pid, signal.SIGHUP)
        time.sleep(pause)
    assert emperor.stop() == 0


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.01])
def test_stop_right_behind_an_upgrade_finishes_what_has_begun(
    emperor: Emperor, pause: float
) -> None:
    port = emperor.serve()
    answers: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/2")))
    client.start()
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", 10, "the request")
    os.kill(emperor.pid, signal.SIGHUP)
    time.sleep(pause)
    assert emperor.stop() == 0
    client.join(10)
    assert [status for status, _ in answers] == [200]


def test_code_that_does_not_start_is_refused_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handover.complaint() == ""
    broken = tmp_path / "python"
    broken.write_text(
        "#!/bin/sh\necho Traceback >&2\necho 'SyntaxError: half a deploy' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    assert handover.complaint() == "SyntaxError: half a deploy"
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    assert "No such file" in handover.complaint()


def test_code_that_cannot_read_the_handover_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "VERSION", 999)
    assert "cannot read this handover" in handover.complaint()


def test_command_upgrades_and_gives_every_vassal_a_new_master(emperor: Emperor) -> None:
    emperor.app("hello")
    ports = {name: emperor.drop(name) for name in ("blog", "shop")}
    emperor.start()
    before = {name: emperor.wait_state(name, "ready")["pid"] for name in ports}
    image, brain = image_of(emperor.pid), emperor.brain_pid
    with asked_all_the_time(ports["blog"]) as answers:
        where = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
        done = command("upgrade", "--vassals", environ=where)
    assert done.returncode == 0, done.stderr
    assert {status for status, _ in answers} == {200}
    assert not image & image_of(emperor.pid)
    assert emperor.brain_pid != brain
    after = {name: emperor.vassal(name)["pid"] for name in ports}
    assert not set(before.values()) & set(after.values())
    wait_until(lambda: not any(map(alive, before.values())), what="the old masters to go")
    # A new brain knows that they are as they should be.
    emperor.wait_new_brain(emperor.kill_brain())
    time.sleep(0.5)
    assert {name: emperor.vassal(name)["pid"] for name in ports} == after


def test_upgrade_without_vassals_leaves_their_masters_alone(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")["pid"]
    done = command("upgrade", environ={"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)})
    assert done.returncode == 0, done.stderr
    assert f"brain {emperor.brain_pid} steers" in done.stdout
    assert emperor.wait_state("blog", "ready")["pid"] == before


def test_new_master_that_cannot_load_leaves_the_old_one_and_fails_the_command(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")["pid"]
    emperor.app("hello", "raise RuntimeError('no database')\n")
    where = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
    done = command("upgrade", "--vassals", environ=where)
    assert done.returncode == 1
    assert "the old version serves on" in done.stdout
    assert get(port)[0] == 200
    assert emperor.vassal("blog")["pid"] == before


def test_code_that_was_installed_meanwhile_is_what_runs_after_an_upgrade(
    emperor: Emperor,
) -> None:
    code, python = installed(emperor.base)
    emperor.program = [python, "-m", "emperor"]
    where = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")["pid"]

    def versions() -> set[str]:
        found = emperor.status()["emperor"]
        return {found["version"], found["spawner_version"]}

    assert versions() == {__version__}
    change(code / "emperor/__init__.py", f'"{__version__}"', '"99.1"')
    change(code / "vassal/master/lines.py", "event=generation_failed", "event=new_word_for_it")
    with asked_all_the_time(port) as answers:
        done = command("upgrade", environ=where)
        assert done.returncode == 0, done
        assert "version 99.1, before" in done.stdout
        assert versions() == {"99.1"}
        assert emperor.vassal("blog")["pid"] == before
        done = command("upgrade", "--vassals", environ=where)
        assert done.returncode == 0, done
        assert emperor.vassal("blog")["pid"] != before
    assert {status for status, _ in answers} == {200}
    emperor.app("hello", "raise RuntimeError\n")
    assert command("reload", "blog", "--wait", environ=where).returncode == 1
    assert "event=new_word_for_it" in emperor.vassal_log("blog")


def test_upgrade_with_broken_settings_is_refused_and_the_brain_stays(emperor: Emperor) -> None:
    settings = emperor.base / "emperor.toml"
    settings.write_text("")
    emperor.start("--config", str(settings))
    brain = emperor.brain_pid
    settings.write_text("spawn_concurency = 4\n")
    done = command("upgrade", environ={"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)})
    assert done.returncode == 1
    assert "emperor.toml:1: spawn_concurency: " in done.stderr
    assert done.stderr.rstrip().endswith("Mend it, then ask again.")
    assert emperor.brain_pid == brain
