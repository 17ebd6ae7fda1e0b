"""What letters in a FIFO and signals to a master do: the same as to the real uWSGI."""

import contextlib
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from tests.support.control import emperor as command_line
from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.uwsgi_emperor import Running, Site, our_site
from tests.support.wait import wait_until


def told(site: Site, what: str) -> None:
    """Tell it by a letter or, where `what` is a signal's name, by that."""
    if what.startswith("SIG"):
        site.signal(getattr(signal, what))
    else:
        site.tell(what)


def reloaded(site: Site, what: str) -> None:
    """Tell it, and expect new workers under the same master."""
    master, workers = site.pid, site.workers()
    told(site, what)
    wait_until(
        lambda: site.workers() and not site.workers() & workers and site.answers(),
        20.0,
        f"new workers\n{site.log()}",
    )
    assert site.pid == master


def restarted(site: Site, what: str) -> None:
    """Tell it, and expect another master to serve after a while."""
    master = site.pid
    told(site, what)
    wait_until(
        lambda: site.pid not in (0, master) and site.answers(), 30.0, f"a new master\n{site.log()}"
    )
    assert not Path(f"/proc/{master}").exists()


def unmoved(site: Site, what: str) -> None:
    """Tell it, and expect that everything stays as it is."""
    master, workers = site.pid, site.workers()
    told(site, what)
    time.sleep(1.5)
    assert (site.pid, site.workers()) == (master, workers)
    assert site.answers()


# ── the same as the real uWSGI ───────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["r", "R", "w", "W", "c", "SIGHUP", "SIGTERM"])
def test_reload_gives_new_workers_under_the_same_master(running: Running, what: str) -> None:
    with running() as site:
        site.wait_up()
        reloaded(site, what)


@pytest.mark.parametrize("what", ["q", "Q", "SIGINT", "SIGQUIT"])
def test_end_is_that_of_the_master_and_the_emperor_starts_another(
    running: Running, what: str
) -> None:
    with running() as site:
        site.wait_up()
        restarted(site, what)


def test_die_on_term_exchanges_the_meaning_of_term_and_quit(running: Running) -> None:
    with running("die-on-term = true\n") as site:
        site.wait_up()
        reloaded(site, "SIGQUIT")
        restarted(site, "SIGTERM")


@pytest.mark.parametrize(
    "what", ["s", "E", "S", "x", "+", "-", "P", "l", "SIGUSR1", "SIGURG", "SIGWINCH"]
)
def test_what_changes_no_process(running: Running, what: str) -> None:
    with running("processes = 2\n") as site:
        site.wait_up(2)
        unmoved(site, what)


@pytest.mark.parametrize("what", ["p", "SIGTSTP"])
def test_paused_site_lets_clients_wait_and_serves_them_when_it_goes_on(
    running: Running, what: str
) -> None:
    with running() as site:
        site.wait_up()
        master = site.pid
        told(site, what)
        wait_until(lambda: not site.answers(), 10.0, "nobody to accept")
        found: list[int] = []
        client = threading.Thread(target=lambda: found.append(get(site.port, timeout=20.0)[0]))
        client.start()
        time.sleep(0.5)
        assert not found
        told(site, what)
        client.join(20)
        assert found == [200]
        assert site.pid == master


def test_cheaper_site_gets_more_and_fewer_workers(running: Running) -> None:
    with running("processes = 4\ncheaper = 1\ncheaper-initial = 1\n") as site:
        site.wait_up(1)
        site.tell("+")
        wait_until(lambda: len(site.workers()) == 2, 10.0, "a second worker")
        site.tell("-")
        wait_until(lambda: len(site.workers()) == 1, 10.0, "one less")
        assert site.answers()


def test_cheaper_site_begins_with_its_initial_number(running: Running) -> None:
    with running("processes = 6\ncheaper = 1\ncheaper-initial = 3\n") as site:
        site.wait_up(3)


def test_cheaper_site_grows_by_its_step_while_all_are_busy(running: Running) -> None:
    with running("processes = 8\ncheaper = 1\ncheaper-step = 3\n") as site:
        site.wait_up(1)
        seen = {1}
        client = threading.Thread(target=get, args=(site.port, "/sleep/6", 20.0))
        client.start()

        def has_grown() -> bool:
            seen.add(len(site.workers()))
            return max(seen) >= 4

        wait_until(has_grown, 10.0, "three more workers")
        client.join(20)
        assert max(seen) == 4


def test_log_that_was_moved_away_is_opened_anew(running: Running) -> None:
    with running("log-master = true\n") as site:
        site.wait_up()
        moved = site.folder / "moved.log"
        site.log_file.rename(moved)
        site.tell("l")
        wait_until(site.log_file.exists, 10.0, "a new file")
        get(site.port, "/say/after")
        wait_until(lambda: "/say/after" in site.log(), 10.0, "the line")
        assert "/say/after" not in moved.read_text()


def test_touched_file_opens_the_log_anew(running: Running) -> None:
    with running("touch-logreopen = reopen\n") as site:
        (site.folder / "reopen").touch()
        site.wait_up()
        time.sleep(1.2)  # uWSGI compares whole seconds
        moved = site.folder / "moved.log"
        site.log_file.rename(moved)
        (site.folder / "reopen").touch()
        wait_until(site.log_file.exists, 10.0, "a new file")
        get(site.port, "/say/after")
        wait_until(lambda: "/say/after" in site.log(), 10.0, "the line")


def test_letter_L_rotates_the_log(running: Running) -> None:
    with running("log-master = true\n") as site:
        site.wait_up()
        get(site.port, "/say/before")

        def told() -> bool:
            site.tell("L")  # uWSGI does not hear every letter
            time.sleep(1.5)
            return rotated(site, "/say/before")

        wait_until(told, 20.0, "the old log under another name")
        get(site.port, "/say/after")
        wait_until(lambda: "/say/after" in site.log(), 10.0, "the line")


def test_letter_P_writes_the_pidfile_anew(running: Running) -> None:
    with running() as site:
        site.wait_up()
        master = site.pid
        (site.folder / "blog.pid").unlink()
        site.tell("P")
        wait_until(lambda: site.pid == master, 10.0, "the pidfile")


def test_letter_s_writes_the_number_of_requests_into_the_log(running: Running) -> None:
    with running() as site:
        site.wait_up()
        began = len(site.log())
        site.tell("s")
        wait_until(lambda: "requests" in site.log()[began:], 10.0, "the statistics")


def rotated(site: Site, text: str) -> bool:
    return any(text in path.read_text() for path in site.folder.glob("blog.log.*"))


def test_letter_C_ends_the_workers_of_a_cheap_site_and_a_connection_brings_them_back(
    running: Running,
) -> None:
    with running("cheap = true\n") as site:
        wait_until(site.answers, 20.0, "it serves")
        wait_until(site.fifo.is_fifo, 10.0, "the fifo")
        wait_until(lambda: len(site.workers()) == 1, 10.0, "its worker")
        site.tell("C")
        wait_until(lambda: not site.workers(), 20.0, "no worker")
        assert get(site.port, timeout=20.0)[0] == 200


def test_touched_file_rotates_the_log(running: Running) -> None:
    with running("touch-logrotate = rotate\n") as site:
        (site.folder / "rotate").touch()
        site.wait_up()
        get(site.port, "/say/before")
        time.sleep(1.2)
        (site.folder / "rotate").touch()
        wait_until(lambda: rotated(site, "/say/before"), 10.0, "the old log under another name")
        assert "/say/before" not in site.log()


def test_number_takes_another_fifo_and_the_first_is_that_of_a_reload(running: Running) -> None:
    with running("master-fifo = other.fifo\n") as site:
        site.wait_up()
        other = site.folder / "other.fifo"
        site.tell("1")
        wait_until(other.is_fifo, 10.0, "the other fifo")
        time.sleep(0.5)
        master, workers = site.pid, site.workers()
        fd = os.open(other, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b"r")
        os.close(fd)
        wait_until(lambda: site.workers() and not site.workers() & workers, 20.0, "new workers")
        wait_until(lambda: site.answers() and site.fifo.is_fifo(), 20.0, "the first fifo")
        time.sleep(0.5)
        reloaded(site, "r")
        assert site.pid == master


# ── better than the real uWSGI ───────────────────────────────────────────────────────


def test_running_request_is_finished_whatever_reload_is_asked_for(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        for what in ("R", "SIGTERM"):
            found: list[int] = []
            client = threading.Thread(
                target=lambda found=found: found.append(get(site.port, "/sleep/1.5", 20.0)[0])
            )
            client.start()
            time.sleep(0.3)
            reloaded(site, what)
            client.join(20)
            assert found == [200]


def test_no_request_is_lost_while_letters_ask_for_reloads(emperor: Emperor) -> None:
    with our_site(emperor, "processes = 2\n") as site:
        site.wait_up(2)
        with asked_all_the_time(site.port) as answers:
            for _ in range(3):
                reloaded(site, "r")
        assert len(answers) > 20
        assert {code for code, _ in answers} == {200}


def test_reload_by_letter_is_the_emperors_with_its_verdict(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        workers = site.workers()
        (site.folder / "told.py").write_text("raise ImportError('not yet')\n")
        site.tell("r")
        wait_until(lambda: emperor.vassal("blog").get("last_failure"), 20.0, "the failure")
        vassal = emperor.vassal("blog")
        assert vassal["state"] == "ready"
        assert "not yet" in vassal["last_failure"]["message"]
        assert site.workers() == workers
        assert site.answers()
        log = emperor.log()
        assert "event=reload_asked_for" in log
        assert "event=reload_failed" in log
        assert "letter r" in log


@pytest.mark.parametrize("letter", ["r", "q"])
def test_what_is_told_while_there_is_no_brain_the_next_one_hears(
    emperor: Emperor, letter: str
) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        before = site.log()
        site.tell("s")
        wait_until(lambda: site.log() != before, 10.0, "it hears at once")
        master, workers = site.pid, site.workers()
        brain = emperor.kill_brain()
        site.tell(letter)
        emperor.wait_new_brain(brain)
        wait_until(lambda: site.workers() and not site.workers() & workers, 20.0, site.log())
        assert (site.pid == master) is (letter == "r")
        assert site.answers()


def test_what_the_master_did_itself_the_emperor_tells(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        site.tell("p")
        wait_until(lambda: emperor.vassal("blog").get("paused"), 10.0, "the pause in status")
        shown = command_line("status", "--runtime-dir", str(emperor.runtime_dir))
        assert "paused" in shown.stdout
        assert "event=master_told" in emperor.log()
        reloaded(site, "r")
        # The first of the new ones accepts before it counts as what serves.
        wait_until(lambda: not emperor.vassal("blog")["paused"], 10.0, "the end of the pause")


def test_statistics_and_what_does_nothing_are_in_the_log(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        site.tell("sBfx\x1b")
        wait_until(lambda: "event=statistics" in site.log(), 10.0, "statistics")
        wait_until(lambda: "mean nothing" in site.log(), 10.0, "the answers")
        log = site.log()
        assert "requests=" in log
        assert "event=worker_statistics slot=1" in log
        assert "by='letter f' answer='a new master takes over with: emperor upgrade" in log
        assert "write processes and cheaper" in log
        assert "\x1b" not in log


def test_signals_do_nothing_where_the_file_is_ours(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    for name in ("SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP"):
        os.kill(before["pid"], getattr(signal, name))
    time.sleep(0.5)
    after = emperor.vassal("blog")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert get(port)[0] == 200


def test_usr2_does_not_kill_the_master_as_it_does_uwsgis(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        unmoved(site, "SIGUSR2")


def test_letter_C_lets_a_site_sleep_that_a_connection_wakes(emperor: Emperor) -> None:
    with our_site(emperor, "cheap = true\n") as site:
        wait_until(lambda: emperor.state_of("blog") == "dormant", 20.0, "it sleeps")
        assert get(site.port, timeout=20.0)[0] == 200
        emperor.wait_state("blog", "ready")
        wait_until(site.fifo.is_fifo, 10.0, "the fifo")
        site.tell("C")
        wait_until(lambda: emperor.state_of("blog") == "dormant", 20.0, "it sleeps again")
        assert get(site.port, timeout=20.0)[0] == 200


# ── everything a tenant can touch is hostile ─────────────────────────────────────────


def test_fifo_belongs_to_the_tenant_and_goes_with_its_master(emperor: Emperor) -> None:
    need_root()
    with our_site(emperor) as site:
        site.wait_up()
        status = site.fifo.lstat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (65534, 0o600)
        (emperor.vassals / "blog.ini").unlink()
        wait_until(lambda: not emperor.status()["vassals"], 20.0, "the vassal to go")
        assert not site.fifo.exists()


def test_what_somebody_may_miss_is_not_replaced_by_a_fifo(emperor: Emperor) -> None:
    precious = emperor.base / "precious"
    precious.write_text("0123456789 precious")
    os.chmod(emperor.apps, 0o777)
    (emperor.apps / "blog.fifo").symlink_to(precious)
    with our_site(emperor) as site:
        wait_until(site.answers, 20.0, "it serves")
        wait_until(lambda: "event=fifo_not_made" in site.log(), 10.0, "the complaint")
        said = emperor.unsupported("blog")["fifo"]
        assert said.startswith(f"{site.fifo}: something else is there")
        assert site.fifo.is_symlink()
        assert precious.read_text() == "0123456789 precious"


def test_what_echo_left_while_nobody_served_gives_way(emperor: Emperor) -> None:
    (emperor.apps / "blog.fifo").write_text("r\n")
    with our_site(emperor) as site:
        site.wait_up()
        reloaded(site, "r")


def test_who_writes_without_end_costs_little_and_stops_nothing(emperor: Emperor) -> None:
    with our_site(emperor, "harakiri = 2\n") as site:
        site.wait_up()
        fd = os.open(site.fifo, os.O_WRONLY | os.O_NONBLOCK)
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                try:
                    os.write(fd, b"sxsxEP\n" * 500)
                except BlockingIOError:
                    time.sleep(0.001)

        before = _cpu_s(site.pid)
        writer = threading.Thread(target=flood)
        writer.start()
        try:
            began = time.monotonic()
            try:
                get(site.port, "/sleep/30", 20.0)
            except (TimeoutError, OSError):
                pass
            assert 1.9 < time.monotonic() - began < 3.5
            time.sleep(2.0)
            assert site.answers()
        finally:
            stop.set()
            writer.join()
            os.close(fd)
        assert _cpu_s(site.pid) - before < 0.5


def test_signals_without_end_cost_little(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        pid, before = site.pid, _cpu_s(site.pid)
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            os.kill(pid, signal.SIGUSR1)
            os.kill(pid, signal.SIGURG)
        assert site.answers()
        assert site.pid == pid
        assert _cpu_s(pid) - before < 0.2


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_loop_of_signals_starts_no_more_than_a_master_a_second(emperor: Emperor) -> None:
    with our_site(emperor) as site:
        site.wait_up()
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            with contextlib.suppress(ProcessLookupError):
                if master := site.pid:  # 0 would be this test's own group
                    os.kill(master, signal.SIGINT)
            time.sleep(0.005)
        restarts = emperor.log().count("event=restart_asked_for")
        assert 2 <= restarts <= 6
        wait_until(site.answers, 15.0, "it serves")
