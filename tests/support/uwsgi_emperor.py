"""One uWSGI file under the real emperor and under ours: what both do when they are told things."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.processes import children
from tests.support.uwsgi import end, uwsgi_program
from tests.support.wait import wait_until

APP = """
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/sleep/"):
        time.sleep(float(path.rpartition("/")[2]))
    if path.startswith("/say/"):
        os.write(2, path.encode() + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


class Site:
    """The vassal `blog`, with all its files in a folder that is its own."""

    def __init__(self, folder: Path, vassals: Path, more: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_file = folder / "blog.log"
        (folder / "told.py").write_text(APP)
        (folder / "told.py").chmod(0o644)
        new = folder / ".blog.new"
        new.write_text(
            f"[uwsgi]\nchdir = {folder}\nmodule = told\nmaster = true\n"
            f"http-socket = 127.0.0.1:{self.port}\npidfile2 = blog.pid\nmaster-fifo = blog.fifo\n"
            f"logto = {self.log_file}\ndisable-logging = true\n{more}"
        )
        new.rename(vassals / "blog.ini")

    # ── what is seen ─────────────────────────────────────────────────────────────────

    @property
    def fifo(self) -> Path:
        return self.folder / "blog.fifo"

    @property
    def pid(self) -> int:
        """The master's, as its file says."""
        try:
            return int((self.folder / "blog.pid").read_text())
        except (OSError, ValueError):
            return 0

    def workers(self) -> frozenset[int]:
        raise NotImplementedError

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def answers(self) -> bool:
        try:
            return get(self.port, timeout=0.5)[0] == 200
        except OSError:
            return False

    # ── what is done ─────────────────────────────────────────────────────────────────

    def wait_up(self, workers: int = 1) -> None:
        def is_up() -> bool:
            return (
                self.answers()
                and self.fifo.is_fifo()
                and bool(self.pid)
                and len(self.workers()) == workers
            )

        wait_until(is_up, 20.0, f"the site serves\n{self.log()}")

    def tell(self, letters: str) -> None:
        """Write into the FIFO as `echo` does."""
        fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, letters.encode() + b"\n")
        finally:
            os.close(fd)

    def signal(self, signum: int) -> None:
        assert self.pid > 0, "no master to signal"
        os.kill(self.pid, signum)


Running = Callable[..., AbstractContextManager[Site]]
"""What runs a site with more lines in its file: the fixture `running`, once for each emperor."""


class RealSite(Site):
    """Under uWSGI's own emperor."""

    def workers(self) -> frozenset[int]:
        return frozenset(children(self.pid)) if self.pid else frozenset()


class OurSite(Site):
    """Under ours."""

    def __init__(self, emperor: Emperor, more: str) -> None:
        self._emperor = emperor
        emperor.apps.chmod(0o777)
        super().__init__(emperor.apps, emperor.vassals, more)

    def workers(self) -> frozenset[int]:
        return frozenset(row["pid"] for row in self._emperor.vassal("blog").get("workers", ()))


@contextmanager
def real_site(folder: Path, more: str = "") -> Iterator[Site]:
    """Run uWSGI's emperor over a folder of its own."""
    vassals = folder / "vassals"
    vassals.mkdir()
    site = RealSite(folder, vassals, more)
    words = [uwsgi_program(), "--emperor", str(vassals), "--emperor-freq", "1"]
    with (folder / "emperor.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield site
    finally:
        end(process, signal.SIGINT)


@contextmanager
def real_site_somewhere(more: str = "") -> Iterator[Site]:
    """Run uWSGI's emperor over a folder that is made for it."""
    with (
        tempfile.TemporaryDirectory(prefix="told-") as folder,
        real_site(Path(folder), more) as site,
    ):
        yield site


@contextmanager
def our_site(emperor: Emperor, more: str = "") -> Iterator[Site]:
    """Run ours; the fixture ends it."""
    site = OurSite(emperor, more)
    emperor.start()
    yield site


@contextmanager
def emperor_uwsgi(one: Emperor, *words: str, **variables: str) -> Iterator[None]:
    """Run `emperor uwsgi` over the folders of an emperor of the tests."""
    environ = {**os.environ, "EMPEROR_RUNTIME_DIR": str(one.runtime_dir), **variables}
    with one.log_file.open("ab") as log:
        one.process = subprocess.Popen(
            [sys.executable, "-m", "emperor", "uwsgi", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
        )
    wait_until(one.answers, 20.0, "the emperor answers")
    yield
    assert one.stop() == 0
    assert not (one.runtime_dir / "uwsgi-emperor.toml").exists()
