"""A vassal file gets another name, and what it describes does not load: the site goes on."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until

BROKEN = "raise ImportError('not yet')"


def _move(emperor: Emperor, old: str = "blog.toml", new: str = "shop.toml") -> None:
    (emperor.vassals / old).rename(emperor.vassals / new)


def _fails(emperor: Emperor, name: str = "shop") -> None:
    def failed() -> bool:
        one = emperor.vassal(name)
        return one.get("state") == "ready" and "not yet" in str(one.get("last_failure"))

    wait_until(failed, 15.0, f"the failure of {name}")


def _renamed_and_broken(emperor: Emperor) -> int:
    """Return the port at which blog serves for shop, whose code does not load."""
    port = emperor.serve()
    emperor.app("hello", BROKEN)
    _move(emperor)
    _fails(emperor)
    return port


def _ask(emperor: Emperor, *words: str) -> subprocess.CompletedProcess[str]:
    return command(*words, environ={"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)})


def _mended(emperor: Emperor) -> None:
    emperor.app("hello", two="three", one="two")


def test_what_served_goes_on_until_the_new_one_can(emperor: Emperor) -> None:
    port = emperor.serve()
    before = emperor.vassal("blog")
    with asked_all_the_time(port) as answers:
        emperor.app("hello", BROKEN)
        _move(emperor)
        _fails(emperor)
        shop = emperor.vassal("shop")
        assert shop["pid"] == before["pid"]
        assert len(shop["workers"]) == len(before["workers"])
        assert shop["served_as"] == "blog"
        assert [one["name"] for one in emperor.status()["vassals"]] == ["shop"]
        shown = _ask(emperor, "status", "shop").stdout
        assert "blog, whose file is gone, serves on until shop does" in shown
        assert "remove it to stop both" in shown
        assert "blog, whose file is gone" in _ask(emperor, "explain", "shop").stdout
        assert "event=vassal_renamed" in emperor.log()
        assert 'do="blog, whose file is gone' in emperor.log()
        _mended(emperor)
        assert _ask(emperor, "reload", "--wait", "shop").returncode == 0
        assert get(port)[1].startswith(b"two")
        assert emperor.vassal("shop")["served_as"] == ""
    assert {status for status, _ in answers} == {200}


def test_new_name_that_is_told_of_a_moment_later(emperor: Emperor) -> None:
    port = emperor.serve()
    before = emperor.vassal("blog")["pid"]
    emperor.app("hello", BROKEN)
    with asked_all_the_time(port) as answers:
        # As a busy kernel tells of it that is interrupted between the two.
        (emperor.vassals / "blog.toml").rename(emperor.base / "between")
        time.sleep(0.03)
        (emperor.base / "between").rename(emperor.vassals / "shop.toml")
        _fails(emperor)
        assert emperor.vassal("shop")["pid"] == before
    assert {status for status, _ in answers} == {200}


def test_removing_the_new_file_ends_it(emperor: Emperor) -> None:
    _renamed_and_broken(emperor)
    emperor.remove("shop")
    wait_until(lambda: not emperor.status()["vassals"], 10.0, "both are gone")


def test_file_that_gets_its_first_name_back_is_served_by_what_there_is(emperor: Emperor) -> None:
    port = emperor.serve()
    before = emperor.vassal("blog")
    emperor.app("hello", BROKEN)
    with asked_all_the_time(port) as answers:
        _move(emperor)
        _fails(emperor)
        _move(emperor, "shop.toml", "blog.toml")
        wait_until(lambda: emperor.vassal("blog").get("name") == "blog", 10.0, "its first name")
        blog = emperor.wait_state("blog", "ready")
        assert (blog["pid"], blog["served_as"]) == (before["pid"], "")
        assert emperor.vassal("shop")["name"] == "blog"
    assert {status for status, _ in answers} == {200}


def test_crash_after_a_good_rename_that_has_not_settled(emperor: Emperor) -> None:
    port = emperor.serve(text="[health]\nsettle = 30\n")
    before = emperor.vassal("blog")["pid"]
    emperor.app("hello", one="two")
    _move(emperor)
    wait_until(lambda: {get(port)[1][:3] for _ in range(5)} == {b"two"}, 15.0, "the new one")

    def crashed_once_more() -> bool:
        with suppress(OSError):
            get(port, "/exit")
        return emperor.vassal("shop").get("pid") == before

    wait_until(crashed_once_more, 20.0, "the first one again")
    wait_until(lambda: get(port)[1][:3] == b"one", 10.0, "it serves")
    assert emperor.vassal("shop")["served_as"] == "blog"


@pytest.mark.parametrize("when", ["while it is built", "after it failed", "before it is seen"])
def test_brain_that_is_killed_meanwhile(emperor: Emperor, when: str) -> None:
    port = emperor.serve()
    with asked_all_the_time(port) as answers:
        if when == "before it is seen":
            emperor.app("hello", BROKEN)
            brain = emperor.kill_brain()
            _move(emperor)
        elif when == "after it failed":
            emperor.app("hello", BROKEN)
            _move(emperor)
            _fails(emperor)
            brain = emperor.kill_brain()
        else:
            emperor.app("hello", "import time; time.sleep(2)\n" + BROKEN)
            _move(emperor)
            wait_until(lambda: emperor.vassal("shop").get("state") == "reloading", 10.0, "a build")
            brain = emperor.kill_brain()
        emperor.wait_new_brain(brain)
        _fails(emperor)
        assert emperor.vassal("shop")["served_as"] == "blog"
        assert [one["name"] for one in emperor.status()["vassals"]] == ["shop"]
        _mended(emperor)
        assert _ask(emperor, "reload", "--wait", "shop").returncode == 0
        wait_until(lambda: get(port)[1].startswith(b"two"), 10.0, "the new code")
    assert {status for status, _ in answers} == {200}
    emperor.remove("shop")
    wait_until(lambda: not emperor.status()["vassals"], 10.0, "nothing is left")


def test_master_that_dies_with_the_brain_is_told_of_by_its_name_of_now(emperor: Emperor) -> None:
    _renamed_and_broken(emperor)
    brain, master = emperor.brain_pid, emperor.vassal("shop")["pid"]
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(master, signal.SIGKILL)
    os.kill(brain, signal.SIGKILL)
    os.kill(emperor.pid, signal.SIGCONT)
    emperor.wait_new_brain(brain)
    wait_until(lambda: "event=master_died" in emperor.log(), 10.0, "its end is told")
    assert f"vassal=shop event=master_died level=error pid={master}" in emperor.log()


@pytest.mark.parametrize("name", ["blog", "shop"])
def test_it_is_steered_by_either_name(emperor: Emperor, name: str) -> None:
    port = _renamed_and_broken(emperor)
    failed = _ask(emperor, "reload", "--wait", name)
    assert failed.returncode == 1
    assert "shop: reload failed" in failed.stdout
    assert get(port)[0] == 200
    assert "shop is stopped" in _ask(emperor, "stop", "--wait", name).stdout
    assert emperor.state_of("shop") == "stopped"
    _mended(emperor)
    assert _ask(emperor, "restart", "--wait", name).returncode == 0
    assert get(port)[1].startswith(b"two")
    assert emperor.vassal("shop")["served_as"] == ""


def test_reload_by_the_old_name_that_is_under_way_has_a_verdict(emperor: Emperor) -> None:
    emperor.serve()
    emperor.app("hello", "import time; time.sleep(2)\n" + BROKEN)
    asked = subprocess.Popen(
        [*emperor.program, "reload", "--wait", "blog"],
        env={**os.environ, "EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: emperor.vassal("blog").get("state") == "reloading", 10.0, "the reload")
    _move(emperor)
    told, _ = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert "not yet" in told


def test_rollback_leads_to_what_served_under_the_old_name(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("other", one="other")
    emperor.app("broken", BROKEN)
    emperor.drop("blog", "other:application", port=port)
    wait_until(lambda: get(port)[1].startswith(b"other"), 10.0, "the second version")
    emperor.wait_state("blog", "ready")
    emperor.drop("shop", "broken:application", port=port)
    emperor.remove("blog")
    _fails(emperor)
    done = _ask(emperor, "rollback", "--wait", "shop")
    assert done.returncode == 0, done.stdout
    assert get(port)[1].startswith(b"other")
    assert emperor.vassal("shop")["served_as"] == ""


def test_file_that_cannot_be_read_under_its_new_name_means_what_it_meant(emperor: Emperor) -> None:
    emperor.app("hello")
    port = free_port()
    (emperor.vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = hello\nhttp-socket = 127.0.0.1:{port}\n"
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    with asked_all_the_time(port) as answers:
        _move(emperor, "blog.ini", "blog2.toml")
        wait_until(lambda: emperor.vassal("blog2").get("last_failure"), 10.0, "the complaint")
        wait_until(lambda: "event=last_good_used" in emperor.log(), 10.0, "what served")
        wait_until(lambda: emperor.vassal("blog2")["state"] == "ready", 15.0, "it is ready")
        emperor.wait_new_brain(emperor.kill_brain())
        emperor.wait_state("blog2", "ready")
    assert {status for status, _ in answers} == {200}


def test_broken_file_that_was_looked_at_again_is_the_same_under_another_name(
    emperor: Emperor,
) -> None:
    port = emperor.serve()
    emperor.drop("blog", port=port, workers="many")
    wait_until(lambda: "event=file_refused" in emperor.log(), 10.0, "the refusal")
    # Whoever asks for more has the file read anew, and is refused like it.
    assert emperor.do("restart", "blog")[0] == 409
    with asked_all_the_time(port) as answers:
        _move(emperor)
        wait_until(lambda: "event=vassal_renamed" in emperor.log(), 10.0, "the same vassal")
        emperor.wait_state("shop", "ready")
    assert {status for status, _ in answers} == {200}


def test_file_of_another_user_is_another_vassal(emperor: Emperor) -> None:
    need_root()
    port = emperor.serve()
    emperor.app("broken", BROKEN)
    emperor.drop("shop", "broken:application", port=port, user="daemon")
    emperor.remove("blog")
    emperor.wait_state("shop", "parked")
    assert not emperor.vassal("blog")
