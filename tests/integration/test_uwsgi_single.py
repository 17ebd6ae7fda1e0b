"""`emperor uwsgi …` for one application: the same command line as the real uWSGI, the same
answers, and the same reaction to each signal."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.need import need_open_checkout, need_root
from tests.support.ports import free_port, is_bound
from tests.support.uwsgi_single import (
    ENVIRON,
    OURS,
    PROBE,
    REAL,
    Running,
    closed_to_others,
    program,
    running,
)
from tests.support.wait import wait_until
from tests.support.wires import ask_uwsgi


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that everybody may enter, with the application and a file for it."""
    with tempfile.TemporaryDirectory(prefix="single-") as name:
        base = Path(name)
        base.chmod(0o755)
        (base / "probe.py").write_text(PROBE)
        for inner in ("blog", "lib", "static"):
            (base / inner).mkdir()
        (base / "blog" / "__init__.py").touch()
        (base / "blog" / "wsgi.py").write_text(PROBE.replace('"one"', '"blog"'))
        (base / "static" / "a.txt").write_text("a file\n")
        yield base


@pytest.fixture(params=[REAL, OURS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LINES = {
    "file": "--http-socket 127.0.0.1:{port} --wsgi-file probe.py --master",
    "router": "--http 127.0.0.1:{port} --wsgi-file probe.py --master --processes 4 --threads 2",
    "module": "--http-socket 127.0.0.1:{port} --module blog.wsgi",
    "callable": "--http-socket 127.0.0.1:{port} -w probe --callable application -Mp2",
    "chdir": "--chdir blog --http-socket 127.0.0.1:{port} --wsgi-file wsgi.py -M --umask 027",
    "limits": "--http-socket 127.0.0.1:{port} -w probe:application --max-fd 300 --limit-as 4000"
    " --prio 3 -M",
    "env": "--http-socket 127.0.0.1:{port} --module=probe --env A=b --env C=$(HOME)"
    " --unenv UNWANTED",
    "placeholder": "--set where=blog --module %(where).wsgi --http-socket 127.0.0.1:{port}",
    "abbreviated": "--http-socket 127.0.0.1:{port} --wsgi-fil probe.py --proce 2",
    "path": "--http-socket 127.0.0.1:{port} --module probe --pythonpath lib --pp blog",
    "environ": "--http-socket 127.0.0.1:{port} --module probe --pp lib --env PYTHONPATH=blog",
    "inside": "--http-socket 127.0.0.1:{port} --module probe -M --mount /shop=blog.wsgi:application"
    " --manage-script-name",
    "ini": "--ini site.ini",
    "bare-ini": "site.ini --master",
    "section": "--ini sites.ini:shop --threads 2",
}
FILES = {
    "site.ini": "[uwsgi]\nhttp-socket = 127.0.0.1:{port}\nmodule = %n_wsgi\nenv = FILE=%p\n",
    "site_wsgi.py": PROBE,
    "sites.ini": "[blog]\nmodule = none\n[shop]\nhttp-socket = 127.0.0.1:{port}\n"
    "module = blog.wsgi\nenv = WHO=%x\n",
}


def answers(
    kind: str, folder: Path, port: int, words: list[str], environ: dict[str, str] | None = None
) -> list[Any]:
    wait_until(lambda: not is_bound(port), 10.0, "whoever listened before has gone")
    with running(kind, folder, port, *words, environ=environ) as one:
        found = []
        for path in ("/", "/a/b%20c?x=1", "/shop/x", "//y"):
            said = one.told(path)
            del said["pid"]
            said["path"] = list(dict.fromkeys(said["path"]))[:4]
            said["environ"].pop("PYTHONPATH", None)
            found.append(said)
        return found


@pytest.mark.parametrize("line", LINES)
def test_same_command_line_gives_the_same_answers(folder: Path, line: str) -> None:
    port = free_port()
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("{port}", str(port)))
    words = LINES[line].format(port=port).split()
    real = answers(REAL, folder, port, words)
    assert answers(OURS, folder, port, words) == real


VARIABLES = {
    "file": {"UWSGI_INI": "site.ini", "UWSGI_THREADS": "2", "UWSGI_MASTER": "true"},
    "none": {"UWSGI_HTTP_SOCKET": "127.0.0.1:{port}", "UWSGI_Module": "%(where).wsgi",
             "UWSGI_WHERE": "blog", "UWSGI_ENV": "A=b", "UWSGI_UMASK": "027"},
    "first": {"UWSGI_MODULE": "none", "UWSGI_HTTP_SOCKET": "127.0.0.1:{port}",
              "UWSGI_RELOADS": "1", "UWSGI_ENV": "A=environment", "UWSGI_UMASK": "027"},
}  # fmt: skip
WORDS = {"file": "", "none": "", "first": "--module blog.wsgi --env A=words --umask 077"}


@pytest.mark.parametrize("name", VARIABLES)
def test_same_variables_give_the_same_answers(folder: Path, name: str) -> None:
    port = free_port()
    for file, text in FILES.items():
        (folder / file).write_text(text.replace("{port}", str(port)))
    environ = {key: text.format(port=port) for key, text in VARIABLES[name].items()}
    words = WORDS[name].split()
    real = answers(REAL, folder, port, words, environ)
    assert answers(OURS, folder, port, words, environ) == real


def test_socket_speaks_uwsgi_and_has_the_mode_that_is_asked_for(kind: str, folder: Path) -> None:
    port = free_port()
    words = f"--socket a.sock -C660 --module blog.wsgi -M --http-socket 127.0.0.1:{port}"
    with running(kind, folder, port, *words.split()):
        status = (folder / "a.sock").stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o660
        assert b'"says": "blog"' in ask_uwsgi(str(folder / "a.sock"), "/x")[1]


# ── signals ──────────────────────────────────────────────────────────────────────────

RELOADS, ENDS, STAYS = "reloads", "ends", "stays"
MASTER = {
    "SIGHUP": RELOADS,
    "SIGTERM": RELOADS,
    "SIGINT": ENDS,
    "SIGQUIT": ENDS,
    "SIGUSR1": STAYS,
    "SIGURG": STAYS,
    "SIGWINCH": STAYS,
}
EVERY = [
    *((["--master"], name, what) for name, what in MASTER.items()),
    (["--master", "--die-on-term"], "SIGTERM", ENDS),
    (["--master", "--die-on-term"], "SIGQUIT", RELOADS),
    (["--master", "--die-on-term"], "SIGINT", ENDS),
    (["--master", "--die-on-term"], "SIGHUP", RELOADS),
    ([], "SIGTERM", ENDS),
    ([], "SIGINT", ENDS),
    ([], "SIGQUIT", ENDS),
    ([], "SIGUSR1", STAYS),
    ([], "SIGURG", STAYS),
    ([], "SIGWINCH", STAYS),
]


@pytest.fixture
def words(folder: Path) -> tuple[int, list[str]]:
    port = free_port()
    return port, ["--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "probe.py"]


@pytest.mark.parametrize(("more", "name", "what"), EVERY)
def test_same_reaction_to_each_signal(
    kind: str, folder: Path, words: tuple[int, list[str]], more: list[str], name: str, what: str
) -> None:
    with running(kind, folder, words[0], *words[1], *more) as one:
        before = one.worker()
        one.signal(getattr(signal, name))
        if what == ENDS:
            status = one.process.wait(10)
            # Without a master uWSGI's worker ends itself, with a status of its own.
            assert status == 0 or (kind == REAL and not more), one.log()
            assert not one.worker()
        elif what == RELOADS:
            wait_until(lambda: one.worker() not in (0, before), 15.0, f"anew\n{one.log()}")
            assert one.process.poll() is None
        else:
            time.sleep(1.0)
            assert (one.process.poll(), one.worker()) == (None, before)


def test_paused_application_lets_clients_wait(
    kind: str, folder: Path, words: tuple[int, list[str]]
) -> None:
    with running(kind, folder, words[0], *words[1], "--master") as one:
        one.signal(signal.SIGTSTP)
        wait_until(lambda: not one.worker(), 10.0, "nobody to answer")
        found: list[int] = []
        client = threading.Thread(target=lambda: found.append(one.get(timeout=20.0)[0]))
        client.start()
        time.sleep(0.5)
        assert not found
        one.signal(signal.SIGTSTP)
        client.join(20)
        assert found == [200]


# ── files ────────────────────────────────────────────────────────────────────────────


def anew(one: Running, before: int) -> None:
    wait_until(lambda: one.worker() not in (0, before), 15.0, f"new workers\n{one.log()}")


def test_reload_reads_the_file_again(kind: str, folder: Path) -> None:
    port = free_port()
    site = folder / "site.ini"
    text = f"[uwsgi]\nmaster = true\nhttp-socket = 127.0.0.1:{port}\nmodule = probe\nenv = A="
    site.write_text(text + "one\n")
    with running(kind, folder, port, "--ini", "site.ini") as one:
        assert one.told()["environ"]["A"] == "one"
        site.write_text(text + "two\n")
        one.signal(signal.SIGHUP)
        wait_until(
            lambda: one.worker() and one.told()["environ"]["A"] == "two", 15.0, "the changed file"
        )


def test_touched_file_reloads_and_the_pidfile_is_the_masters(
    kind: str, folder: Path, words: tuple[int, list[str]]
) -> None:
    touched = folder / "reload.txt"
    touched.touch()
    more = ["--master", "--touch-reload", str(touched), "--pidfile", str(folder / "blog.pid")]
    with running(kind, folder, words[0], *words[1], *more) as one:
        assert (folder / "blog.pid").read_text() == f"{one.process.pid}\n"
        before = one.worker()
        time.sleep(1.1)  # uWSGI compares whole seconds
        touched.touch()
        anew(one, before)


def test_units_steer_it_by_its_pidfile(
    kind: str, folder: Path, words: tuple[int, list[str]]
) -> None:
    def steered(option: str) -> int:
        return subprocess.run(
            [*program(kind), option, "blog.pid"], cwd=folder, check=False
        ).returncode

    with running(kind, folder, words[0], *words[1], "-M", "--pidfile", "blog.pid") as one:
        before = one.worker()
        assert steered("--reload") == 0
        anew(one, before)
        assert steered("--stop") == 0
        assert one.process.wait(10) == 0


def test_pidfile_of_a_user_stops_nobody_else(folder: Path, words: tuple[int, list[str]]) -> None:
    need_root()
    nobody = pwd.getpwnam("nobody").pw_uid
    with running(OURS, folder, words[0], *words[1], "-M", "--pidfile", "blog.pid") as one:
        theirs = folder / "theirs"
        theirs.mkdir()
        (theirs / "own.pid").write_text(f"{one.process.pid}\n")
        (theirs / "link.pid").symlink_to(folder / "blog.pid")
        for path in (theirs, theirs / "own.pid", theirs / "link.pid"):
            os.chown(path, nobody, nobody, follow_symlinks=False)
        os.link(folder / "blog.pid", theirs / "linked.pid")
        for name, problem in [
            ("own", "does not belong to the owner"),
            ("link", "symbolic links"),
            ("linked", "is not root's alone"),
        ]:
            done = run(folder, "--stop", str(theirs / f"{name}.pid"))
            assert done.returncode == 1
            assert problem in done.stderr
        assert one.process.poll() is None
        assert run(folder, "--stop", "none.pid").returncode == 1


def test_letters_of_the_fifo(kind: str, folder: Path, words: tuple[int, list[str]]) -> None:
    with running(kind, folder, words[0], *words[1], "-M", "--master-fifo", "blog.fifo") as one:
        before = one.worker()
        fifo = folder / "blog.fifo"
        wait_until(fifo.is_fifo, 5.0, "the fifo")
        fifo.write_text("r")
        anew(one, before)
        wait_until(fifo.is_fifo, 5.0, "the fifo")
        fifo.write_text("q")
        assert one.process.wait(10) == 0


def test_log_and_statistics(kind: str, folder: Path, words: tuple[int, list[str]]) -> None:
    more = ["-M", "--logto", "blog.log", "--stats", "stats.sock", "--cheaper", "1", "-p", "3"]
    with running(kind, folder, words[0], *words[1], *more) as one:
        one.get("/seen/in/the/log")
        log = folder / "blog.log"
        wait_until(lambda: "/seen/in/the/log" in log.read_text(), 5.0, "the line of a request")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "stats.sock"))
            assert b'"workers":' in client.recv(65536)


def test_lines_of_the_application_and_of_requests_are_as_they_are(
    kind: str, folder: Path, words: tuple[int, list[str]]
) -> None:
    said = 'import sys\nprint("to stdout", flush=True)\nprint("to stderr", file=sys.stderr)\n'
    (folder / "probe.py").write_text(said + PROBE)
    with running(kind, folder, words[0], *words[1], "-M") as one:
        one.get("/seen/in/the/log")
        wait_until(lambda: "/seen/in/the/log" in one.log(), 5.0, "the line of a request")
        lines = one.log().splitlines()
        assert {"to stdout", "to stderr"} <= set(lines)
        assert [line for line in lines if "/seen/in/the/log" in line and line.startswith("[pid: ")]


# ── root ─────────────────────────────────────────────────────────────────────────────


def test_root_binds_and_logs_and_is_given_up_before_anything_is_loaded(
    kind: str, folder: Path
) -> None:
    need_root()
    need_open_checkout()
    port = free_port()
    nobody = pwd.getpwnam("nobody")
    (folder / "who.py").write_text(f"import os\nLOADED_BY = os.getuid()\n{PROBE}")
    code = (folder / "who.py").read_text()
    (folder / "who.py").write_text(code.replace("SAYS = ", "SAYS = LOADED_BY  # "))
    more = ["--uid", "nobody", "--gid", "nogroup", "--logto", "root.log", "--pidfile", "root.pid"]
    line = ["--http-socket", f"127.0.0.1:{port}", "-M", "-w", "who"]
    with running(kind, folder, port, *line, *more) as one:
        said = one.told()
        assert said["says"] == nobody.pw_uid
        assert said["who"][:2] == [nobody.pw_uid, nobody.pw_gid]
        assert 0 not in said["who"][2]
        status = Path(f"/proc/{one.process.pid}/status").read_text()
        assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t" in status
        assert "CapEff:\t0000000000000000" in status
        # They could not have made these files in this folder.
        assert (folder / "root.log").stat().st_uid == 0
        assert (folder / "root.pid").read_text() == f"{one.process.pid}\n"
        one.signal(signal.SIGHUP)
        anew(one, int(said["pid"]))
        assert "not_written" not in one.log() + (folder / "root.log").read_text()


def test_application_need_not_be_able_to_read_emperord(folder: Path) -> None:
    need_root()
    port = free_port()
    line = ["--http-socket", f"127.0.0.1:{port}", "-M", "-w", "probe", "--uid", "nobody"]
    with running(OURS, folder, port, *line, start=closed_to_others(folder)) as one:
        assert one.told()["who"][0] == pwd.getpwnam("nobody").pw_uid
        one.signal(signal.SIGHUP)
        anew(one, int(one.told()["pid"]))


# ── what is not the same, and is said ────────────────────────────────────────────────


def run(folder: Path, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ours until it ends by itself."""
    whole = [*program(OURS), *words]
    return subprocess.run(
        whole,
        cwd=folder,
        env=ENVIRON,
        user=user,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    done = run(folder, "--http-socket", "x:y", "--processes", "-2", "--callable", "app")
    assert done.returncode == 1
    for key in ("http-socket", "processes", "module"):
        assert f"command line:1: {key}: " in done.stderr, done.stderr


def test_application_that_cannot_be_loaded_ends_it(folder: Path) -> None:
    done = run(folder, "--http-socket", f"127.0.0.1:{free_port()}", "--module", "nothing_here")
    assert done.returncode == 1
    assert "No module named 'nothing_here'" in done.stderr


def test_ordinary_user_cannot_become_another(folder: Path) -> None:
    need_root()
    need_open_checkout()
    line = ["--uid", "daemon", "--http-socket", f"127.0.0.1:{free_port()}", "--module", "probe"]
    done = run(folder, *line, user="nobody")
    assert done.returncode == 1
    assert 'cannot become "daemon"' in done.stderr


def test_daemonize_stays_in_the_foreground_and_says_what_to_write(
    folder: Path, words: tuple[int, list[str]]
) -> None:
    more = ["--daemonize", "blog.log", "--cron", "1 -1 -1 -1 -1 true", "--idle", "60"]
    with running(OURS, folder, words[0], *words[1], *more) as one:
        said = one.log()
        assert "daemonize = blog.log: unsupported: it stays in the foreground" in said
        assert "Type=notify" in said
        assert "cron = 1 -1 -1 -1 -1 true: unsupported: " in said
        assert "idle = 60: unsupported: it serves all the time" in said
        before = one.worker()
        one.signal(signal.SIGHUP)
        anew(one, before)
        assert one.log().count("stays in the foreground") == 1


def test_broken_code_and_a_broken_file_change_nothing_about_what_serves(folder: Path) -> None:
    port = free_port()
    site = folder / "site.ini"
    text = f"[uwsgi]\nmaster = true\nhttp-socket = 127.0.0.1:{port}\nmodule = probe\n"
    site.write_text(text)
    with running(OURS, folder, port, "site.ini") as one:
        before = one.worker()
        site.write_text(text + "processes = -2\n")
        one.signal(signal.SIGHUP)
        wait_until(lambda: "site.ini:5: processes: " in one.log(), 5.0, "what is wrong")
        site.write_text(text)
        (folder / "probe.py").write_text("nothing = here\n")
        one.signal(signal.SIGHUP)
        wait_until(lambda: "event=load_failed" in one.log(), 10.0, "what is wrong")
        assert one.worker() == before
        one.signal(signal.SIGINT)
        assert one.process.wait(10) == 0


def test_sockets_are_exchanged_by_a_reload_and_removed_at_the_end(folder: Path) -> None:
    port = free_port()
    site = folder / "site.ini"
    text = f"[uwsgi]\nmaster = true\nhttp-socket = 127.0.0.1:{port}\nmodule = probe\nsocket = "
    site.write_text(text + "a.sock\n")
    with running(OURS, folder, port, "site.ini") as one:
        site.write_text(text + "b.sock\n")
        one.signal(signal.SIGHUP)
        wait_until(lambda: not (folder / "a.sock").exists(), 15.0, f"a.sock to go\n{one.log()}")
        assert (folder / "b.sock").is_socket()
        one.signal(signal.SIGINT)
        assert one.process.wait(10) == 0
        assert not (folder / "b.sock").exists()


def test_systemd_is_told_when_it_serves(folder: Path, words: tuple[int, list[str]]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.settimeout(10)
        environ = {"NOTIFY_SOCKET": str(folder / "notify")}
        with running(OURS, folder, words[0], *words[1], "-M", environ=environ) as one:
            assert systemd.recv(1000).startswith(b"READY=1")
            assert "NOTIFY_SOCKET" not in one.told()["environ"]
            one.signal(signal.SIGHUP)
            assert systemd.recv(1000).startswith(b"RELOADING=1")
            assert systemd.recv(1000).startswith(b"READY=1")
            one.signal(signal.SIGQUIT)
            assert systemd.recv(1000) == b"STOPPING=1"


def test_socket_of_systemds_is_served_and_stays(folder: Path) -> None:
    path = folder / "blog.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        line = ["--http-socket", str(path), "--module", "probe", "-M"]
        with running(OURS, folder, str(path), *line, handed=listener) as one:
            before = one.worker()
            assert "LISTEN_FDS" not in one.told()["environ"]
            one.signal(signal.SIGHUP)
            anew(one, before)
            one.signal(signal.SIGINT)
            assert one.process.wait(10) == 0
        assert path.is_socket()
        # Whoever comes meanwhile waits for the next one.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_running_requests_are_finished_before_it_ends(
    folder: Path, words: tuple[int, list[str]]
) -> None:
    with running(OURS, folder, words[0], *words[1], "-M") as one:
        found: list[int] = []
        client = threading.Thread(target=lambda: found.append(one.get("/sleep/1.5")[0]))
        client.start()
        time.sleep(0.5)
        one.signal(signal.SIGINT)
        client.join(10)
        assert found == [200]
        assert one.process.wait(10) == 0


def test_idle_application_ends_if_it_shall(folder: Path, words: tuple[int, list[str]]) -> None:
    more = ["-M", "--idle", "1", "--die-on-idle"]
    with running(OURS, folder, words[0], *words[1], *more) as one:
        assert one.process.wait(10) == 0
