"""A master that answers a new brain late: nothing is built on what it may be."""

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.wait import wait_until


@contextlib.contextmanager
def silent_at_a_start(emperor: Emperor, name: str) -> Iterator[None]:
    """Let a new brain begin that a vassal's master has not answered; it goes on on leaving."""
    pid = emperor.vassal(name)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        emperor.wait_new_brain(emperor.kill_brain())
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: f"vassal={name} event=vassal_adopted" in emperor.log(), 15, "its answer")


def test_master_that_answers_a_new_brain_late_goes_on_as_it_is(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.do("restart", "blog")
    wait_until(lambda: emperor.log().count("event=vassal_ready") == 2, 15, "it was restarted")
    before = emperor.vassal("blog")
    with silent_at_a_start(emperor, "blog"):
        pass
    after = emperor.wait_state("blog", "ready")
    assert [after[key] for key in ("pid", "generation")] == [
        before[key] for key in ("pid", "generation")
    ]
    assert emperor.log().count("event=generation_started") == 2
    assert get(port)[0] == 200


def test_change_for_a_new_master_waits_for_what_the_old_one_says(emperor: Emperor) -> None:
    need_root()
    port = emperor.serve(user="games")
    with silent_at_a_start(emperor, "blog"):
        emperor.drop("blog", user="nobody", port=port)
        wait_until(lambda: "event=file_read" in emperor.log(), what="the file was read")
    wait_until(lambda: "event=successor_serves" in emperor.log(), 15, "the other user's master")
    assert "event=vassal_stopping" not in emperor.log()
    assert "event=master_died" not in emperor.log()


def test_reload_that_is_asked_for_before_a_master_has_answered_is_done(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.log().count("event=vassal_ready") == 2, 15, "it was reloaded")
    with silent_at_a_start(emperor, "blog"):
        emperor.app("hello", one="two")
        assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: get(port)[1].startswith(b"two"), 15, "the new code")
