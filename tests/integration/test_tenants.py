"""Whom a vassal runs as, and what a tenant's own file may not have."""

import os
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.processes import children, fds_of, open_files_max
from tests.support.tenants import account, drop_as
from tests.support.wait import wait_until

IDS = """
import os

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr((os.getuid(), os.getgid(), sorted(os.getgroups()))).encode()]
"""


@pytest.fixture(autouse=True)
def only_root_has_tenants() -> None:
    need_root()


def ids(port: int) -> tuple[int, int, list[int]]:
    found: tuple[int, int, list[int]] = eval(get(port)[1])
    return found


def test_tenants_file_runs_as_its_owner(emperor: Emperor) -> None:
    emperor.app("ids", IDS)
    emperor.start()
    port = drop_as(emperor, "games", "blog", app="ids:application")
    status = emperor.wait_state("blog", "ready")
    games = account("games")
    assert status["user"] == "games"
    assert ids(port)[:2] == (games.pw_uid, games.pw_gid)


def test_roots_file_runs_as_its_user_with_that_users_groups(emperor: Emperor) -> None:
    emperor.app("ids", IDS)
    port = emperor.drop("blog", app="ids:application", user="www-data", group="games")
    emperor.start()
    emperor.wait_state("blog", "ready")
    www = account("www-data")
    assert ids(port) == (
        www.pw_uid,
        account("games").pw_gid,
        sorted(os.getgrouplist("www-data", www.pw_gid)),
    )


def test_tenant_that_asks_for_another_user_is_refused_and_the_old_version_runs(
    emperor: Emperor,
) -> None:
    emperor.app("ids", IDS)
    emperor.start()
    port = drop_as(emperor, "games", "blog", app="ids:application")
    emperor.wait_state("blog", "ready")
    drop_as(emperor, "games", "blog", app="ids:application", port=port, user="root")
    failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the refusal")
    assert failure["kind"] == "config"
    assert "/blog.toml:4: user: " in failure["message"]
    assert ids(port)[0] == account("games").pw_uid


def test_root_is_refused_unless_the_policy_allows_it(emperor: Emperor) -> None:
    emperor.app("ids", IDS)
    emperor.drop("blog", app="ids:application", user="root")
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert "allow_root" in failure["message"]


def test_root_is_allowed_where_the_policy_says_so(emperor: Emperor) -> None:
    emperor.app("ids", IDS)
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("[policy]\nallow_root = true\n")
    port = emperor.drop("blog", app="ids:application", user="root")
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert ids(port)[0] == 0


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("http://127.0.0.1:80", "ports below 1024 are the host's"),
        ("uwsgi+unix:///run/stolen.sock", "may not write in /run"),
    ],
)
def test_tenant_may_not_bind_what_only_root_could(
    emperor: Emperor, listen: str, words: str
) -> None:
    emperor.app("hello")
    emperor.start()
    drop_as(emperor, "games", "blog", listen=[listen])
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert words in failure["message"]
    assert "/blog.toml:3: listen: " in failure["message"]
    assert not Path("/run/stolen.sock").exists()


def test_interpreter_that_the_user_cannot_execute_is_a_clear_error(emperor: Emperor) -> None:
    emperor.app("hello")
    closed = emperor.base / "closed"
    (closed / "bin").mkdir(parents=True)
    (closed / "bin" / "python").symlink_to("/usr/bin/python3")
    closed.chmod(0o700)
    emperor.drop("blog", python=str(closed))
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert "user nobody may not pass" in failure["message"]
    assert str(closed) in failure["message"]


def test_processes_have_only_the_descriptors_on_the_list(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    worker = status["workers"][0]["pid"]
    mold = next(pid for pid in children(status["pid"]) if pid != worker)

    def kinds(pid: int) -> list[str]:
        return sorted(what.split(":")[0] for what in fds_of(pid).values())

    # Output twice, the channel, the listener, the scoreboard.
    shared = ["/dev/null", "/memfd", "pipe", "pipe", "socket", "socket"]
    assert kinds(mold) == shared
    # And its own: the dump pipe, both ends of the wake-up pipe, epoll.
    assert kinds(worker) == sorted([*shared, "pipe", "pipe", "pipe", "anon_inode"])
    assert str(emperor.log_file) not in fds_of(worker).values()
    assert str(emperor.log_file) in fds_of(status["pid"]).values()  # stderr, for its own death


def test_rlimits_are_the_workers_and_not_the_masters(emperor: Emperor) -> None:
    emperor.app("hello")
    limits = '[limits]\nlimit_nofile = "64:128"\nlimit_core = "0"\nmemory_max = "256M"\n'
    emperor.drop("blog", text=limits, on_unsupported="warn")
    emperor.start()
    status = emperor.wait_state("blog", "ready")

    assert open_files_max(status["workers"][0]["pid"]) == ["64", "128"]
    assert open_files_max(status["pid"])[0] != "64"
    explained = emperor.ask("GET", "/v1/vassals/blog/explain")[1]["limits"]
    rows = {row["key"]: (row["value"], row["outcome"]) for row in explained}
    assert rows["limits.limit_nofile"] == ('"64:128"', "applied")
    lacking = {item["key"] for item in status["unsupported"]}
    assert (rows["limits.memory_max"][1] == "unsupported") == ("limits.memory_max" in lacking)


def test_other_users_see_and_steer_only_their_own(emperor: Emperor) -> None:
    from tests.support.control import emperor as command

    emperor.app("hello")
    emperor.start()
    drop_as(emperor, "games", "mine")
    emperor.drop("others")
    emperor.wait_state("mine", "ready")
    emperor.wait_state("others", "ready")
    where = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
    games = account("games").pw_uid
    listing = command("status", environ=where, user=games)
    assert "mine" in listing.stdout
    assert "others" not in listing.stdout
    assert command("reload", "others", environ=where, user=games).returncode == 1
    assert command("logs", "others", environ=where, user=games).returncode == 1
    assert command("reload", "mine", environ=where, user=games).returncode == 0


@pytest.mark.parametrize("kind", ["fifo", "folder", "huge", "binary", "link"])
def test_strange_files_are_refused_and_block_nobody(emperor: Emperor, kind: str) -> None:
    emperor.app("hello")
    path = emperor.vassals / "strange.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 30)
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    else:
        secret = emperor.base / "secret.toml"
        secret.write_text('app = "hello:application"\n')
        path.symlink_to(secret)
        os.chown(path, account("games").pw_uid, -1, follow_symlinks=False)
    emperor.start()
    port = emperor.drop("blog")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    failure = emperor.wait_state("strange", "parked")["last_failure"]
    assert str(path) in failure["message"]
