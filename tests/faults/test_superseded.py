"""A later reload takes the place of one that is under way."""

import time

import pytest

from tests.support.emperor import Emperor
from tests.support.load import check
from tests.support.processes import pid_tree
from tests.support.site import WORKERS, Site
from tests.support.wait import wait_until

SLOW = "\ntime.sleep(1.5)\n"


@pytest.mark.parametrize(
    ("later_s", "settle_s", "slowness"),
    [(0.0, 0.1, SLOW), (0.3, 0.1, SLOW), (1.0, 0.1, SLOW), (1.0, 30, "")],
    ids=["at once", "while it loads", "later", "while it settles"],
)
def test_newest_code_serves_and_what_it_superseded_is_gone(
    emperor: Emperor, later_s: float, settle_s: float, slowness: str
) -> None:
    site = Site(emperor)
    site.drop(health={"settle": settle_s})
    emperor.start()
    emperor.wait_state("blog", "ready")
    before = site.status
    with site.asked() as asked:
        site.code("second", slowness)
        emperor.do("reload", "blog")
        if not slowness:
            wait_until(lambda: asked.version == "second", 20, "second serves")
        time.sleep(later_s)
        site.code("third")
        # What settles ends with the reload, not with its time.
        site.drop(health={"settle": 0.1})
        emperor.do("reload", "blog")
        wait_until(lambda: asked.version == "third", 20, "third serves")
        wait_until(lambda: only_one_generation_runs(site), 20, "nothing else runs")
        came_at = time.monotonic()
        wait_until(lambda: asked.outcomes[-1].began > came_at, what="more answers")
    check(asked.outcomes, site.served)
    assert {one.version for one in asked.outcomes if one.began > came_at} == {"third"}
    assert (site.status["state"], site.status["pid"]) == ("ready", before["pid"])
    assert site.status["last_failure"] is None


def only_one_generation_runs(site: Site) -> bool:
    """Return whether there is one mold, as many workers as are wanted, and nothing else."""
    found = site.status
    ready = [row for row in found["workers"] if row["generation"] == found["generation"]]
    return (
        found["state"] == "ready"
        and len(ready) == len(found["workers"]) == WORKERS
        and len(pid_tree(found["pid"])) == WORKERS + 1
    )


def test_reload_after_a_broken_one_is_not_blamed_for_it(site: Site) -> None:
    with site.asked() as asked:
        site.code("broken", SLOW + "raise RuntimeError('half a deploy')\n")
        site.emperor.do("reload", "blog")
        wait_until(lambda: site.status["state"] == "reloading", what="it is built")
        site.code("third")
        site.emperor.do("reload", "blog")
        wait_until(lambda: asked.version == "third", 20, "third serves")
        wait_until(lambda: only_one_generation_runs(site), 20, "nothing else runs")
    check(asked.outcomes, site.served)
    assert site.status["last_failure"] is None
