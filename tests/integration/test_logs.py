"""What an application prints reaches its log, safely and at a bounded rate."""

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.control import emperor as command_line
from tests.support.control import emperor_command
from tests.support.emperor import Emperor, get
from tests.support.need import need, need_root
from tests.support.wait import wait_until
from vassal.master import sinks

PRINTS = """
import os, sys, time

print("loading")

def application(environ, start_response):
    words = environ["PATH_INFO"].split("/")
    if words[1] == "lines":
        start, count, size = map(int, words[2:5])
        sys.stdout.write("".join(
            ("line %06d " % number).ljust(size - 1, "x") + "\\n"
            for number in range(start, start + count)
        ))
        sys.stdout.flush()
    if words[1] == "raw":
        os.write(2, bytes.fromhex(words[2]))
    if words[1] == "say":
        print(words[2])
        print(words[2], file=sys.stderr)
        print(words[2], file=environ["wsgi.errors"])
    if words[1] == "make":
        os.mkfifo(words[2].replace("!", "/"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


def prints(emperor: Emperor, **keys: Any) -> int:
    emperor.app("prints", PRINTS)
    port = emperor.drop("blog", app="prints:application", **keys)
    emperor.start()
    emperor.wait_state("blog", "ready")
    return port


def tenants_folder(emperor: Emperor) -> Path:
    folder = emperor.base / "tenant"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    return folder


def test_everything_printed_is_in_the_vassals_file(emperor: Emperor) -> None:
    port = prints(emperor)
    assert get(port, "/say/hello")[0] == 200
    wait_until(lambda: emperor.vassal_log("blog").count("hello\n") == 3, what="three lines")
    assert emperor.vassal_log("blog").startswith("loading\n")


def test_log_belongs_to_the_tenant_and_to_no_other(emperor: Emperor) -> None:
    need_root()
    prints(emperor)
    path = emperor.runtime_dir / "log" / "blog" / "blog.log"
    wait_until(path.exists, what="the log")
    assert path.stat().st_uid == 65534
    assert path.stat().st_mode & 0o007 == 0
    assert path.parent.stat().st_uid == 65534
    assert path.parent.stat().st_mode & 0o007 == 0


def test_control_characters_are_escaped(emperor: Emperor) -> None:
    port = prints(emperor)
    raw = b"a\x1b[31mred\rB\x00\x07\xff\xc2\x9bC\xe2\x80\xa8D\ttab\xc3\xa9\n"
    get(port, "/raw/" + raw.hex())
    log = wait_until(lambda: emperor.vassal_log("blog").partition("loading\n")[2], what="a line")
    assert log == "a\\x1b[31mred\\x0dB\\x00\\x07\\xff\\x9bC\\u2028D\ttab\u00e9\n"


def test_line_without_an_end_is_cut_and_costs_no_memory(emperor: Emperor) -> None:
    port = prints(emperor)
    for _ in range(6):
        get(port, "/raw/" + "41" * 8000)
    wait_until(lambda: len(emperor.vassal_log("blog")) > 40_000, what="the pieces")
    assert max(map(len, emperor.vassal_log("blog").splitlines())) <= 8192


def test_file_is_rotated_by_size_and_so_many_are_kept(emperor: Emperor) -> None:
    port = prints(emperor, **{"log.max_size": "10K", "log.keep": 2, "log.rate": 1_000_000})
    for start in range(0, 800, 20):
        get(port, f"/lines/{start}/20/100")
    folder = emperor.runtime_dir / "log" / "blog"
    names = ["blog.log", "blog.log.1", "blog.log.2"]
    wait_until(lambda: "line 000799" in emperor.vassal_log("blog"), what="the last line")
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all((folder / name).stat().st_size <= 10 * 1024 for name in names)
    text = "".join((folder / name).read_text() for name in reversed(names))
    numbers = [int(line.split()[1]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 800)), "no line is lost between the files"
    assert len(numbers) > 200


def test_flood_is_limited_and_what_was_dropped_is_counted(emperor: Emperor) -> None:
    port = prints(emperor, **{"log.rate": 50})
    for start in range(0, 20_000, 2000):
        assert get(port, f"/lines/{start}/2000/50")[0] == 200
    dropped = wait_until(
        lambda: emperor.vassal("blog")["totals"]["log_lines_dropped"], what="lines are dropped"
    )
    assert dropped > 19_000
    time.sleep(0.1)
    get(port, "/say/after")
    wait_until(lambda: "after\n" in emperor.vassal_log("blog"), what="the end")
    log = emperor.vassal_log("blog")
    counts = [int(line.partition("lines=")[2]) for line in log.splitlines() if "dropped" in line]
    written = log.count("line 0")
    assert sum(counts) + written == 20_000
    assert written < 1000


def test_flood_does_not_delay_harakiri(emperor: Emperor) -> None:
    emperor.app(
        "flood",
        "import os\n"
        "def application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/flood':\n"
        "        while True:\n"
        "            os.write(1, b'x\\n' * 2000)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'']\n",
    )
    port = emperor.drop("blog", app="flood:application", harakiri=0.5)
    emperor.start()
    emperor.wait_state("blog", "ready")
    began = time.monotonic()
    assert get(port, "/flood")[0] == 504
    assert 0.5 <= time.monotonic() - began < 1.5


def test_logs_command_shows_the_end_and_follows(emperor: Emperor) -> None:
    port = prints(emperor)
    get(port, "/lines/0/300/20")
    wait_until(lambda: "line 000299" in emperor.vassal_log("blog"), what="the last line")
    where = ("--runtime-dir", str(emperor.runtime_dir))
    shown = command_line("logs", "blog", "-n", "5", *where)
    assert shown.returncode == 0, shown.stderr
    assert [line.split()[1] for line in shown.stdout.splitlines()] == [
        f"{number:06}" for number in range(295, 300)
    ]
    assert command_line("logs", "nobody-knows", *where).returncode == 1
    following = subprocess.Popen(
        emperor_command("logs", "blog", "-f", "-n", "1", *where), stdout=subprocess.PIPE, text=True
    )
    try:
        assert following.stdout is not None
        assert following.stdout.readline().startswith("line 000299")
        get(port, "/say/news")
        assert following.stdout.readline() == "news\n"
    finally:
        following.terminate()
        following.communicate(timeout=10)


def test_reopen_follows_a_rotation_from_outside_for_one_and_for_all(emperor: Emperor) -> None:
    port = prints(emperor)
    other = emperor.drop("other", app="prints:application")
    emperor.drop("quiet", app="prints:application", **{"log.target": "inherit"})
    for name in ("other", "quiet"):
        emperor.wait_state(name, "ready")
    where = ("--runtime-dir", str(emperor.runtime_dir))
    folder = emperor.runtime_dir / "log"

    def move_away(name: str) -> Path:
        log = folder / name / f"{name}.log"
        return log.rename(log.with_suffix(".moved"))

    moved = move_away("blog")
    get(port, "/say/before")
    wait_until(lambda: moved.read_text().count("before") == 3, what="lines in the moved file")
    one = command_line("reopen", "blog", *where)
    assert (one.returncode, one.stderr) == (0, "")
    wait_until((folder / "blog" / "blog.log").exists, what="a new file")
    get(port, "/say/after")
    wait_until(lambda: emperor.vassal_log("blog").count("after\n") == 3, what="lines in it")
    assert "after" not in moved.read_text()

    for name in ("blog", "other"):
        move_away(name)
    everything = command_line("reopen", *where)
    assert (everything.returncode, everything.stdout) == (0, "opening 2 logs anew\n")
    for name, its_port in (("blog", port), ("other", other)):
        wait_until((folder / name / f"{name}.log").exists, what=f"a new file of {name}")
        get(its_port, "/say/again")
        wait_until(lambda name=name: "again\n" in emperor.vassal_log(name), what="lines in it")

    without = command_line("reopen", "quiet", *where)
    assert without.returncode == 1
    assert "quiet has no log file of its own" in without.stderr


def test_inherited_output_goes_to_the_emperors_own_with_the_name(emperor: Emperor) -> None:
    port = prints(emperor, **{"log.target": "inherit"})
    get(port, "/raw/" + b"evil\x1b[0m\nsecond\n".hex())
    wait_until(lambda: "vassal=blog second\n" in emperor.log(), what="the lines")
    assert "vassal=blog evil\\x1b[0m\n" in emperor.log()
    assert not (emperor.runtime_dir / "log" / "blog").exists()
    shown = command_line("logs", "blog", "--runtime-dir", str(emperor.runtime_dir))
    assert shown.returncode != 0
    assert "inherit" in shown.stderr


def test_inherited_output_that_nobody_reads_does_not_stop_the_vassal(emperor: Emperor) -> None:
    read, write = os.pipe()
    try:
        emperor.app("prints", PRINTS)
        port = emperor.drop("blog", app="prints:application", **{"log.target": "inherit"})
        own_log, emperor.log_file = emperor.log_file, Path(f"/proc/self/fd/{write}")
        emperor.spawn()
        emperor.log_file = own_log
        wait_until(emperor.answers, 20.0, "the emperor answers")
        emperor.wait_state("blog", "ready")
        for start in range(0, 4000, 1000):
            assert get(port, f"/lines/{start}/1000/100")[0] == 200
        assert emperor.vassal("blog")["state"] == "ready"
        wait_until(
            lambda: emperor.vassal("blog")["totals"]["log_lines_dropped"], what="lines are dropped"
        )
        assert emperor.process is not None
        emperor.process.terminate()
        assert emperor.process.wait(15) == 0
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_log_path_that_is_no_plain_file_is_refused_and_serving_goes_on(
    emperor: Emperor, kind: str
) -> None:
    folder = tenants_folder(emperor)
    path = folder / "app.log"
    target = emperor.base / "victim"
    target.write_text("precious\n")
    target.chmod(0o666)
    if kind == "symlink":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
        path.chmod(0o666)
    else:
        path.mkdir()
    port = prints(emperor, **{"log.target": str(path)})
    get(port, "/say/hello")
    assert target.read_text() == "precious\n"
    wait_until(lambda: "hello\n" in emperor.vassal_log("blog"), what="the file in log_dir")
    assert "event=log_unavailable" in emperor.log()
    assert "hello" not in emperor.log(), "a tenant chooses to write into the provider's log"
    said = emperor.unsupported("blog")["log.target"]
    assert said.startswith(f"{path}: ")
    assert said.endswith(f"lines go to {emperor.runtime_dir}/log/blog/blog.log")
    where = ("--runtime-dir", str(emperor.runtime_dir))
    assert said in command_line("explain", "blog", *where).stdout
    assert "hello" in command_line("logs", "blog", *where).stdout


def test_tenant_whose_own_file_is_in_the_way_writes_nowhere(emperor: Emperor) -> None:
    port = prints(emperor)
    own = emperor.runtime_dir / "log" / "blog" / "blog.log"
    wait_until(own.exists, what="the log")
    own.unlink()
    own.mkdir()
    emperor.do("restart", "blog")
    wait_until(lambda: "log.target" in emperor.unsupported("blog"), what="status says so")
    emperor.wait_state("blog", "ready")
    assert get(port, "/say/hello")[0] == 200
    wait_until(lambda: emperor.vassal("blog")["totals"]["log_lines_dropped"], what="it is counted")
    assert "hello" not in emperor.log()
    said = emperor.unsupported("blog")["log.target"]
    assert said == f"{own}: Is a directory; lines go nowhere"


def test_file_that_can_be_opened_again_is_used_again(emperor: Emperor) -> None:
    path = tenants_folder(emperor) / "app.log"
    path.mkdir()
    port = prints(emperor, **{"log.target": str(path)})
    assert "log.target" in emperor.unsupported("blog")
    path.rmdir()
    emperor.do("reload", "blog")
    wait_until(lambda: "log.target" not in emperor.unsupported("blog"), what="it is opened")
    get(port, "/say/hello")
    wait_until(lambda: "hello\n" in path.read_text(), what="a line")


def test_log_fifo_with_a_reader_is_refused_too(emperor: Emperor) -> None:
    folder = tenants_folder(emperor)
    path = folder / "app.log"
    os.mkfifo(path)
    path.chmod(0o666)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        prints(emperor, **{"log.target": str(path)})
        wait_until(lambda: "event=log_unavailable" in emperor.log(), what="it is told")
        assert os.read(reader, 100) == b"", "nobody writes, nothing was written"
    finally:
        os.close(reader)


def test_log_file_replaced_by_a_symlink_is_left_at_the_next_rotation(emperor: Emperor) -> None:
    """The tenant owns its log folder and may do in it what it likes."""
    port = prints(emperor, **{"log.max_size": "4K", "log.rate": 1_000_000})
    victim = emperor.base / "victim"
    victim.write_text("precious\n")
    victim.chmod(0o666)
    path = emperor.runtime_dir / "log" / "blog" / "blog.log"
    wait_until(path.exists, what="the log")
    path.unlink()
    path.symlink_to(victim)
    for start in range(0, 200, 20):
        assert get(port, f"/lines/{start}/20/100")[0] == 200
    wait_until(lambda: path.is_file() and not path.is_symlink(), what="a file of its own")
    assert victim.read_text() == "precious\n"


@pytest.mark.parametrize("requests", [None, "journal"])
def test_without_a_journal_lines_go_to_the_vassals_own_file_and_not_to_the_emperors(
    emperor: Emperor, requests: str | None
) -> None:
    need(not Path(sinks.JOURNAL).exists(), "needs a machine without a journal")
    port = prints(
        emperor, **{"log.target": "journal", **({"log.requests": requests} if requests else {})}
    )
    assert get(port, "/say/hello")[0] == 200
    wait_until(lambda: "hello" in emperor.vassal_log("blog"), what="the line")
    assert "hello" not in emperor.log()
    own = emperor.runtime_dir / "log" / "blog" / "blog.log"
    said = emperor.unsupported("blog")["log.target"]
    assert said == f"journal: No such file or directory; lines go to {own}"
    shown = command_line("logs", "blog", "--runtime-dir", str(emperor.runtime_dir))
    assert "hello" in shown.stdout


def test_journal_gets_each_line_as_a_record_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "journal")
    monkeypatch.setattr(sinks, "JOURNAL", path)
    with pytest.raises(OSError):
        sinks.open_sink("journal", "blog", 0, 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        journal.settimeout(5)
        sink = sinks.open_sink("journal", "blog", 0, 0)
        try:
            assert sink.write("MESSAGE=forged\u00e9")
            record = journal.recv(10_000)
            while sink.write("x" * 200):
                pass  # a journal that does not read: dropped, never waited for
        finally:
            sink.close()
    assert record == (
        b"SYSLOG_IDENTIFIER=vassal-blog\nEMPEROR_VASSAL=blog\nPRIORITY=6\n"
        b"MESSAGE\n\x10\0\0\0\0\0\0\0MESSAGE=forged\xc3\xa9\n"
    )
