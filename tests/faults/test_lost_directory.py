"""A directory of vassal files that is gone, which is no word about its files."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
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


def test_directory_whose_files_were_removed_is_empty(emperor: Emperor) -> None:
    emperor.serve()
    emperor.remove("blog")
    wait_until(lambda: not emperor.status()["vassals"], 20.0, "it ends")


def test_another_directory_at_the_same_path_ends_no_site(emperor: Emperor) -> None:
    emperor.app("hello")
    port, other = emperor.drop("blog"), emperor.drop("shop")
    emperor.start()
    emperor.wait_state("shop", "ready")
    blog = emperor.wait_state("blog", "ready")["pid"]
    emperor.vassals.rename(emperor.base / "away")
    emperor.vassals.mkdir()
    news = emperor.drop("news")
    emperor.wait_state("news", "ready")
    wait_until(lambda: complains(emperor), 10.0, "the complaint")
    emperor.wait_new_brain(emperor.kill_brain())
    assert complains(emperor)
    assert emperor.wait_state("blog", "ready")["pid"] == blog
    assert [get(one)[0] for one in (port, other, news)] == [200] * 3
    # What is in the new one counts there, and what comes back.
    emperor.remove("news")
    wait_until(lambda: not emperor.vassal("news"), 20.0, "what was in the new one ends")
    emperor.drop("blog", port=port)
    emperor.do("stop", "shop")
    emperor.wait_state("shop", "stopped")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), 20.0, "what came back and went ends")


def complains(emperor: Emperor) -> bool:
    return any("is something not mounted" in line for line in emperor.status()["emperor"]["errors"])


def bind_mount(source: Path, target: Path) -> None:
    subprocess.run(["mount", "--bind", source, target], check=True)


def test_vassals_on_a_mount_outlive_it_whoever_comes_between(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    files = emperor.base / "files"
    port = emperor.drop("blog")
    sleeping = emperor.drop("sleeper", on_demand=True)
    emperor.vassals.rename(files)
    emperor.vassals.mkdir()
    bind_mount(files, emperor.vassals)
    try:
        emperor.start()
        blog = emperor.wait_state("blog", "ready")["pid"]
        emperor.wait_state("sleeper", "dormant")
    finally:
        subprocess.run(["umount", "-l", emperor.vassals], check=True)
    with asked_all_the_time(port) as answers:
        wait_until(lambda: complains(emperor), 20.0, "the complaint")
        emperor.wait_new_brain(emperor.kill_brain())
        emperor.wait_new_brain(emperor.kill_brain())
        assert emperor.wait_state("blog", "ready")["pid"] == blog
    assert {status for status, _ in answers} == {200}
    # Its file was good when it was read last: it can be started again.
    os.kill(blog, signal.SIGKILL)
    wait_until(lambda: emperor.vassal("blog")["pid"] not in (0, None, blog), 20.0, "a new master")
    blog = emperor.wait_state("blog", "ready")["pid"]
    assert get(port)[0] == 200
    # Who sleeps has nobody who knows it now, but its clients are not refused.
    late: list[int] = []
    client = threading.Thread(target=lambda: late.append(get(sleeping, "/", 40)[0]))
    client.start()
    bind_mount(files, emperor.vassals)
    try:
        client.join(40)
        assert late == [200]
        wait_until(lambda: not emperor.status()["emperor"]["errors"], 20.0, "all is well")
        assert emperor.vassal("blog")["pid"] == blog
        (files / "blog.toml").unlink()
        wait_until(lambda: not emperor.vassal("blog"), 20.0, "what is removed ends")
        assert emperor.vassal("sleeper")
        assert emperor.stop() == 0
    finally:
        subprocess.run(["umount", "-l", emperor.vassals], check=True)


def test_empty_file_system_mounted_over_the_vassals_ends_no_site(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    blog = emperor.wait_state("blog", "ready")["pid"]
    subprocess.run(["mount", "-t", "tmpfs", "empty", emperor.vassals], check=True)
    try:
        wait_until(lambda: complains(emperor), 20.0, "the complaint")
        assert get(port)[0] == 200
    finally:
        subprocess.run(["umount", "-l", emperor.vassals], check=True)
    wait_until(lambda: not emperor.status()["emperor"]["errors"], 20.0, "all is well")
    assert emperor.vassal("blog")["pid"] == blog
