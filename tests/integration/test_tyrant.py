"""--emperor-tyrant: a vassal is its file's owner's, and nobody else's for one moment."""

import grp
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.processes import alive, open_files_max, pid_tree
from tests.support.uwsgi_emperor import emperor_uwsgi
from tests.support.wait import wait_until

# Each process that runs the file says whose it is and whose file it had.
SAYS = """
import os

with open("ran", "a") as ran:
    ran.write("%d %s\\n" % (os.getuid(), os.environ["WROTE"]))

def application(environ, start_response):
    start_response("200 OK", [])
    return [("%d %s" % (os.getuid(), os.environ["WROTE"])).encode()]
"""
REPLACED = 300


@pytest.fixture(autouse=True)
def only_root_has_tenants() -> None:
    need_root()


@pytest.fixture
def ran(emperor: Emperor) -> Path:
    """Return the file that holds a line for each process that ran the application."""
    emperor.app("says", SAYS)
    path = emperor.apps / "ran"
    path.touch()
    path.chmod(0o666)
    return path


def uid_of(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def text_of(one: Emperor, port: int, owner: str) -> str:
    return (
        f"[uwsgi]\nchdir = {one.apps}\nmodule = says\nhttp-socket = 127.0.0.1:{port}\n"
        f"env = WROTE={owner}\n"
    )


def put(one: Emperor, port: int, owner: str, name: str = "blog.ini") -> None:
    """Let a file with this owner appear at once, as a whole."""
    new = one.base / f".{name}.{owner}"
    new.write_text(text_of(one, port, owner))
    os.chown(new, uid_of(owner), -1)
    new.rename(one.vassals / name)


def tyrant(one: Emperor) -> list[str]:
    return ["--emperor", str(one.vassals), "--emperor-tyrant"]


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def processes_of(one: Emperor, name: str) -> list[int]:
    """Return the master of a vassal and all below it."""
    master = one.vassal(name)["pid"]
    assert master
    return [master, *pid_tree(master)]


def uids_of(pid: int) -> set[int]:
    """Return the real, effective, saved and file system uid of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return set(map(int, line.split()[1:]))
    raise AssertionError(pid)


def lines_of(ran: Path) -> set[str]:
    return set(ran.read_text().splitlines())


@pytest.fixture
def blog(emperor: Emperor, ran: Path) -> Iterator[tuple[int, list[int]]]:
    """Yield the port and the processes of a vassal whose file is nobody's."""
    port = free_port()
    put(emperor, port, "nobody")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        emperor.wait_state("blog", "ready")
        assert get(port)[1] == f"{uid_of('nobody')} nobody".encode()
        found = processes_of(emperor, "blog")
        assert len(found) >= 3
        assert set().union(*map(uids_of, found)) == {uid_of("nobody")}
        yield port, found


def test_file_that_is_given_to_root_stops_what_ran_of_it(
    emperor: Emperor, blog: tuple[int, list[int]], ran: Path
) -> None:
    port, before = blog
    os.chown(emperor.vassals / "blog.ini", 0, 0)
    wait_until(lambda: not any(map(alive, before)), 20.0, "the old processes are gone")
    wait_until(lambda: is_refused(port), what="nobody listens there")
    assert "belongs to root" in emperor.vassal("blog")["last_failure"]["message"]
    assert not emperor.vassal("blog")["workers"]
    assert lines_of(ran) == {f"{uid_of('nobody')} nobody"}


def test_file_that_is_given_to_another_user_is_served_by_that_one_alone(
    emperor: Emperor, blog: tuple[int, list[int]], ran: Path
) -> None:
    port, before = blog
    os.chown(emperor.vassals / "blog.ini", uid_of("games"), -1)
    served = f"{uid_of('games')} nobody".encode()  # the text is as it was
    wait_until(lambda: not is_refused(port) and get(port)[1] == served, 20.0, "the new owner's")
    wait_until(lambda: not any(map(alive, before)), 20.0, "the old processes are gone")
    emperor.wait_state("blog", "ready")
    assert emperor.vassal("blog")["user"] == "games"
    after = processes_of(emperor, "blog")
    assert not set(after) & set(before)
    assert set().union(*map(uids_of, after)) == {uid_of("games")}
    assert {get(port)[1] for _ in range(10)} == {served}


def test_file_that_changes_its_owner_all_the_time_runs_as_none_but_who_wrote_it(
    emperor: Emperor, ran: Path
) -> None:
    port = free_port()
    owners = ("root", "nobody", "games")
    ready = {owner: emperor.base / f"{owner}.text" for owner in owners}
    for owner, path in ready.items():
        path.write_text(text_of(emperor, port, owner))
        os.chown(path, uid_of(owner), -1)
    allowed = {f"{uid_of(owner)} {owner}" for owner in owners if owner != "root"}
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        for number in range(REPLACED):
            owner = owners[number % len(owners)]
            link = emperor.base / "next"
            os.link(ready[owner], link)
            link.replace(emperor.vassals / "blog.ini")
            if number % 10 < 3:  # often enough something has to come of it
                wait_until(
                    lambda: emperor.vassal("blog").get("state") not in (None, "absent"),
                    what="it is seen",
                )
            assert lines_of(ran) <= allowed
        (emperor.vassals / "blog.ini").unlink()
        put(emperor, port, "games")
        wait_until(
            lambda: not is_refused(port) and get(port)[1] == f"{uid_of('games')} games".encode(),
            20.0,
            "the last one serves",
        )
        emperor.wait_state("blog", "ready")
        assert set().union(*map(uids_of, processes_of(emperor, "blog"))) == {uid_of("games")}
    assert lines_of(ran)
    assert lines_of(ran) <= allowed


@pytest.mark.parametrize("whose", ["root", "nobody"])
def test_link_to_roots_file_runs_for_nobody(emperor: Emperor, ran: Path, whose: str) -> None:
    port = free_port()
    target = emperor.base / "roots.ini"
    target.write_text(text_of(emperor, port, "root"))
    link = emperor.vassals / "blog.ini"
    link.symlink_to(target)
    os.chown(link, uid_of(whose), -1, follow_symlinks=False)
    put(emperor, free_port(), "games", "shop.ini")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        emperor.wait_state("shop", "ready")
        failure = emperor.wait_state("blog", "parked")["last_failure"]["message"]
        expected = "belongs to root" if whose == "root" else "symbolic link of uid"
        assert expected in failure
        assert is_refused(port)
    assert lines_of(ran) == {f"{uid_of('games')} games"}


PLAN = """
[policy]
tyrant = true
[owner.games]
plan = "small"
[plan.small]
workers = 2
on_unsupported = "warn"
[plan.small.limits]
memory_max = "256M"
limit_nofile = "200:300"
[plan.small.sandbox]
private_tmp = true
private_pids = true
"""


def test_owners_plan_holds_for_a_file_in_uwsgis_dialect(emperor: Emperor, ran: Path) -> None:
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(PLAN)
    port, other = free_port(), free_port()
    put(emperor, port, "games")
    put(emperor, other, "nobody", "other.ini")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_state("other", "ready")
    assert get(port)[1] == f"{uid_of('games')} games".encode()
    workers = emperor.vassal("blog")["workers"]
    assert len(workers) == 2
    for worker in workers:
        assert open_files_max(worker["pid"]) == ["200", "300"]
    (free,) = emperor.vassal("other")["workers"]
    assert open_files_max(free["pid"]) != ["200", "300"]
    for kind in ("mnt", "pid"):
        assert namespace(workers[0]["pid"], kind) != namespace(os.getpid(), kind)
    explained = emperor.ask("GET", "/v1/vassals/blog/explain")[1]["limits"]
    rows = {row["key"]: row["value"] for row in explained}
    assert rows["limits.memory_max"] == '"256M"'
    assert rows["limits.limit_nofile"] == '"200:300"'
    more = emperor.vassals / "blog.ini"
    put(emperor, port, "games")
    lines = "processes = 3\nmax-fd = 2000000\nprio = -5\n"
    more.write_text(text_of(emperor, port, "games") + lines)
    wait_until(
        lambda: 'plan "small" grants' in str(emperor.vassal("blog")["unsupported"]),
        what="more than the plan is told",
    )
    emperor.wait_state("blog", "ready")
    workers = emperor.vassal("blog")["workers"]
    assert len(workers) == 2
    assert open_files_max(workers[0]["pid"]) == ["300", "300"]


def test_limits_that_the_kernel_refuses_do_not_count(emperor: Emperor, ran: Path) -> None:
    port = free_port()
    new = emperor.base / "new"
    lines = "max-fd = 2000000\nlimit-nproc = 5000000\nprio = -5\n"
    new.write_text(text_of(emperor, port, "games") + lines)
    os.chown(new, uid_of("games"), -1)
    new.rename(emperor.vassals / "blog.ini")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        vassal = emperor.wait_state("blog", "ready")
        assert get(port)[1] == f"{uid_of('games')} games".encode()
        said = {one["key"] for one in vassal["unsupported"]}
        assert said >= {"max-fd", "prio"}, vassal["unsupported"]


def test_tenants_lines_are_in_its_own_log_though_its_file_names_the_emperors(
    emperor: Emperor, ran: Path
) -> None:
    emperor.app("says", "print('what a tenant says', flush=True)\n" + SAYS)
    new = emperor.base / "new"
    new.write_text(text_of(emperor, free_port(), "games") + "logto = /dev/stdout\n")
    os.chown(new, uid_of("games"), -1)
    new.rename(emperor.vassals / "blog.ini")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        emperor.wait_state("blog", "ready")
        wait_until(lambda: "a tenant says" in emperor.vassal_log("blog"), what="the line")
        assert "a tenant says" not in emperor.log()
        assert "is the emperor's own log" in emperor.unsupported("blog")["logto"]


def test_tenant_may_open_as_many_files_as_the_emperors_own_max_fd_says(
    emperor: Emperor, ran: Path
) -> None:
    new = emperor.base / "new"
    new.write_text(text_of(emperor, free_port(), "games") + "max-fd = 6000\n")
    os.chown(new, uid_of("games"), -1)
    new.rename(emperor.vassals / "blog.ini")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        vassal = emperor.wait_state("blog", "ready")
        assert open_files_max(vassal["workers"][0]["pid"]) == ["4096", "4096"]
        said = emperor.unsupported("blog")["max-fd"]
        assert "it has 4096:4096; to grant more, write max-fd = 6000 for the emperor" in said
    with emperor_uwsgi(emperor, *tyrant(emperor), "--max-fd", "6000"):
        vassal = emperor.wait_state("blog", "ready")
        assert open_files_max(vassal["workers"][0]["pid"]) == ["6000", "6000"]
        assert "max-fd" not in emperor.unsupported("blog")


def test_accounts_of_a_tenants_file_do_not_count_and_are_told(emperor: Emperor, ran: Path) -> None:
    port = free_port()
    new = emperor.base / "new"
    new.write_text(text_of(emperor, port, "games") + "uid = www-data\ngid = www-data\n")
    os.chown(new, uid_of("games"), -1)
    new.rename(emperor.vassals / "blog.ini")
    with emperor_uwsgi(emperor, *tyrant(emperor)):
        vassal = emperor.wait_state("blog", "ready")
        assert get(port)[1] == f"{uid_of('games')} games".encode()
        said = {one["key"]: one["reason"] for one in vassal["unsupported"]}
        assert 'may not run as "www-data": it runs as the file\'s owner does' in said["uid"]
        assert 'is not a member of "www-data"' in said["gid"]


@pytest.mark.parametrize("trusted", [False, True])
def test_group_of_a_file_counts_if_the_provider_says_so(
    emperor: Emperor, ran: Path, trusted: bool
) -> None:
    emperor.config_file = emperor.base / "emperor.toml"
    more = 'tyrant_groups = ["www-data"]\n' if trusted else ""
    emperor.config_file.write_text("[policy]\ntyrant = true\n" + more)
    path = emperor.base / "sockets" / "blog.sock"
    path.parent.mkdir()
    os.chown(path.parent, uid_of("games"), -1)
    new = emperor.base / "new"
    lines = f"socket = {path}\nchmod-socket = 660\n"
    new.write_text(text_of(emperor, free_port(), "games") + lines)
    www_data = grp.getgrnam("www-data").gr_gid
    os.chown(new, uid_of("games"), www_data)
    new.rename(emperor.vassals / "blog.ini")
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    own = pwd.getpwnam("games").pw_gid
    assert vassal["gid"] == path.stat().st_gid == (www_data if trusted else own)
    assert Path(f"/proc/{vassal['pid']}").stat().st_gid == vassal["gid"]
    said = [one["reason"] for one in vassal["unsupported"] if one["key"] == "group"]
    assert bool(said) is not trusted
    if trusted:
        os.chown(emperor.vassals / "blog.ini", -1, own)
        wait_until(lambda: emperor.vassal("blog")["gid"] == own, what="the file's new group")
        wait_until(lambda: path.stat().st_gid == own, what="its socket's")
    else:
        assert 'tyrant_groups = ["www-data"]' in said[0]


def namespace(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")
