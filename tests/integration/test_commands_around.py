"""exec_start_pre, exec_start_post and exec_stop_post: commands around a real application."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import UNCONFINED, Emperor, get
from tests.support.processes import alive, children
from tests.support.wait import wait_until

APP = """
import os

with open(os.environ["STORY"], "a") as story:
    story.write("loaded\\n")

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["SAYS"].encode()]
"""


@pytest.fixture
def story(emperor: Emperor) -> Path:
    """Return the file that the application and its commands tell their story in."""
    emperor.app("told", APP)
    emperor.apps.chmod(0o777)
    return emperor.apps / "story"


def drop(emperor: Emperor, story: Path, says: str = "one", port: int = 0, **keys: Any) -> int:
    return emperor.drop("blog", "told:application", tables(story, says), port=port, **keys)


def tables(story: Path, says: str = "one") -> str:
    return f'[env]\nSTORY = "{story}"\nSAYS = "{says}"\n{UNCONFINED}'


def told(story: Path) -> list[str]:
    return story.read_text().splitlines() if story.exists() else []


def say(what: str) -> str:
    return f"echo {what} >> $STORY"


def test_commands_run_before_the_load_behind_it_and_at_the_end(
    emperor: Emperor, story: Path
) -> None:
    drop(
        emperor,
        story,
        exec_start_pre=[say("one $SAYS"), say("two $PWD")],
        exec_start_post=say("post"),
        exec_stop_post=[say("stopped"), say("at last")],
        workers=2,
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    begun = ["one one", f"two {emperor.apps}", "loaded", "post"]
    assert told(story) == begun

    emperor.remove("blog")
    wait_until(lambda: not emperor.status()["vassals"], what="the vassal to go")

    assert told(story) == [*begun, "stopped", "at last"]


def test_each_generation_has_its_own_and_the_new_one_is_ready_before_the_old_one_ends(
    emperor: Emperor, story: Path
) -> None:
    words = {
        "exec_start_pre": say("pre $SAYS"),
        "exec_start_post": say("post $SAYS"),
        "exec_stop_post": say("end $SAYS"),
    }
    port = drop(emperor, story, **words)
    emperor.start()
    emperor.wait_state("blog", "ready")
    drop(emperor, story, "two", port, **words)
    wait_until(lambda: get(port)[1] == b"two", what="the new code")
    wait_until(lambda: "end one" in told(story), what="the end of the old code")

    begun = ["pre one", "loaded", "post one", "pre two", "loaded", "post two"]
    assert told(story) == [*begun, "end one"]


@pytest.mark.parametrize("key", ["exec_start_pre", "exec_start_post"])
def test_a_command_that_fails_fails_the_start_and_the_old_code_serves_on(
    emperor: Emperor, story: Path, key: str
) -> None:
    port = drop(emperor, story)
    emperor.start()
    emperor.wait_state("blog", "ready")
    failing = ["echo all is wrong >&2; exit 3", say("never")]
    drop(emperor, story, "two", port, exec_stop_post=say("cleared"), **{key: failing})
    wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the failure")

    failure = emperor.vassal("blog")["last_failure"]
    assert failure["kind"] == "hook"
    assert failure["message"] == f'{key}: "{failing[0]}" ended with exit status 3'
    assert failure["exit_status"] == 3
    assert "all is wrong" in failure["output"]
    assert get(port)[1] == b"one"
    wait_until(lambda: told(story)[-1] == "cleared", what="exec_stop_post")
    assert "never" not in told(story)
    assert emperor.vassal("blog")["state"] == "ready"


def test_a_vassal_whose_first_command_fails_is_tried_again(emperor: Emperor, story: Path) -> None:
    port = drop(emperor, story, exec_start_pre=f"{say('try')}; test -e {story}.go")
    emperor.start()
    wait_until(lambda: told(story).count("try") >= 2, what="another try")
    assert "loaded" not in told(story)
    Path(f"{story}.go").touch()
    emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"one"


def test_a_command_with_a_hyphen_may_fail_or_not_be_there(emperor: Emperor, story: Path) -> None:
    drop(emperor, story, exec_start_pre=["-exit 4", "-/no/such/program", say("on")])
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert told(story) == ["on", "loaded"]


def test_the_end_is_told_to_commands_after_a_load_that_failed(
    emperor: Emperor, story: Path
) -> None:
    emperor.app("told", "raise OSError('no')\n")
    drop(emperor, story, exec_stop_post=["-exit 1", "exit 2", say("never")], exec_start_pre="true")
    emperor.start()
    vassal = emperor.wait_state("blog", "parked")
    assert vassal["last_failure"]["kind"] == "load"
    wait_until(
        lambda: "key=exec_stop_post ended='exit status 2'" in emperor.vassal_log("blog"),
        what="exec_stop_post",
    )
    assert "never" not in told(story)


def test_a_command_that_hangs_is_killed_with_all_it_started(emperor: Emperor, story: Path) -> None:
    port = drop(emperor, story)
    emperor.start()
    emperor.wait_state("blog", "ready")
    hanging = 'sleep 98765 & echo "$!" >> $STORY; wait'
    drop(emperor, story, "two", port, exec_start_pre=hanging, spawn_timeout=1)
    wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the failure")

    failure = emperor.vassal("blog")["last_failure"]
    assert failure["kind"] == "spawn-timeout"
    assert failure["message"] == (
        f'exec_start_pre: "{hanging}" was not done within spawn_timeout = 1 s'
    )
    assert get(port)[1] == b"one"
    wait_until(lambda: not sleepers(), what="the sleeper to be gone")


def test_what_a_command_leaves_behind_is_gone_when_it_ends(emperor: Emperor, story: Path) -> None:
    drop(emperor, story, exec_start_pre="sleep 98765 & true")
    emperor.start()
    emperor.wait_state("blog", "ready")
    wait_until(lambda: not sleepers(), what="the sleeper to be gone")


def test_a_stop_ends_a_command_that_runs(emperor: Emperor, story: Path) -> None:
    drop(
        emperor,
        story,
        exec_start_pre=f"{say('begun')}; sleep 98765; true",
        exec_stop_post=say("ended"),
    )
    emperor.start()
    wait_until(lambda: told(story) == ["begun"], what="the command")
    emperor.remove("blog")
    wait_until(lambda: not emperor.status()["vassals"], what="the vassal to go")
    assert told(story) == ["begun", "ended"]
    assert not sleepers()


def test_an_end_that_hangs_is_cut_short(emperor: Emperor, story: Path) -> None:
    drop(emperor, story, exec_stop_post=["-sleep 98765; true", say("never")], spawn_timeout=1)
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.remove("blog")
    wait_until(lambda: not emperor.status()["vassals"], what="the vassal to go")
    assert told(story) == ["loaded"]
    assert not sleepers()


def test_with_lazy_apps_the_first_worker_has_loaded_before(emperor: Emperor, story: Path) -> None:
    drop(
        emperor,
        story,
        lazy_apps=True,
        workers=2,
        exec_start_pre=say("pre"),
        exec_start_post=say("post"),
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert told(story) == ["pre", "loaded", "post", "loaded"]


def test_a_mold_that_was_lost_is_replaced_without_them(emperor: Emperor, story: Path) -> None:
    drop(emperor, story, exec_start_pre=say("pre"), exec_start_post=say("post"))
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    (mold,) = set(children(vassal["pid"])) - {row["pid"] for row in vassal["workers"]}
    os.kill(mold, signal.SIGKILL)
    wait_until(lambda: told(story).count("loaded") == 2, what="its load")
    assert told(story) == ["pre", "loaded", "post", "loaded"]


def test_a_command_has_the_vassals_confinement_and_no_descriptor(
    emperor: Emperor, story: Path
) -> None:
    commands = [
        "echo $(id -u) >> $STORY",
        "ls /proc/self/fd > $STORY.fds",
        "echo $(ulimit -n) $(umask) >> $STORY; cat /proc/self/cgroup >> $STORY.cgroup",
    ]
    wanted = '[limits]\nlimit_nofile = "77:99"\numask = "037"\n'
    text = tables(story) + wanted
    emperor.drop("blog", "told:application", text, exec_start_pre=commands)
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    uid, limits = told(story)[:2]
    assert int(uid) == Path(f"/proc/{vassal['workers'][0]['pid']}").stat().st_uid
    assert limits == "77 0037"
    # The last is that of the folder, which ls itself has opened.
    assert Path(f"{story}.fds").read_text().split() == ["0", "1", "2", "3"]
    if not vassal["unsupported"]:
        assert Path(f"{story}.cgroup").read_text().splitlines()[-1].endswith(":/")


def sleepers() -> list[int]:
    return [pid for pid in _pids() if _read(pid, "cmdline") == "sleep\x0098765\x00" and alive(pid)]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except OSError:
        return ""
