"""A directory of vassal files that is gone, which is no word about its files."""

import time

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.wait import wait_until


def test_sites_outlive_their_directory_and_follow_it_when_it_is_back(emperor: Emperor) -> None:
    emperor.app("hello")
    port, other = emperor.drop("blog"), emperor.drop("shop")
    emperor.start()
    emperor.wait_state("shop", "ready")
    before = emperor.wait_state("blog", "ready")["pid"]
    away = emperor.base / "away"
    with asked_all_the_time(port) as answers:
        emperor.vassals.rename(away)
        wait_until(lambda: emperor.status()["emperor"]["errors"], 10.0, "the complaint")
        assert "does not exist" in emperor.status()["emperor"]["errors"][0]
        time.sleep(1.0)
        emperor.wait_new_brain(emperor.kill_brain())
        assert emperor.wait_state("blog", "ready")["pid"] == before
        time.sleep(0.5)
    assert {status for status, _ in answers} == {200}
    (away / "shop.toml").unlink()
    away.rename(emperor.vassals)
    wait_until(lambda: not emperor.vassal("shop"), 20.0, "what was removed meanwhile ends")
    assert emperor.vassal("blog")["pid"] == before
    assert get(port)[0] == 200
    assert not emperor.status()["emperor"]["errors"]
    assert other


def test_directory_with_nothing_in_it_is_one_whose_files_were_removed(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.vassals.rename(emperor.base / "away")
    emperor.vassals.mkdir()
    wait_until(lambda: not emperor.status()["vassals"], 20.0, "it ends")
