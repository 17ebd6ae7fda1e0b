"""A signal that comes right after a fork, before anybody has a handler, loses nobody.

EMPEROR_TEST_SHOTS=1000 in the environment is so many of each kind.
"""

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.emperor import Emperor, get
from tests.support.processes import alive, children, cmdline, pid_tree
from tests.support.wait import wait_until

SHOTS = int(os.environ.get("EMPEROR_TEST_SHOTS", "10"))
AT_ONCE = 4
WORKERS = 2
SIGNALS = [signal.SIGTERM, signal.SIGINT]


class Shot(NamedTuple):
    """One newborn that was signalled; `was_ready` = it had its handler by then."""

    pid: int
    was_ready: bool


def has_handler(pid: int, signum: int) -> bool:
    """Return whether the signal is caught or ignored, and not blocked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith("Sig"))
    bit = 1 << (signum - 1)
    handled = (int(masks["SigCgt"], 16) | int(masks["SigIgn"], 16)) & bit
    return bool(handled) and not int(masks["SigBlk"], 16) & bit


class Gun:
    """Signals `shots` children of one process right after their birth, but the first `spared`.

    Its thread looks all the time.
    """

    def __init__(self, parent: int, signum: int, shots: int = 1, spared: int = 0) -> None:
        self._parent = parent
        self._signum = signum
        self._left = shots
        self._spared = spared
        self._known = set(children(parent))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.hits: list[Shot] = []

    def __enter__(self) -> "Gun":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(10)

    @property
    def is_empty(self) -> bool:
        return not self._left

    def _look(self) -> None:
        path = f"/proc/{self._parent}/task/{self._parent}/children"
        while self._left and not self._stop.is_set():
            try:
                with open(path, "rb") as file:  # noqa: PTH123 - in a busy loop
                    now = {int(word) for word in file.read().split()}
            except (FileNotFoundError, ProcessLookupError):
                return
            for pid in sorted(now - self._known):
                self._known.add(pid)
                if self._spared:
                    self._spared -= 1
                elif self._left:
                    self._left -= 1
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, self._signum)
                        self.hits.append(Shot(pid, has_handler(pid, self._signum)))


def family(master: int) -> list[int]:
    return [pid for pid in children(master) if alive(pid)]


def masters(emperor: Emperor) -> list[int]:
    return [pid for pid in children(emperor.pid) if "master of" in cmdline(pid)]


def wait_whole(emperor: Emperor, name: str, port: int) -> int:
    """Wait until a vassal serves with all that it shall have, and nothing else; return its pid."""

    def whole() -> int:
        status = emperor.vassal(name)
        workers = {worker["pid"] for worker in status.get("workers", ()) if worker["pid"]}
        is_whole = (
            status.get("state") == "ready"
            and len(workers) == WORKERS
            and all(map(alive, workers))
            and len(family(status["pid"])) == WORKERS + 1
        )
        return int(status["pid"]) if is_whole else 0

    try:
        pid = wait_until(whole, 30, f"{name} is whole")
    except AssertionError as error:
        found = [(child, cmdline(child)) for child in pid_tree(emperor.pid)]
        raise AssertionError(f"{error}\n{found}\n{emperor.vassal_log(name)}") from None
    assert get(port)[0] == 200
    return pid


def wait_ended(hits: list[Shot], signum: int) -> None:
    """SIGTERM ends molds and workers, also if it came too early to be understood at once."""
    if signum == signal.SIGTERM:
        wait_until(lambda: not any(alive(hit.pid) for hit in hits), 15, f"{hits} have ended")


def check(hits: list[Shot], born_deaf: bool = False) -> None:
    early = sum(not hit.was_ready for hit in hits)
    print(f"{len(hits)} signals, {early} of them before there was a handler")
    assert len(hits) >= SHOTS
    assert early or born_deaf, "none came early enough to prove anything"


@pytest.mark.timeout(60 + 4 * SHOTS)
@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_right_behind_the_fork_of_a_master_loses_no_vassal(
    emperor: Emperor, signum: int
) -> None:
    emperor.app("hello")
    emperor.start()
    hits: list[Shot] = []
    number = 0
    while len(hits) < SHOTS:
        names = [f"v{number + one}" for one in range(AT_ONCE)]
        number += AT_ONCE
        with Gun(emperor.pid, signum, AT_ONCE) as gun:
            ports = {name: emperor.drop(name, workers=WORKERS) for name in names}
            wait_until(lambda gun=gun: gun.is_empty, 15, "every master was signalled")
        hits += gun.hits
        pids = {wait_whole(emperor, name, port) for name, port in ports.items()}
        # A master obeys nobody but its emperor, unless its file says so.
        assert pids == {hit.pid for hit in gun.hits} == set(masters(emperor))
        for name in names:
            emperor.remove(name)
        wait_until(lambda: not emperor.status()["vassals"], 15, "all are gone")
        assert masters(emperor) == []
    check(hits)


@pytest.mark.timeout(60 + 4 * SHOTS)
@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("who", ["mold", "worker"])
def test_signal_right_behind_the_fork_of_a_masters_child_loses_none(
    emperor: Emperor, signum: int, who: str
) -> None:
    port = emperor.serve(workers=WORKERS, text="[health]\nsettle = 0\n")
    hits: list[Shot] = []
    while len(hits) < SHOTS:
        master = wait_whole(emperor, "blog", port)
        with Gun(master, signum, spared=0 if who == "mold" else 1) as gun:
            emperor.do("reload", "blog")
            wait_until(lambda gun=gun: gun.is_empty, 15, f"a {who} was signalled")
        hits += gun.hits
        wait_ended(gun.hits, signum)
        assert wait_whole(emperor, "blog", port) == master
    # A mold ignores SIGINT, and so do its workers from their first moment on.
    check(hits, born_deaf=who == "worker" and signum == signal.SIGINT)
