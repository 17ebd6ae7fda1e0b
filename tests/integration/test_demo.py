"""The real `make demo` on a terminal of its own, by whoever runs the tests.

Its ports are fixed, 8000 and 8001: these tests fail, and say so, where somebody has them.
"""

import contextlib
import errno
import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import get
from tests.support.leftovers import stray_files
from tests.support.need import need_program, need_root
from tests.support.processes import alive, cmdline, pid_tree
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
HELLO_PORT, SLOW_PORT = 8000, 8001
SHOP_SOCKET = Path("/tmp/emperor-demo-shop.sock")

# `make demo` may have to make the virtualenv first, where the tests run in another one.
SET_UP_S = 240.0
STOP_S = 2.0

CTRL_C = b"\x03"

pytestmark = pytest.mark.timeout(SET_UP_S + 60)


class Demo:
    """`make demo` with a terminal, whose other end is in our hand."""

    def __init__(self, temporary: Path, root: Path = ROOT, command: str = "make demo") -> None:
        self.temporary = temporary
        self.screen = b""
        self._terminal, its_end = pty.openpty()
        os.set_blocking(self._terminal, False)
        try:
            # --ctty: the terminal on descriptor 0 becomes the one whose Ctrl-C it gets. make is
            # not the leader of the session, as it never is below somebody's shell.
            need_program("make")
            self.process = subprocess.Popen(
                [need_program("setsid"), "--ctty", "sh", "-c", f"{command}; exit $?"],
                cwd=root,
                stdin=its_end,
                stdout=its_end,
                stderr=its_end,
                env={**os.environ, "TMPDIR": str(temporary), "TERM": "xterm"},
            )
        finally:
            os.close(its_end)

    def text(self) -> str:
        """Return all that was shown until now."""
        while self._terminal >= 0:
            try:
                new = os.read(self._terminal, 65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:  # nobody holds the other end any more
                    raise
                break
            self.screen += new
        return self.screen.decode(errors="replace").replace("\r\n", "\n")

    def shows(self, word: str) -> bool:
        text = self.text()
        if word not in text and self.process.poll() is not None:
            raise AssertionError(f"make demo ended by itself:\n{text}")
        return word in text

    def wait_ready(self) -> None:
        wait_until(lambda: self.shows("event=emperor_ready"), SET_UP_S, "make demo serves")

    def press(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def family(self) -> list[int]:
        return [self.process.pid, *pid_tree(self.process.pid)]

    def seconds_until_gone(self, family: list[int]) -> float:
        """Wait until no process of `family` runs; return how long that took."""
        began = time.monotonic()

        def gone() -> bool:
            self.text()  # a full terminal would hold up whoever writes
            self.process.poll()
            return not any(map(alive, family))

        wait_until(gone, 20.0, f"all of it is gone; {[cmdline(p) for p in family if alive(p)]}")
        return time.monotonic() - began

    def end(self) -> None:
        """Leave nothing running, whatever the test came to."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.press(CTRL_C)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.hang_up()


@pytest.fixture(scope="module")
def turn() -> Iterator[None]:
    """Wait until no other process of this test run has the ports."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def running(*where: Any) -> Iterator[Demo]:
    for port in (HELLO_PORT, SLOW_PORT):
        if not is_free(port):
            pytest.fail(
                f"port {port} is taken, and make demo needs it: {holder(port)}", pytrace=False
            )
    with tempfile.TemporaryDirectory(prefix="demo-") as temporary:
        Path(temporary).chmod(0o755)  # as root its applications run as nobody
        one = Demo(Path(temporary), *where)
        try:
            yield one
        except BaseException:
            print(one.text())
            raise
        finally:
            one.end()


@pytest.fixture
def demo(turn: None, nothing_left_behind: None) -> Iterator[Demo]:
    with running() as one:
        yield one


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True


def holder(port: int) -> str:
    """Say who listens on `port`, if ss is there and may know."""
    with contextlib.suppress(FileNotFoundError):
        command = ["ss", "-Hltnp", f"sport = :{port}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout.strip() or "by whom is unknown"
    return "by whom is unknown"


def files_of_the_examples() -> list[str]:
    return stray_files(ROOT / "packaging")


def test_ctrl_c_stops_all_of_it_within_two_seconds_and_leaves_nothing(demo: Demo) -> None:
    before = files_of_the_examples()
    demo.wait_ready()
    for port in (HELLO_PORT, SLOW_PORT):
        assert f"http://127.0.0.1:{port}/" in demo.text(), "what is served where"
    assert str(SHOP_SOCKET) in demo.text()
    status, page = get(HELLO_PORT)
    assert status == 200
    assert b"It serves." in page
    assert SHOP_SOCKET.is_socket()
    family = demo.family()

    demo.press(CTRL_C)

    assert demo.seconds_until_gone(family) <= STOP_S
    assert "Traceback" not in demo.text()
    assert "Error" not in demo.text()
    assert not SHOP_SOCKET.exists()
    assert is_free(HELLO_PORT)
    assert is_free(SLOW_PORT)
    assert stray_files(demo.temporary) == []
    assert files_of_the_examples() == before


def test_ctrl_c_during_a_request_that_hangs_stops_within_two_seconds(demo: Demo) -> None:
    demo.wait_ready()
    with socket.create_connection(("127.0.0.1", SLOW_PORT), timeout=10) as client:
        client.sendall(b"GET /sleep?30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)  # less than the harakiri of two seconds: the request runs
        family = demo.family()
        demo.press(CTRL_C)
        assert demo.seconds_until_gone(family) <= STOP_S
    assert stray_files(demo.temporary) == []


def test_closed_terminal_stops_all_of_it(demo: Demo) -> None:
    demo.wait_ready()
    family = demo.family()
    demo.hang_up()
    demo.seconds_until_gone(family)
    assert stray_files(demo.temporary) == []
    assert not SHOP_SOCKET.exists()


def test_clone_that_only_root_can_read_is_served_from_a_copy(
    turn: None, nothing_left_behind: None, tmp_path: Path
) -> None:
    """Made under umask 077: the copy would be as closed as what it is a copy of."""
    need_root()
    closed = tmp_path / "closed"
    shutil.copytree(ROOT / "packaging", closed / "packaging", symlinks=True)
    (closed / ".venv").symlink_to(Path(sys.prefix))
    subprocess.run(["chmod", "-R", "go=", str(closed / "packaging")], check=True)
    closed.chmod(0o700)
    with running(closed, "packaging/dev/demo.sh") as demo:
        demo.wait_ready()
        wait_until(lambda: get(HELLO_PORT)[0] == 200, what="the copy is served")


def test_command_that_is_shown_reads_its_status(demo: Demo) -> None:
    demo.wait_ready()
    shown = re.search(r"^ +(\S+/emperor status --runtime-dir \S+)", demo.text(), re.MULTILINE)
    assert shown, demo.text()
    done = subprocess.run(
        shown[1].split(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr
    for name in ("hello", "shop", "slow"):
        assert re.search(rf"{name}.*ready", done.stdout), done.stdout
