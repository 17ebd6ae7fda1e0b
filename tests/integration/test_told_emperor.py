"""What letters in the emperor's own fifo, and signals to it, do."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.support.emperor import Emperor, get
from tests.support.processes import alive
from tests.support.slow import Slow
from tests.support.wait import wait_until


def tell(one: Emperor, letters: str) -> None:
    fd = os.open(one.base / "emperor.fifo", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, letters.encode() + b"\n")
    finally:
        os.close(fd)


def anew(one: Emperor, settings: str) -> None:
    """Let the emperor begin anew with these settings."""
    assert one.config_file is not None
    one.config_file.write_text(settings)
    brain = one.brain_pid
    os.kill(one.pid, signal.SIGHUP)
    one.wait_new_brain(brain)


@pytest.fixture
def port(emperor: Emperor) -> int:
    emperor.app("hello")
    return emperor.drop("blog")


@pytest.fixture
def running(emperor: Emperor, port: int) -> Emperor:
    """Run an emperor with a fifo and one vassal."""
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text('fifo = "emperor.fifo"\n')
    emperor.start()
    emperor.wait_state("blog", "ready")
    return emperor


def test_fifo_is_for_the_emperors_user_alone(running: Emperor) -> None:
    status = (running.base / "emperor.fifo").lstat()
    assert stat.S_ISFIFO(status.st_mode)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


def test_letter_r_reads_everything_anew_and_vassals_serve_on(running: Emperor, port: int) -> None:
    brain, master = running.brain_pid, running.vassal("blog")["pid"]
    tell(running, "r")
    running.wait_new_brain(brain)
    assert running.wait_state("blog", "ready")["pid"] == master
    assert get(port)[0] == 200
    wait_until((running.base / "emperor.fifo").is_fifo, 10.0, "the fifo of the new brain")
    tell(running, "s")
    wait_until(lambda: "event=vassal_state" in running.log(), 10.0, "the state of all")


def test_letter_q_stops_all_and_removes_the_fifo(running: Emperor) -> None:
    master = running.vassal("blog")["pid"]
    tell(running, "q")
    assert running.process is not None
    assert running.process.wait(20) == 0
    assert not alive(master)
    assert not (running.base / "emperor.fifo").exists()


def test_other_letters_are_answered_in_the_log(running: Emperor) -> None:
    tell(running, "plx")
    wait_until(lambda: running.log().count("event=told") == 3, 10.0, "three answers")
    log = running.log()
    assert "copytruncate" in log
    assert "emperor stop NAME" in log
    assert "it means nothing" in log


def test_signals_of_uwsgis_emperor_do_what_they_did_and_kill_nobody(
    running: Emperor, port: int
) -> None:
    for name in ("SIGUSR1", "SIGUSR2", "SIGURG", "SIGWINCH"):
        os.kill(running.pid, getattr(signal, name))
        time.sleep(0.1)
    wait_until(lambda: "event=vassal_state" in running.log(), 10.0, "the state of all")
    assert "start at once what waits after failures" in running.log()
    assert "look at all directories" in running.log()
    assert get(port)[0] == 200


def test_urg_starts_what_waits_after_failures(running: Emperor) -> None:
    running.app("broken", "raise ImportError('not yet')\n")
    running.drop("shop", app="broken:application")
    running.wait_state("shop", "parked")
    running.app("broken")
    os.kill(running.pid, signal.SIGURG)
    running.wait_state("shop", "ready")


def test_stop_by_letter_is_gone_on_with_by_the_next_brain(running: Emperor, port: int) -> None:
    slow = Slow(running, {"blog": port}, 4)
    tell(running, "q")
    wait_until(lambda: running.state_of("blog") == "stopping", 10.0, "it stops")
    running.kill_brain()
    assert running.process is not None
    assert running.process.wait(30) == 0
    assert slow.all_answers() == [200]


def test_letters_for_a_new_brain_and_for_the_end_are_both_obeyed(
    running: Emperor, port: int
) -> None:
    slow = Slow(running, {"blog": port}, 2)
    tell(running, "rq")
    assert running.process is not None
    assert running.process.wait(30) == 0
    assert slow.all_answers() == [200]


def test_fifo_in_a_folder_that_others_may_change_is_refused(emperor: Emperor, port: int) -> None:
    folder = emperor.base / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text('fifo = "shared/emperor.fifo"\n')
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert "event=fifo_unavailable" in emperor.log()
    assert "is not the emperor's alone" in emperor.log()
    assert not any(folder.iterdir())


def test_pidfile_moves_with_the_settings_and_is_refused_where_others_may_put_theirs(
    emperor: Emperor, port: int
) -> None:
    first, second = emperor.base / "first.pid", emperor.base / "second.pid"
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text('pidfile = "first.pid"\nfifo = "emperor.fifo"\n')
    emperor.start()
    emperor.wait_state("blog", "ready")
    first.unlink()
    tell(emperor, "P")
    wait_until(first.exists, 10.0, "the pidfile that was written anew")
    emperor.wait_new_brain(emperor.kill_brain())
    assert first.read_text() == f"{emperor.pid}\n"
    anew(emperor, 'pidfile = "second.pid"\n')
    assert (first.exists(), second.read_text()) == (False, f"{emperor.pid}\n")
    shared = emperor.base / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    anew(emperor, 'pidfile = "shared/emperor.pid"\n')
    assert "event=pidfile_not_written" in emperor.log()
    assert (second.exists(), list(shared.iterdir())) == (False, [])


def test_option_of_the_command_line_gives_the_emperor_its_fifo(emperor: Emperor, port: int) -> None:
    fifo = emperor.base / "emperor.fifo"
    environ = {**os.environ, "EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
    words = ["uwsgi", "--emperor", str(emperor.vassals), "--master-fifo", str(fifo)]
    with emperor.log_file.open("ab") as log:
        emperor.process = subprocess.Popen(
            [sys.executable, "-m", "emperor", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
        )
    wait_until(emperor.answers, 20.0, "the emperor answers")
    wait_until(fifo.is_fifo, 10.0, "the fifo")
    tell(emperor, "q")
    assert emperor.process.wait(20) == 0
