"""A vassal file that gets another name: what it describes goes on, and no client is refused."""

import time
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import children
from tests.support.wait import wait_until


def _renamed(emperor: Emperor, port: int, old: str, new: str) -> None:
    """Give the file another name while clients ask; none of them may notice."""
    with asked_all_the_time(port) as answers:
        time.sleep(0.2)
        Path(emperor.vassals / old).rename(emperor.vassals / new)
        emperor.wait_state(Path(new).stem, "ready")
        wait_until(lambda: len(emperor.status()["vassals"]) == 1, 10.0, "the old one is gone")
        time.sleep(0.2)
    assert len(answers) > 20
    assert {status for status, _ in answers} == {200}


def test_vassal_of_another_name_takes_over_the_sockets(emperor: Emperor) -> None:
    port = emperor.serve()
    _renamed(emperor, port, "blog.toml", "shop.toml")
    # The other way round in the order of names.
    _renamed(emperor, port, "shop.toml", "blog.toml")


def test_vassal_that_ran_as_another_user_before_is_the_same_under_another_name(
    emperor: Emperor,
) -> None:
    need_root()
    port = emperor.serve(user="games")
    emperor.drop("blog", user="nobody", port=port)
    wait_until(lambda: "event=successor_serves" in emperor.log(), 15.0, "the other user's")
    wait_until(lambda: len(children(emperor.pid)) == 2, 15.0, "the first master is gone")
    _renamed(emperor, port, "blog.toml", "shop.toml")
    assert "event=vassal_renamed" in emperor.log()


def test_same_vassal_by_a_file_of_another_dialect(emperor: Emperor) -> None:
    emperor.app("hello")
    port = free_port()
    (emperor.vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = hello\nhttp-socket = 127.0.0.1:{port}\n"
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    with asked_all_the_time(port) as answers:
        emperor.drop("blog", port=port)
        wait_until(lambda: emperor.status()["emperor"]["errors"], 10.0, "a word about two files")
        assert "describes this vassal already" in emperor.status()["emperor"]["errors"][0]
        assert "event=file_not_used" in emperor.log()
        (emperor.vassals / "blog.ini").unlink()
        wait_until(lambda: emperor.vassal("blog")["config"].endswith(".toml"), 10.0, "the other")
        wait_until(lambda: emperor.vassal("blog")["state"] == "ready", 10.0, "it serves")
    assert {status for status, _ in answers} == {200}
    assert not emperor.status()["emperor"]["errors"]
    assert "event=file_replaced" in emperor.log()
    assert "event=vassal_stopping" not in emperor.log()


@pytest.mark.parametrize("what", ["brain", "emperor"])
def test_sleeping_vassal_keeps_the_file_it_has_when_there_is_another(
    emperor: Emperor, what: str
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", on_demand=True)
    emperor.start()
    emperor.wait_state("blog", "dormant")
    # By its name it comes before.
    (emperor.vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = other\nhttp-socket = 127.0.0.1:{port}\n"
        "cheap = true\n"
    )
    wait_until(lambda: emperor.status()["emperor"]["errors"], 10.0, "a word about two files")
    kept = emperor.runtime_dir / "state" / ".holders"
    wait_until(lambda: kept.exists() and "blog.toml" in kept.read_text(), 10.0, "it is kept")
    if what == "brain":
        emperor.wait_new_brain(emperor.kill_brain())
    else:
        emperor.stop()
        emperor.start()
    assert emperor.vassal("blog")["config"].endswith("blog.toml")
    assert get(port)[1].startswith(b"one")
    assert "blog.toml describes this vassal already" in emperor.status()["emperor"]["errors"][0]
    (emperor.vassals / "blog.ini").unlink()
    wait_until(lambda: "blog.toml" not in kept.read_text(), 10.0, "it is the only one")


def test_file_that_is_broken_under_its_new_name_changes_nothing(emperor: Emperor) -> None:
    port = emperor.serve()
    (emperor.vassals / "blog.toml").rename(emperor.vassals / "blog.ini")
    wait_until(lambda: emperor.vassal("blog")["config"].endswith(".ini"), 10.0, "the other file")
    wait_until(lambda: emperor.vassal("blog")["last_failure"], 10.0, "what is wrong with it")
    assert emperor.vassal("blog")["state"] == "ready"
    assert get(port)[0] == 200
    (emperor.vassals / "blog.ini").rename(emperor.vassals / "blog.toml")
    wait_until(lambda: emperor.vassal("blog")["config"].endswith(".toml"), 10.0, "the first file")
    assert emperor.vassal("blog")["state"] == "ready"
    assert get(port)[0] == 200


def test_sleeping_vassal_of_another_name(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", on_demand=True)
    emperor.start()
    emperor.wait_state("blog", "dormant")
    (emperor.vassals / "blog.toml").rename(emperor.vassals / "shop.toml")
    emperor.wait_state("shop", "dormant")
    wait_until(lambda: not emperor.vassal("blog"), 10.0, "the old one is gone")
    assert get(port)[0] == 200
    assert emperor.state_of("shop") == "ready"


def test_directory_that_is_replaced_or_away_for_a_moment(emperor: Emperor) -> None:
    port = emperor.serve()
    away = emperor.base / "away"
    with asked_all_the_time(port) as answers:
        for _ in range(3):
            emperor.vassals.rename(away)
            time.sleep(0.3)
            away.rename(emperor.vassals)
            time.sleep(1.2)
    assert {status for status, _ in answers} == {200}
    assert "event=vassal_stopping" not in emperor.log()
    # It is watched where it is now.
    emperor.drop("shop")
    emperor.wait_state("shop", "ready")
    emperor.vassals.rename(away)
    wait_until(lambda: emperor.status()["emperor"]["errors"], 10.0, "the complaint")
    assert any("vassals" in line for line in emperor.status()["emperor"]["errors"])
