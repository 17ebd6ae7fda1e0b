"""An address that one vassal leaves and another wants: who has it when, and nobody is refused."""

import time

import pytest

from tests.support.emperor import HELLO, Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until


def test_who_was_refused_an_address_gets_it_as_soon_as_it_is_free(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("other", one="other")
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
    port = emperor.serve()
    emperor.app("other", one="other")
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
    port = emperor.serve()
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
    port = emperor.serve()
    emperor.app("other", one="other")
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


def _two(emperor: Emperor) -> tuple[int, int]:
    """Let blog serve "one" at the first port, and shop "other" at the second."""
    first = emperor.serve()
    emperor.app("other", one="other")
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


def test_address_that_its_vassal_leaves_is_left_to_who_waits_for_it(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("other", one="other")
    emperor.drop("shop", "other:application", port=port)
    emperor.wait_state("shop", "backoff")  # nothing of it serves that could do so beside
    with asked_all_the_time(port) as answers:
        emperor.drop("blog")
        wait_until(lambda: answers[-1:] and answers[-1][1].startswith(b"other"), 15, "it serves")
    assert {status for status, _ in answers} == {200}


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


@pytest.mark.parametrize("what", ["restart of one", "death of the brain"])
def test_nobody_is_refused_when_two_swap_and_are_disturbed(emperor: Emperor, what: str) -> None:
    blog, shop = _two(emperor)
    with asked_all_the_time(blog) as one, asked_all_the_time(shop) as other:
        for number in range(4):
            blog, shop = shop, blog
            emperor.drop("blog", port=blog)
            emperor.drop("shop", "other:application", port=shop)
            time.sleep(0.1 * (number % 3))  # in the middle of it
            if what == "restart of one":
                assert emperor.do("restart", ("blog", "shop")[number % 2])[0] == 202
            else:
                emperor.wait_new_brain(emperor.kill_brain(), 30)
            wait_until(lambda at=(shop, blog): _swapped(*at), 30.0, "the exchange")
            emperor.wait_state("blog", "ready")
            emperor.wait_state("shop", "ready")
    failed = {answer for answer in (*one, *other) if answer[0] != 200}
    assert not failed, emperor.log()
