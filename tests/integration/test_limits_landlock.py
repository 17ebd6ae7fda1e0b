"""Landlock on real processes: as root, and just as well as an ordinary user without namespaces."""

import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from limits.apply import apply
from limits.confinement import Confinement
from limits.directives import Sandbox, Subject
from limits.facts import probe
from limits.landlock import ABI_MIN, ABI_SCOPES, LandlockRules
from limits.landlock_rules import landlock_rules
from limits.plan import plan
from tests.support.confined import ROOT, run_python
from tests.support.forked import run_forked
from tests.support.fuse import FallingSilent
from tests.support.need import need, need_root


@pytest.fixture(autouse=True)
def _landlock():
    need(probe().landlock_abi >= ABI_MIN, "needs Landlock, ABI 2 or newer")


@pytest.fixture
def area():
    """Make a folder that is not below /tmp, which every rule leaves writable."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".landlock-") as path:
        for name in ("home", "home/a", "home/b", "other"):
            Path(path, name).mkdir()
        Path(path, "other", "file").write_text("secret")
        yield Path(path)


def subject(*homes):
    # The interpreter and what it loads are the checkout's.
    seen = ((str(ROOT / ".venv"), False), (os.path.realpath(sys.prefix), False))
    return Subject(vassal="v", customer="c", uid=1, gid=1, groups=(), homes=(*seen, *homes))


def locked(area, namespaces=False, **keys):
    sandbox = msgspec.structs.replace(Sandbox(), **keys)
    return landlock_rules(sandbox, subject((str(area / "home"), True)), namespaces)


def attempt(function, *arguments):
    """Return the errno of a call, 0 = it succeeded."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


def under(rules, child):
    """Return what `child` returns under `rules`, in a process of its own."""

    def confined():
        if rules is not None:
            asked = Confinement(no_new_privs=True, landlock=rules)
            made = plan(asked, probe())
            assert [u for u in made.unsupported if "needs" in u.reason] == []
            apply(made.steps)
        return child()

    return run_forked(confined)


def write(path):
    Path(path).write_text("x")


@pytest.mark.parametrize("namespaces", [True, False])
def test_what_is_outside_cannot_be_changed_and_what_is_inside_can(area, namespaces):
    home, other = area / "home", area / "other"

    def child():
        outside = [
            attempt(write, other / "file"),
            attempt(write, other / "new"),
            attempt(os.mkdir, other / "folder"),
            attempt(os.unlink, other / "file"),
            attempt(os.symlink, "x", other / "link"),
            attempt(os.rename, home / "b", other / "b"),
            attempt(os.mkfifo, other / "fifo"),
        ]
        inside = [
            attempt(write, home / "file"),
            attempt(write, home / "file"),
            attempt(os.mkdir, home / "folder"),
            attempt(os.symlink, "x", home / "link"),
            attempt(os.mkfifo, home / "fifo"),
            attempt(os.unlink, home / "link"),
            attempt(os.rmdir, home / "folder"),
        ]
        return [outside, inside]

    outside, inside = under(locked(area, namespaces), child)

    assert outside[:5] == [errno.EACCES] * 5
    assert outside[5] in (errno.EACCES, errno.EXDEV)
    assert outside[6] == errno.EACCES
    assert inside == [0] * 7
    (home / "file").unlink()
    (home / "fifo").unlink()
    free = under(None, child)
    assert free == [[0] * 7, [0] * 7]


def test_file_outside_cannot_be_emptied(area):
    need(probe().landlock_abi >= 3, "needs Landlock ABI 3")
    path = area / "other" / "file"

    assert under(locked(area), lambda: attempt(os.truncate, path, 0)) == errno.EACCES
    assert path.read_text() == "secret"
    assert under(None, lambda: attempt(os.truncate, path, 0)) == 0


def test_rename_and_link_work_across_folders_of_one_home(area):
    home = area / "home"

    def child():
        write(home / "a" / "file")
        return [
            attempt(os.rename, home / "a" / "file", home / "b" / "file"),
            attempt(os.link, home / "b" / "file", home / "a" / "again"),
            attempt(os.rename, home / "a", home / "b" / "a"),
            (home / "b" / "a" / "again").exists(),
        ]

    assert under(locked(area), child) == [0, 0, 0, True]


def test_without_namespaces_hidden_places_are_neither_read_nor_listed(area):
    secret = area / "other"
    rules = locked(area, inaccessible_paths=(str(secret),))

    def child():
        return [
            attempt((secret / "file").read_text),
            attempt(os.listdir, secret),
            attempt(os.listdir, area / "home"),
            attempt(Path("/etc/passwd").read_text),
            attempt(os.listdir, "/usr"),
        ]

    assert under(rules, child) == [errno.EACCES, errno.EACCES, 0, 0, 0]
    assert under(None, child) == [0] * 5


def test_without_namespaces_the_users_own_home_is_closed(area):
    home = Path.home()
    need(home.is_relative_to("/home") or str(home) == "/root", "needs a home in the usual place")

    def child():
        return attempt(os.listdir, home)

    assert under(None, child) == 0
    assert under(locked(area), child) == errno.EACCES
    assert under(locked(area, protect_home="no"), child) == 0


def test_read_only_path_inside_a_home_stays_as_it_is(area):
    home = area / "home"
    write(home / "a" / "file")
    rules = locked(area, read_only_paths=(str(home / "a"),))

    def child():
        return [
            attempt(write, home / "a" / "file"),
            attempt(write, home / "a" / "new"),
            attempt(os.rename, home / "a", home / "b" / "a"),
            attempt(write, home / "b" / "new"),
            attempt((home / "a" / "file").read_text),
        ]

    found = under(rules, child)

    assert found[:2] == [errno.EACCES] * 2
    assert found[2] in (errno.EACCES, errno.EXDEV)
    assert found[3:] == [0, 0]


def test_symlink_to_a_hidden_place_hides_that_place(area):
    (area / "alias").symlink_to("other")
    rules = locked(area, inaccessible_paths=(str(area / "alias"),))

    assert under(rules, lambda: attempt((area / "other" / "file").read_text)) == errno.EACCES


def test_nothing_is_executed_below_a_no_exec_path(area):
    program = area / "home" / "a" / "true"
    shutil.copy("/bin/true", program)
    rules = locked(area, no_exec_paths=(str(area / "home"),))

    def child():
        spawned = attempt(os.posix_spawn, str(program), ["true"], {})
        usual = attempt(os.posix_spawn, "/bin/true", ["true"], {})
        while attempt(os.wait) == 0:
            pass
        return [spawned, usual]

    assert under(rules, child) == [errno.EACCES, 0]
    assert under(locked(area), child) == [0, 0]


def test_less_strict_systems_are_writable_where_they_say(area):
    file = area / "other" / "file"

    def child():
        return [attempt(write, file), attempt(os.open, "/usr", os.O_TMPFILE | os.O_WRONLY)]

    usr_free = under(None, child)[1]
    for protect_system in ("no", "true", "full"):
        rules = locked(area, protect_system=protect_system, protect_home="no")
        written, usr = under(rules, child)
        assert written == 0
        assert usr == (usr_free if protect_system == "no" else errno.EACCES)


def test_signals_do_not_leave_the_domain(area):
    need(probe().landlock_abi >= ABI_SCOPES, "needs Landlock ABI 6")
    outside = os.getpid()

    def child():
        inside = os.fork()
        if inside == 0:
            signal.pause()
        answers = [attempt(os.kill, outside, 0), attempt(os.kill, inside, signal.SIGKILL)]
        os.waitpid(inside, 0)
        return answers

    assert under(locked(area), child) == [errno.EPERM, 0]
    assert under(None, child) == [0, 0]


def test_abstract_sockets_outside_are_out_of_reach_and_those_with_a_path_are_not(area):
    need(probe().landlock_abi >= ABI_SCOPES, "needs Landlock ABI 6")
    with (
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
        tempfile.TemporaryDirectory() as folder,
    ):
        abstract.bind(f"\0landlock-{os.getpid()}")
        named.bind(f"{folder}/s")
        abstract.listen(), named.listen()

        def child():
            with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
                return [
                    attempt(one.connect, abstract.getsockname().decode()),
                    attempt(two.connect, named.getsockname()),
                ]

        assert under(locked(area), child) == [errno.EPERM, 0]
        assert under(None, child) == [0, 0]


def test_process_outside_cannot_be_traced(area):
    me = os.getpid()

    def child():
        return attempt(os.open, f"/proc/{me}/mem", os.O_RDONLY)

    free = under(None, child)
    need(free == 0, "needs a machine where a process may look into its parent")

    assert under(locked(area), child) in (errno.EACCES, errno.EPERM)


def test_without_network_there_is_no_tcp_but_an_inherited_listener_still_accepts(area):
    need(probe().landlock_abi >= 4, "needs Landlock ABI 4")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):

            def child():
                listener.accept()
                with socket.socket() as one, socket.socket() as two:
                    return [attempt(one.bind, ("127.0.0.1", 0)), attempt(two.connect, address)]

            assert under(locked(area, network="none"), child) == [errno.EACCES] * 2
        with socket.create_connection(address):
            assert under(locked(area), child) == [0, 0]


USUAL = """
import json, multiprocessing, os, sqlite3, subprocess, sys, tempfile
from multiprocessing import shared_memory
done = []
with tempfile.NamedTemporaryFile() as file:
    done.append(file.name.startswith(("/tmp", "/var/tmp")))
base = sqlite3.connect("base")
base.execute("pragma journal_mode=wal"), base.execute("create table t (x)"), base.commit()
base.close()
done.append(os.path.exists("base"))
block = shared_memory.SharedMemory(create=True, size=100)
block.close(), block.unlink()
with multiprocessing.get_context("fork").Pool(2) as pool:
    done.append(pool.map(abs, [-1]) == [1])
with open("/dev/null", "w") as null:
    done.append(subprocess.run(["/bin/echo"], stdout=null).returncode == 0)
with open("/proc/self/comm", "w") as comm:
    comm.write("renamed")
with open("/proc/self/oom_score_adj", "r+") as score:
    value = score.read()
    score.seek(0), score.write(value)
master, slave = os.openpty()
done.append(os.isatty(slave) and os.get_terminal_size(slave).columns == 0)
with open("/dev/stdout", "w") as out:
    pass
print(json.dumps(done))
"""


@pytest.mark.parametrize("namespaces", [True, False])
def test_programs_find_everything_they_usually_need(area, namespaces):
    asked = Confinement(no_new_privs=True, landlock=locked(area, namespaces))

    done = run_python(USUAL, asked, cwd=str(area / "home")).json()

    assert done == [True] * 5


def test_virtualenv_with_pip_is_made_in_the_home(area):
    home = area / "home"
    asked = Confinement(no_new_privs=True, landlock=locked(area))
    code = """
import json, subprocess, sys
for command in (
    [sys.executable, "-m", "venv", "venv"],
    ["venv/bin/python", "-m", "pip", "--version"],
):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
print(json.dumps("pip" in done.stdout))
"""
    assert run_python(code, asked, cwd=str(home)).json() is True
    assert (home / "venv" / "bin" / "pip").exists()


def test_missing_paths_are_passed_over(area):
    rules = LandlockRules(
        writable=("/nonexistent", str(area / "home")), hidden=("/nonexistent/too",)
    )

    assert under(rules, lambda: attempt(write, area / "home" / "file")) == 0


def test_plan_says_what_this_kernel_does_not_restrict(area):
    rules = locked(area, network="none")
    facts = msgspec.structs.replace(probe(), landlock_abi=2)
    asked = Confinement(no_new_privs=True, landlock=rules)

    made = plan(asked, facts)

    assert made.degraded_keys() == {"landlock"}
    assert "ABI 2 does not restrict truncate(2)" in made.unsupported[0].reason

    def child():
        apply(made.steps)
        path = area / "other" / "file"
        return [attempt(write, path), attempt(os.truncate, path, 3), attempt(os.kill, 1, 0)]

    # Rules of an old ABI hold on a new kernel, and no more than they.
    assert run_forked(child)[:2] == [errno.EACCES, 0]


def test_silent_file_system_beside_what_is_hidden_holds_nobody_up():
    need_root()
    with FallingSilent(touch="1") as remote:
        beside = remote.path.parent / "hidden"
        beside.mkdir()
        rules = LandlockRules(hidden=(str(beside),))
        remote.fall_silent()
        began = time.monotonic()
        errors = under(rules, lambda: [attempt(os.listdir, beside), attempt(os.listdir, "/usr")])
        assert errors == [errno.EACCES, 0]
        assert time.monotonic() - began < 10
        remote.answer_again()
        beside.rmdir()
