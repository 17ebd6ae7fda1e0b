"""Limits that are edited while a vassal runs."""

from tests.support.emperor import Emperor, get
from tests.support.processes import open_files_max
from tests.support.wait import wait_until


def limits(pair: str) -> str:
    return f'[limits]\nlimit_nofile = "{pair}"\n'


def test_lowered_rlimit_is_put_on_running_processes(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text=limits("128:256"))
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    worker = before["workers"][0]["pid"]
    assert open_files_max(worker) == ["128", "256"]
    emperor.drop("blog", port=port, text=limits("64:100"))
    wait_until(
        lambda: open_files_max(worker) == ["64", "100"], what="the worker is under the new limit"
    )
    after = emperor.wait_state("blog", "ready")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert get(port)[0] == 200
    wait_until(lambda: "vassal=blog event=limits_changed" in emperor.log(), what="it is logged")


def test_raised_hard_limit_comes_with_a_new_generation_of_the_same_master(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text=limits("64:100"))
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    emperor.drop("blog", port=port, text=limits("128:256"))
    wait_until(
        lambda: (
            (found := emperor.vassal("blog"))["generation"] == 2
            and found["state"] == "ready"
            and len(found["workers"]) == 1
        ),
        what="generation 2 alone",
    )
    after = emperor.vassal("blog")
    assert after["pid"] == before["pid"]
    assert open_files_max(after["workers"][0]["pid"]) == ["128", "256"]
    assert "needs_generation=" in emperor.log()


def test_worker_that_is_replaced_later_has_the_new_limit(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text=limits("128:256"))
    emperor.start()
    worker = emperor.wait_state("blog", "ready")["workers"][0]["pid"]
    emperor.drop("blog", port=port, text=limits("64:100"))
    wait_until(
        lambda: open_files_max(worker) == ["64", "100"], what="the worker is under the new limit"
    )
    get_failed = False
    try:
        get(port, "/exit")
    except OSError:
        get_failed = True
    assert get_failed

    def successor() -> int:
        workers = emperor.vassal("blog")["workers"]
        return int(workers[0]["pid"]) if workers and workers[0]["pid"] != worker else 0

    assert open_files_max(wait_until(successor, what="a successor")) == ["64", "100"]


def test_limits_that_are_not_changed_are_no_news_to_the_vassal(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", text=limits("128:256"))
    emperor.start()
    worker = emperor.wait_state("blog", "ready")["workers"][0]["pid"]
    emperor.wait_new_brain(emperor.kill_brain())  # tells every master what it has read
    emperor.wait_state("blog", "ready")
    emperor.drop("blog", port=port, text=limits("64:100"))
    wait_until(lambda: "event=limits_changed" in emperor.vassal_log("blog"), what="the change")
    assert open_files_max(worker) == ["64", "100"]
    lines = [line for line in emperor.vassal_log("blog").splitlines() if "limits_changed" in line]
    assert len(lines) == 1
    assert lines[0].endswith("event=limits_changed")
