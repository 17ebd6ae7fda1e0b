"""The spawner takes new code in by an exec of itself, with all vassals running."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from emperor.spawner import handover
from tests.support.emperor import Emperor, get
from tests.support.processes import fds_of
from tests.support.wait import wait_until


def image_of(pid: int) -> set[int]:
    """Return what tells one image of a spawner from the next: the code that it has packed."""
    folder = Path(f"/proc/{pid}/fd")
    return {
        (folder / name).stat().st_ino
        for name in os.listdir(folder)
        if os.readlink(folder / name).startswith("/memfd:emperord-runtime")
    }


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


def test_upgraded_spawner_reaps_and_replaces_the_masters_it_was_left(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    master = emperor.wait_state("blog", "ready")["pid"]
    upgrade(emperor)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: emperor.vassal("blog")["pid"] not in (0, master), 10, "a new master")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    assert not Path(f"/proc/{master}").exists()


def test_upgrades_leave_no_descriptor_behind(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    upgrade(emperor)
    before = len(fds_of(emperor.pid))
    for _ in range(3):
        upgrade(emperor)
    assert len(fds_of(emperor.pid)) == before


def test_stop_that_comes_in_the_middle_of_an_upgrade_is_obeyed(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    for pause in (0.05, 0.2):
        os.kill(emperor.pid, signal.SIGHUP)
        time.sleep(pause)
    assert emperor.stop() == 0


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
