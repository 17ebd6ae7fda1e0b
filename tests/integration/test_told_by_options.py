"""What options do to processes that run: the same as to the real uWSGI's."""

import http.client
import os
import threading
import time
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.uwsgi_emperor import Running, Site, our_site
from tests.support.wait import wait_until


@pytest.mark.parametrize(
    "option", ["touch-reload", "touch-workers-reload", "touch-chain-reload", "fs-reload"]
)
def test_touched_file_gives_new_workers_under_the_same_master(
    running: Running, option: str
) -> None:
    with running(f"{option} = again\n") as site:
        again = site.folder / "again"
        again.touch()
        site.wait_up()
        master, workers = site.pid, site.workers()
        time.sleep(1.2)  # uWSGI compares whole seconds
        os.utime(again)
        wait_until(
            lambda: site.workers() and not site.workers() & workers and site.answers(),
            20.0,
            f"new workers\n{site.log()}",
        )
        assert site.pid == master


def test_changed_module_is_served_after_a_while(running: Running) -> None:
    # uWSGI's thread that looks sometimes outlives the end of its worker: hence the mercy.
    with running("py-autoreload = 1\nprocesses = 2\nworker-reload-mercy = 2\n") as site:
        site.wait_up(2)
        master = site.pid
        time.sleep(1.2)  # uWSGI compares whole seconds
        told = site.folder / "told.py"
        told.write_text(told.read_text().replace('b"%d" % os.getpid()', 'b"new"'))
        wait_until(lambda: site_pid(site) == b"new", 20.0, f"the new code\n{site.log()}")
        assert site.pid == master


def cut_after(site: Site, path: str) -> float:
    """Ask, and expect no whole answer; return the seconds until that was known."""
    began = time.monotonic()
    try:
        status = get(site.port, path, 20.0)[0]
    except (ConnectionError, http.client.HTTPException):
        status = 500
    assert status >= 500
    return time.monotonic() - began


def test_harakiri_cuts_a_request_off_and_the_site_serves_on(running: Running) -> None:
    with running("harakiri = 2\n") as site:
        site.wait_up()
        workers = site.workers()
        assert 1.5 < cut_after(site, "/sleep/30") < 5.0
        wait_until(site.answers, 10.0, "another worker")
        assert not site.workers() & workers


def test_request_has_its_mercy_at_a_reload_and_no_more(running: Running) -> None:
    with running("worker-reload-mercy = 2\n") as site:
        site.wait_up()
        found: list[float] = []
        client = threading.Thread(target=lambda: found.append(cut_after(site, "/sleep/30")))
        client.start()
        time.sleep(0.5)
        site.tell("r")
        client.join(20)
        assert 2.0 < found[0] < 6.0
        wait_until(site.answers, 20.0, "it serves")


def test_worker_is_replaced_after_so_many_requests(running: Running) -> None:
    with running("max-requests = 3\nmin-worker-lifetime = 1\n") as site:
        site.wait_up()
        master, served = site.pid, {site_pid(site)}

        def is_another() -> bool:
            served.add(site_pid(site))
            return len(served) >= 4

        wait_until(is_another, 20.0, "other workers")
        assert site.pid == master


def test_idle_site_dies_and_answers_whoever_asks_later(running: Running) -> None:
    with running("idle = 2\ndie-on-idle = true\n") as site:
        site.wait_up()
        master = site.pid
        wait_until(lambda: not Path(f"/proc/{master}").exists(), 20.0, "the master to go")
        wait_until(site.answers, 20.0, "it serves again")


@pytest.mark.parametrize("option", ["reload-on-rss = 1", "reload-on-as = 2"])
def test_worker_that_is_too_large_is_replaced_after_its_request(
    running: Running, option: str
) -> None:
    with running(f"{option}\n") as site:
        site.wait_up()
        served = {site_pid(site)}

        def is_another() -> bool:
            served.add(site_pid(site))
            return len(served) >= 3

        wait_until(is_another, 20.0, "other workers")


def site_pid(site: Site) -> bytes:
    """Ask once; return who served, b"" = nobody did."""
    try:
        return get(site.port, timeout=2.0)[1]
    except OSError:
        return b""


def test_module_that_breaks_changes_nothing_and_is_taken_when_it_is_whole(emperor: Emperor) -> None:
    with our_site(emperor, "py-autoreload = 1\nprocesses = 2\n") as site:
        site.wait_up(2)
        workers, told = site.workers(), site.folder / "told.py"
        whole = told.read_text()
        told.write_text("raise ImportError('not yet')\n")
        wait_until(lambda: emperor.vassal("blog").get("last_failure"), 20.0, "the failure")
        assert "told.py has changed" in site.log()
        assert site.workers() == workers
        assert site.answers()
        told.write_text(whole)
        wait_until(
            lambda: len(site.workers()) == 2 and not site.workers() & workers, 20.0, "new workers"
        )
        asked = emperor.log().count("event=reload_asked_for")
        assert asked == 2
