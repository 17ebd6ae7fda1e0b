"""What a vassal's processes are called, and the file that has its master's pid."""

import pwd
import time
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.processes import pid_tree
from tests.support.wait import wait_until


def names(one: Emperor) -> list[str]:
    pid = int(one.vassal("blog")["pid"])
    return [Path(f"/proc/{found}/comm").read_text().strip() for found in pid_tree(pid)]


def test_procname_is_what_top_and_ps_show(emperor: Emperor) -> None:
    emperor.serve(procname="a blog of somebody", workers=2)
    assert names(emperor).count("a blog of someb") == 3
    pid = int(emperor.vassal("blog")["pid"])
    lines = [Path(f"/proc/{found}/cmdline").read_bytes() for found in pid_tree(pid)]
    assert sum(line.endswith(b"\0a blog of somebody\0") for line in lines) == 3


def title_of_master(one: Emperor) -> bytes:
    return Path(f"/proc/{one.vassal('blog')['pid']}/cmdline").read_bytes().rstrip(b"\0")


def test_master_shows_whose_it_is(emperor: Emperor) -> None:
    emperor.serve()
    assert title_of_master(emperor) == b"emperor: master of blog"


@pytest.mark.parametrize("environ", [[], ["LC_CTYPE=C", "LONG=" + "x" * 99]])
def test_environment_that_is_not_as_it_was_given_costs_the_title_only(
    emperor: Emperor, environ: list[str]
) -> None:
    """Python itself sets LC_CTYPE where no locale is chosen."""
    emperor.app("hello")
    emperor.drop("blog")
    emperor.program = ["/usr/bin/env", "-i", *environ, *emperor.program]
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert b"master of" not in title_of_master(emperor)


def test_pidfile_has_the_masters_pid_and_goes_with_the_vassal(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.apps.chmod(0o777)
    path = emperor.apps / "blog.pid"
    port = emperor.drop("blog", pidfile="blog.pid")
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert path.read_text() == f"{vassal['pid']}\n"
    assert pwd.getpwuid(path.stat().st_uid).pw_name == vassal["user"]
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.vassal("blog")["generation"] > vassal["generation"], what="a reload")
    assert path.read_text() == f"{vassal['pid']}\n"
    emperor.remove("blog")
    wait_until(lambda: not emperor.status()["vassals"], what="the vassal to go")
    assert not path.exists()
    assert port


def test_successor_writes_its_own_pid(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    emperor.apps.chmod(0o1777)
    port = emperor.drop("blog", pidfile="blog.pid", text="[sandbox]\nprivate_ipc = true\n")
    emperor.start()
    first = emperor.wait_state("blog", "ready")["pid"]
    time.sleep(0.05)
    emperor.drop("blog", port=port, pidfile="blog.pid", text="[sandbox]\nprivate_ipc = false\n")
    wait_until(lambda: emperor.vassal("blog").get("pid") not in (first, 0), what="a successor")
    second = emperor.wait_state("blog", "ready")["pid"]
    assert get(port)[0] == 200
    wait_until(lambda: (emperor.apps / "blog.pid").read_text() == f"{second}\n", what="the new pid")
    wait_until(lambda: not Path(f"/proc/{first}").exists(), 20, "the first master to go")
    assert (emperor.apps / "blog.pid").read_text() == f"{second}\n"


def test_successor_that_fails_leaves_the_pidfile_of_whom_serves(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    emperor.apps.chmod(0o1777)
    port = emperor.drop("blog", pidfile="blog.pid", text="[sandbox]\nprivate_ipc = true\n")
    emperor.start()
    first = emperor.wait_state("blog", "ready")["pid"]
    emperor.app("hello", "raise RuntimeError('no database')\n")
    emperor.drop("blog", port=port, pidfile="blog.pid", text="[sandbox]\nprivate_ipc = false\n")
    wait_until(lambda: emperor.vassal("blog")["last_failure"], what="a failure")
    assert emperor.wait_state("blog", "ready")["pid"] == first
    assert get(port)[0] == 200
    assert (emperor.apps / "blog.pid").read_text() == f"{first}\n"


def test_pidfile_that_cannot_be_written_stops_nothing(emperor: Emperor) -> None:
    port = emperor.serve(pidfile="/nowhere/blog.pid")
    assert get(port)[0] == 200
    wait_until(
        lambda: "event=pidfile_not_written path='/nowhere/blog.pid'" in emperor.vassal_log("blog"),
        what="a line about it",
    )
    said = emperor.unsupported("blog")["pidfile"]
    assert said == "/nowhere/blog.pid: No such file or directory"
