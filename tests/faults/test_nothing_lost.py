"""What people and machines do to the supervisor costs no request, as often as they do it."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor
from tests.support.load import Load, Outcome, application, check, load
from tests.support.need import need_root
from tests.support.processes import children, count_fds, pid_tree
from tests.support.site import WORKERS, Site, mold_of
from tests.support.wait import wait_until

TIMES = 20
KILLS = int(os.environ.get("EMPEROR_TEST_KILLS", "5"))
"""Of a brain or a master, and upgrades: for more in a minute, whoever starts the next one waits."""

RELOADS = int(os.environ.get("EMPEROR_TEST_RELOADS", "60"))


def test_changed_files_lose_nothing(site: Site) -> None:
    with site.asked() as asked:
        for number in range(TIMES):
            generation = site.status["generation"]
            site.drop(env={"NUMBER": str(number)})
            site.wait_generation(generation + 1)
    check(asked.outcomes, site.served)
    assert asked.resent <= TIMES * WORKERS


def test_new_code_loses_nothing_and_comes_to_serve(site: Site) -> None:
    with site.asked() as asked:
        for number in range(TIMES):
            generation = site.status["generation"]
            site.code(f"v{number}")
            site.emperor.do("reload", "blog")
            site.wait_generation(generation + 1)
    check(asked.outcomes, site.served)
    assert asked.resent <= TIMES * WORKERS
    versions = {one.version for one in asked.outcomes}
    assert {f"v{number}" for number in range(TIMES)} - versions == set()


def test_broken_code_loses_nothing_and_never_serves(site: Site) -> None:
    faults = ("\nraise RuntimeError('no database')\n", "\nimport no_such_module\n", "\n(\n")
    with site.asked() as asked:
        for number in range(TIMES):
            before = site.status["last_failure"]
            site.code("broken", faults[number % len(faults)])
            site.emperor.do("reload", "blog")
            wait_until(lambda before=before: site.status["last_failure"] != before, 15, "refusal")
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)
    assert {one.version for one in asked.outcomes} == {"one"}


def test_refused_files_lose_nothing(site: Site) -> None:
    with site.asked() as asked:
        for number in range(TIMES):
            site.drop(workers=f"many{number}")
            wait_until(
                lambda wrong=f"many{number}": (
                    wrong in (site.status["last_failure"] or {"message": ""})["message"]
                ),
                15,
                "refusal",
            )
            site.drop()
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)


def test_killed_worker_costs_its_own_request_and_no_other(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            pids = {row["pid"] for row in site.status["workers"]}
            pids.discard(0)
            os.kill(min(pids), signal.SIGKILL)
            wait_until(
                lambda pids=pids: (
                    len({row["pid"] for row in site.status["workers"]} - {min(pids), 0}) == WORKERS
                ),
                10,
                "another worker",
            )
    check(asked.outcomes, site.served, lost_max=TIMES)


def test_killed_mold_costs_nothing(site: Site) -> None:
    with site.asked() as asked:
        for number in range(TIMES):
            old = wait_until(lambda: mold_of(site), 10, "a mold")
            os.kill(old, signal.SIGKILL)
            wait_until(lambda old=old: mold_of(site) not in (0, old), 10, "another mold")
            if number % 4 == 0:
                # What it is for works again.
                generation = site.status["generation"]
                site.emperor.do("reload", "blog")
                site.wait_generation(generation + 1)
    check(asked.outcomes, site.served)


def test_changes_that_need_a_new_master_lose_nothing(site: Site) -> None:
    need_root()
    masters = {site.status["pid"]}
    with site.asked() as asked:
        for number in range(TIMES):
            generation = site.status["generation"]
            site.drop(user=("games", "nobody")[number % 2])
            site.wait_generation(generation + 1)
            masters.add(site.status["pid"])
    check(asked.outcomes, site.served)
    assert len(masters) == TIMES + 1
    wait_until(lambda: len(children(site.emperor.pid)) == 2, 40, "the others have gone")


@pytest.mark.timeout(60 + 60 * KILLS)
def test_new_master_that_is_killed_before_it_has_settled_costs_what_it_was_at(site: Site) -> None:
    need_root()
    first = site.status["pid"]
    killed_at = []
    with site.asked() as asked:
        for number in range(KILLS):
            site.drop(user="games", env={"NUMBER": str(number)}, health={"settle": 60})
            wait_until(lambda: site.status["pid"] not in (0, first), 20, "the new master serves")
            time.sleep(0.2)
            os.kill(site.status["pid"], signal.SIGKILL)
            killed_at.append(time.monotonic())
            site.emperor.wait_state("blog", "ready")
            assert site.status["pid"] == first
    check(asked.outcomes, site.served, killed_at=killed_at)


@pytest.mark.timeout(240)
def test_killed_master_costs_what_its_workers_were_at(site: Site) -> None:
    killed_at = []
    with site.asked() as asked:
        for _ in range(TIMES):
            pid = site.status["pid"]
            os.kill(pid, signal.SIGKILL)
            killed_at.append(time.monotonic())
            wait_until(lambda pid=pid: started_anew(site, pid), 20, "another master")
            # Others have asked and were answered before the next one goes.
            at = time.monotonic()
            wait_until(lambda at=at: count_answered(asked, since=at) >= 10, 20, "answers")
    check(asked.outcomes, site.served, killed_at=killed_at)


def started_anew(site: Site, old: int) -> bool:
    """Return whether another master than `old` serves; one that waits in backoff is told to."""
    found = site.status
    if found["state"] == "backoff":
        site.emperor.do("start", "blog")
    return found["state"] == "ready" and found["pid"] != old


def count_answered(asked: Load, since: float) -> int:
    return sum(not one.problem and one.began >= since for one in list(asked.outcomes))


@pytest.mark.timeout(60 + 60 * KILLS)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_brain_costs_nothing(site: Site, signum: int) -> None:
    masters = set()
    with site.asked() as asked:
        for _ in range(KILLS):
            old = site.emperor.kill_brain(signum)
            site.emperor.wait_new_brain(old, 90)
            masters.add(site.emperor.wait_state("blog", "ready")["pid"])
    check(asked.outcomes, site.served)
    assert len(masters) == 1


def test_brain_that_is_stopped_for_a_moment_costs_nothing(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            pid = site.emperor.kill_brain(signal.SIGSTOP)
            time.sleep(0.1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            wait_until(lambda: site.emperor.state_of("blog") == "ready", 10, "somebody steers")
    check(asked.outcomes, site.served)


def test_growth_under_load_costs_nothing(emperor: Emperor) -> None:
    site = Site(emperor)
    emperor.app("asked", application(site.served, takes_s=0.05))
    site.drop(workers={"min": 1, "max": 6})
    emperor.start()
    emperor.wait_state("blog", "ready")
    with site.asked() as asked:
        wait_until(
            lambda: len({row["slot"] for row in site.status["workers"]}) >= 3, 10, "more workers"
        )
        time.sleep(1)
    check(asked.outcomes, site.served)


def test_growth_and_shrinkage_under_load_cost_nothing(site: Site) -> None:
    """Workers go and come while all of them are asked, without a new generation."""
    pipe = site.emperor.apps / "blog.fifo"
    site.emperor.apps.chmod(0o777)
    site.drop(workers={"min": 1, "max": 4}, fifo=["blog.fifo"])
    wait_until(pipe.is_fifo, what="the fifo")
    site.emperor.wait_state("blog", "ready")

    def count() -> int:
        return sum(row["state"] in ("idle", "busy") for row in site.status["workers"])

    wait_until(lambda: count() >= 1, what="a worker")
    generation = site.status["generation"]
    with site.asked() as asked:
        for _ in range(TIMES):
            pipe.write_text("++")
            wait_until(lambda: count() >= 3, 10, "more workers")
            pipe.write_text("--")
            # On a busy machine the load asks for more again, after a moment.
            wait_until(lambda: count() <= 2, 10, "fewer workers")
    check(asked.outcomes, site.served)
    assert site.status["generation"] == generation


def test_stopped_master_is_replaced_and_costs_nothing(site: Site) -> None:
    site.drop(stop_timeout=2)
    site.wait_generation(2)
    with site.asked() as asked:
        # Ten seconds pass before one that is stopped is held for hung.
        for _ in range(TIMES // 10):
            pid = site.status["pid"]
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: site.status["pid"] != pid, 15, "another master")
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)


@pytest.mark.timeout(60 + 60 * KILLS)
@pytest.mark.parametrize("words", [(), ("--vassals",)], ids=["brain", "vassals"])
def test_upgrades_cost_nothing(site: Site, words: tuple[str, ...]) -> None:
    where = {"EMPEROR_RUNTIME_DIR": str(site.emperor.runtime_dir)}
    with site.asked() as asked:
        for _ in range(KILLS):
            done = command("upgrade", *words, environ=where)
            assert done.returncode == 0, done.stdout + done.stderr
    check(asked.outcomes, site.served)


def test_scaling_up_and_down_costs_nothing(site: Site) -> None:
    with site.asked() as asked:
        for number in range(TIMES):
            generation = site.status["generation"]
            site.drop(workers=WORKERS + number % 3)
            if number % 3 != 0 or number:
                site.wait_generation(generation + 1)
    check(asked.outcomes, site.served)


@pytest.mark.parametrize("keys", [{"max_requests": 20}, {"max_worker_lifetime": 0.5}], ids=str)
def test_recycled_workers_cost_nothing(site: Site, keys: dict[str, float]) -> None:
    site.drop(**keys)
    site.wait_generation(2)
    seen: set[int] = set()

    def enough() -> bool:
        seen.update(row["pid"] for row in site.status["workers"])
        return len(seen) > TIMES

    with site.asked() as asked:
        wait_until(enough, 60, "workers come and go")
    check(asked.outcomes, site.served)
    assert asked.resent <= len(seen)
    assert site.status["generation"] == 2
    assert site.status["totals"]["worker_deaths"] == 0


def test_sleep_and_wake_cost_nothing(emperor: Emperor) -> None:
    site = Site(emperor)
    site.drop(on_demand=True, idle_stop=0.2)
    emperor.start()
    emperor.wait_state("blog", "dormant")
    outcomes: list[Outcome] = []
    with site.ways() as ways:
        for number in range(TIMES):
            # Whoever comes first wakes it: each way in turn.
            turned = ways[number % len(ways) :] + ways[: number % len(ways)]
            with load(turned, 40, first=1000 * number) as one:
                time.sleep(0.1)
            outcomes += one.outcomes
            if number % 2:
                emperor.wait_state("blog", "dormant")
            else:
                # Some come while it is about to sleep, some when it does.
                time.sleep(0.15 + 0.02 * number)
    check(outcomes, site.served)


@pytest.mark.timeout(60 + RELOADS)
def test_reloads_leave_nothing_behind(site: Site) -> None:
    """Descriptors, threads and memory of spawner, brain and master stay as they are."""

    def reload_times(times: int) -> None:
        for _ in range(times):
            generation = site.status["generation"]
            site.emperor.do("reload", "blog")
            site.wait_generation(generation + 1)

    def weigh() -> dict[str, tuple[int, int, int]]:
        pids = {
            "spawner": site.emperor.pid,
            "brain": site.emperor.brain_pid,
            "master": site.status["pid"],
        }
        return {
            name: (count_fds(pid), rss_kib(pid), len(os.listdir(f"/proc/{pid}/task")))
            for name, pid in pids.items()
        }

    reload_times(20)
    before = weigh()
    reload_times(RELOADS)
    after = weigh()
    for name, (fds, kib, threads) in after.items():
        assert fds <= before[name][0] + 2, name
        assert threads == before[name][2], name
        # The allocator takes memory in steps: one of them is no leak.
        assert kib <= before[name][1] + 3 * 1024, (name, before, after)
    assert not [pid for pid in pid_tree(site.status["pid"]) if is_zombie(pid)]


def test_five_hundred_files_come_and_go_at_once(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.start()
    paths = [emperor.base / f"s{number}.sock" for number in range(500)]
    for number, path in enumerate(paths):
        emperor.drop(f"v{number}", listen=[f"http+unix://{path}"], on_demand=True)
    wait_until(
        lambda: (
            [vassal["state"] for vassal in emperor.status()["vassals"]] == ["dormant"] * len(paths)
        ),
        40,
        "all of them",
        every=0.3,
    )
    assert all(path.exists() for path in paths)
    for number in range(len(paths)):
        emperor.remove(f"v{number}")
    wait_until(lambda: emperor.status()["vassals"] == [], 40, "none of them", every=0.3)
    assert not any(path.exists() for path in paths)
    assert count_fds(emperor.brain_pid) < 40
    assert count_fds(emperor.pid) < 40


def rss_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
