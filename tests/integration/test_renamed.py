"""A vassal file that gets another name: what it describes goes on, and no client is refused."""

import time
from pathlib import Path

import pytest

from tests.support.emperor import HELLO, Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import children
from tests.support.wait import wait_until


def _ready(emperor: Emperor) -> int:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    return port


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
    port = _ready(emperor)
    _renamed(emperor, port, "blog.toml", "shop.toml")
    # The other way round in the order of names.
    _renamed(emperor, port, "shop.toml", "blog.toml")


def test_vassal_that_ran_as_another_user_before_is_the_same_under_another_name(
    emperor: Emperor,
) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("blog", user="games")
    emperor.start()
    emperor.wait_state("blog", "ready")
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
    port = _ready(emperor)
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


def _other(emperor: Emperor) -> None:
    emperor.app("other", one="other")


def test_who_was_refused_an_address_gets_it_as_soon_as_it_is_free(emperor: Emperor) -> None:
    port = _ready(emperor)
    _other(emperor)
    emperor.drop("shop", "other:application", port=port)
    emperor.wait_state("shop", "backoff")
    time.sleep(2.0)  # by now it would be some time until the next attempt
    emperor.remove("blog")
    began = time.monotonic()
    emperor.wait_state("shop", "ready")
    assert time.monotonic() - began < 1.0
    assert get(port)[1].startswith(b"other")


@pytest.mark.parametrize("user", [{}, {"user": "daemon"}], ids=["same user", "another user"])
def test_refused_reload_is_tried_again_when_the_address_is_free(
    emperor: Emperor, user: dict[str, str]
) -> None:
    if user:
        need_root()
    port = _ready(emperor)
    _other(emperor)
    own = emperor.drop("shop", "other:application", **user)
    emperor.wait_state("shop", "ready")
    both = [f"http://127.0.0.1:{own}", f"http://127.0.0.1:{port}"]
    emperor.drop("shop", "other:application", listen=both, **user)
    wait_until(lambda: emperor.vassal("shop")["last_failure"], 10.0, "the refusal")
    assert get(own)[1].startswith(b"other")
    assert get(port)[1].startswith(b"one")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), 10.0, "the old one is gone")
    wait_until(lambda: emperor.vassal("shop")["generation"] > 2, 10.0, "another attempt")
    emperor.wait_state("shop", "ready")
    wait_until(lambda: get(port)[1].startswith(b"other"), 10.0, "the new one at the address")


def test_sockets_of_one_user_are_never_left_to_another(emperor: Emperor) -> None:
    need_root()
    port = _ready(emperor)
    emperor.app("slow", HELLO.replace("    return", "    time.sleep(2)\n    return"))
    emperor.drop("blog", "slow:application", port=port)
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, 10.0, "the slow one")
    emperor.wait_state("blog", "ready")
    with asked_all_the_time(port):
        time.sleep(0.3)
        emperor.drop("shop", port=port, user="daemon")
        emperor.remove("blog")
        time.sleep(0.5)
        assert emperor.state_of("blog") == "stopping"
        assert emperor.state_of("shop") == "backoff"
    emperor.wait_state("shop", "ready")


def test_address_stays_its_vassals_over_a_restart_of_everything(emperor: Emperor) -> None:
    port = _ready(emperor)
    _other(emperor)
    emperor.drop("afirst", "other:application", port=port)  # by its name it comes before
    emperor.wait_state("afirst", "backoff")
    emperor.stop()
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_state("afirst", "backoff")
    assert get(port)[1].startswith(b"one")
    emperor.remove("blog")
    emperor.wait_state("afirst", "ready")
    assert get(port)[1].startswith(b"other")
    emperor.stop()
    emperor.drop("blog", port=port)
    emperor.start()
    emperor.wait_state("afirst", "ready")
    emperor.wait_state("blog", "backoff")


def test_directory_that_is_replaced_or_away_for_a_moment(emperor: Emperor) -> None:
    port = _ready(emperor)
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


def _two(emperor: Emperor) -> tuple[int, int]:
    """Let blog serve "one" at the first port, and shop "other" at the second."""
    first = _ready(emperor)
    _other(emperor)
    second = emperor.drop("shop", "other:application")
    emperor.wait_state("shop", "ready")
    return first, second


def _swapped(first: int, second: int) -> bool:
    return {get(first)[1][:5] for _ in range(5)} == {b"other"} and {
        get(second)[1][:3] for _ in range(5)
    } == {b"one"}


def test_two_vassals_swap_their_addresses(emperor: Emperor) -> None:
    first, second = _two(emperor)
    with asked_all_the_time(first) as one, asked_all_the_time(second) as other:
        emperor.drop("blog", port=second)
        wait_until(lambda: emperor.vassal("blog")["last_failure"], 10.0, "the refusal")
        emperor.drop("shop", "other:application", port=first)
        wait_until(lambda: _swapped(first, second), 20.0, "the exchange")
        emperor.wait_state("blog", "ready")
        emperor.wait_state("shop", "ready")
    assert {status for status, _ in (*one, *other)} == {200}
    # They hold what they have: nothing of it is lost with the brain, or by another deploy.
    emperor.wait_new_brain(emperor.kill_brain())
    for name in ("blog", "shop"):
        emperor.do("reload", name)
        wait_until(lambda name=name: emperor.vassal(name)["generation"] > 2, 15.0, "a reload")
        emperor.wait_state(name, "ready")
    assert _swapped(first, second)


def test_brain_that_is_killed_while_two_swap(emperor: Emperor) -> None:
    first, second = _two(emperor)
    with asked_all_the_time(first) as one, asked_all_the_time(second) as other:
        emperor.drop("blog", port=second)
        emperor.drop("shop", "other:application", port=first)
        wait_until(lambda: emperor.log().count("event=successor_serves") == 2, 20.0, "both serve")
        emperor.wait_new_brain(emperor.kill_brain())
        emperor.wait_state("blog", "ready")
        emperor.wait_state("shop", "ready")
        wait_until(lambda: _swapped(first, second), 20.0, "the exchange")
    assert {status for status, _ in (*one, *other)} == {200}
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), 10.0, "one is gone")
    assert get(first)[1].startswith(b"other")


def test_address_that_its_vassal_leaves_is_taken_over_without_a_gap(emperor: Emperor) -> None:
    _, second = _two(emperor)
    third = free_port()
    with asked_all_the_time(second) as answers:
        emperor.drop("blog", port=second)
        wait_until(lambda: emperor.vassal("blog")["last_failure"], 10.0, "the refusal")
        emperor.drop("shop", "other:application", port=third)
        wait_until(lambda: {get(second)[1][:3] for _ in range(5)} == {b"one"}, 20.0, "the heir")
        emperor.wait_state("blog", "ready")
    assert {status for status, _ in answers} == {200}
    assert get(third)[1].startswith(b"other")


def test_swap_of_which_one_fails_leaves_both_where_they_were(emperor: Emperor) -> None:
    first, second = _two(emperor)
    emperor.app("broken", "import time; time.sleep(5)\nraise ImportError('not yet')")
    with asked_all_the_time(first) as one, asked_all_the_time(second) as other:
        emperor.drop("shop", "broken:application", port=first)
        emperor.drop("blog", port=second)
        wait_until(lambda: "not yet" in str(emperor.vassal("shop")["last_failure"]), 20.0, "it")
        emperor.wait_state("blog", "ready")
        emperor.wait_state("shop", "ready")
        wait_until(lambda: get(first)[1][:3] == b"one" and get(second)[1][:5] == b"other", 10.0)
        assert {get(first)[1][:3] for _ in range(9)} == {b"one"}
        assert {get(second)[1][:5] for _ in range(9)} == {b"other"}
        assert "serves on there" in emperor.vassal("blog")["last_failure"]["message"]
        # Mended, both go where they were to go.
        emperor.drop("shop", "other:application", port=first)
        wait_until(lambda: _swapped(first, second), 20.0, "the exchange")
    assert {status for status, _ in (*one, *other)} == {200}
