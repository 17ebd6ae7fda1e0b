"""What letters and signals ask for, and the pipe that the letters come through."""

import os
import signal
import stat
from pathlib import Path

import pytest

from vassal.master import report
from vassal.master.commands import INSTEAD, LETTERS, SIGNALS_WORDS, Command, by_letters, by_signal
from vassal.master.fifo import READ_MAX, Fifo
from vassal.master.scaling import CALM_S, Range, Sample, begin, nudge, review
from vassal.messages import Description, WorkerDescription

UWSGI_LETTERS = "+-BcCEflLpPqQrRsSwW"


class Pipe:
    """A fifo, with what it says and watches."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.watched: set[int] = set()
        self.fifo = Fifo(self.said.append, self.watched.add, self.watched.discard)


def tell(path: Path, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


# ── letters and signals ──────────────────────────────────────────────────────────────


def test_every_letter_of_uwsgi_does_something_or_says_what_does() -> None:
    assert set(LETTERS) | set(INSTEAD) == set(UWSGI_LETTERS)
    assert not set(LETTERS) & set(INSTEAD)


def test_same_said_twice_is_said_once_but_for_what_counts() -> None:
    found = by_letters("rwr+ss+-+ppp\n")
    assert found.commands == (
        (Command.RELOAD, "r"),
        (Command.STATISTICS, "s"),
        (Command.PAUSE, "p"),
    )
    assert (found.workers, found.strange) == (2, "")
    assert by_letters("pp+-").commands == ()
    assert by_letters("p" * 64 + "+" * READ_MAX).workers == READ_MAX


def test_last_number_counts_and_strange_letters_are_named_once() -> None:
    found = by_letters("1x2fx\u00e9")
    assert (found.slot, found.strange) == (2, "x\u00e9")
    assert [letter for letter, _ in found.instead] == ["f"]


def test_signals_ask_for_nothing_unless_the_file_says_so() -> None:
    assert by_signal("ignore") == by_signal("") == {}
    usual, dies = by_signal("uwsgi"), by_signal("uwsgi-die-on-term")
    assert usual[signal.SIGTERM] is dies[signal.SIGQUIT] is Command.RELOAD
    assert usual[signal.SIGQUIT] is dies[signal.SIGTERM] is Command.RESTART
    assert usual[signal.SIGINT] is dies[signal.SIGINT] is Command.RESTART
    assert set(SIGNALS_WORDS) == {"ignore", "uwsgi", "uwsgi-die-on-term"}


# ── the pipe ─────────────────────────────────────────────────────────────────────────


def test_pipe_is_there_reads_a_little_and_goes(tmp_path: Path) -> None:
    one, path = Pipe(), tmp_path / "a.fifo"
    one.fifo.keep(str(path))
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert one.fifo.read() == ""
    tell(path, b"r" * 100)
    assert one.fifo.read() == "r" * READ_MAX
    assert one.fifo.read() == "r" * (100 - READ_MAX)
    assert len(one.watched) == 1
    one.fifo.rest()
    assert not one.watched
    one.fifo.wake()
    one.fifo.close()
    assert (os.listdir(tmp_path), one.watched, one.said) == ([], set(), [])


def test_pipe_that_is_there_stays_and_one_that_is_not_comes_again(tmp_path: Path) -> None:
    one, path = Pipe(), tmp_path / "a.fifo"
    one.fifo.keep(str(path))
    first = path.lstat().st_ino
    one.fifo.keep(str(path))
    assert path.lstat().st_ino == first
    path.unlink()
    one.fifo.keep(str(path))
    assert path.is_fifo()
    one.fifo.close()


def test_another_masters_pipe_stays_when_this_one_goes(tmp_path: Path) -> None:
    old, new, path = Pipe(), Pipe(), tmp_path / "a.fifo"
    old.fifo.keep(str(path))
    new.fifo.keep(str(path))
    old.fifo.close()
    tell(path, b"r")
    assert new.fifo.read() == "r"
    new.fifo.close()


@pytest.mark.parametrize("kind", ["link", "link to a fifo", "folder", "socket", "file"])
def test_trap_is_neither_opened_nor_replaced(tmp_path: Path, kind: str) -> None:
    one, path, other = Pipe(), tmp_path / "a.fifo", tmp_path / "other"
    if kind == "link":
        path.symlink_to(other)
    elif kind == "link to a fifo":
        os.mkfifo(other)
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path.write_text("more than echo would have left")
    before = path.lstat()
    one.fifo.keep(str(path))
    assert path.lstat() == before
    assert one.said == [
        f"event=fifo_not_made path={str(path)!r} "
        "error='something else is there: remove it, or choose another path'"
    ]
    assert not one.watched
    assert sorted(os.listdir(tmp_path)) == sorted(
        {"a.fifo"} | ({"other"} if other.exists() else set())
    )


def test_older_pipe_and_what_echo_left_give_way(tmp_path: Path) -> None:
    for make in (os.mkfifo, lambda path: path.write_text("r\n")):
        one, path = Pipe(), tmp_path / "a.fifo"
        make(path)
        one.fifo.keep(str(path))
        tell(path, b"q")
        assert one.fifo.read() == "q"
        one.fifo.close()


def test_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    one = Pipe()
    one.fifo.keep(str(tmp_path / "none" / "a.fifo"))
    assert one.said == [
        f"event=fifo_not_made path='{tmp_path}/none/a.fifo' error='No such file or directory'"
    ]
    assert one.fifo.read() == ""
    one.fifo.close()


# ── what a master does of it by itself ───────────────────────────────────────────────


def test_one_worker_more_is_kept_until_the_load_has_been_calm() -> None:
    bounds = Range(1, 3)
    scale = nudge(begin(bounds, None, 0.0), bounds, 1, "letter +", 100.0)
    assert (scale.wanted, scale.why, scale.look_at) == (2, "letter +", 100.0 + CALM_S)
    idle = Sample(workers=2, busy=0, threads=1, waiting=0)
    scale = review(scale, bounds, idle, 100.0 + CALM_S)
    assert scale.wanted == 2
    assert review(scale, bounds, idle, 101.0 + 2 * CALM_S).wanted == 1


def test_never_more_than_most_or_than_granted_and_never_fewer_than_least() -> None:
    bounds = Range(1, 2)
    scale = begin(bounds, None, 0.0)
    assert nudge(nudge(scale, bounds, 1, "", 1.0), bounds, 1, "", 2.0).wanted == 2
    assert nudge(scale, bounds, -1, "", 1.0).wanted == 1
    narrow = Range(1, 8, granted=1)
    asked = nudge(scale, narrow, 1, "", 1.0)
    assert (asked.wanted, asked.asked) == (1, 2)


def test_statistics_are_lines_with_the_request_that_runs() -> None:
    row = WorkerDescription(
        slot=1, worker=1, generation=2, ns_pid=7, state="busy", requests=3, exceptions=1,
        harakiris=0, bytes_sent=9, running_s=0.5, age_s=61.4, method="GET", uri="/a",
    )  # fmt: skip
    found = Description(
        state="running", generation=2, newest=2, fingerprint="", serving=True, age_s=1.0,
        workers=(row,),
    )  # fmt: skip
    first, second = report.lines(found)
    assert first.startswith("event=statistics generation=2 workers=1 requests=0")
    assert second.endswith("bytes_sent=9 age_s=61 request='GET /a'")
