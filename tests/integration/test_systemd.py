"""What systemd sees: readiness, status, signs of life."""

import itertools
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.spawner.fdstore import name_of
from tests.support.emperor import Emperor, get
from tests.support.need import need
from tests.support.processes import fds_of, pid_tree
from tests.support.wait import wait_until

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "emperor.service"


class Systemd:
    """A notification socket, as systemd gives one to the main process."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(path))
        self.received: list[tuple[float, str, int]] = []
        self.stored = 0

    def read(self, seconds: float = 0.0) -> list[str]:
        """Take in what arrives within `seconds`; return every state so far."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self.socket], [], [], left)[0]:
                return [text for _, text, _ in self.received]
            data, ancillary, _, _ = self.socket.recvmsg(4096, 256)
            pid = 0
            for _, kind, content in ancillary:
                if kind == socket.SCM_CREDENTIALS:
                    pid = int.from_bytes(content[:4], "little")
                else:
                    self.stored += 1
                    os.close(int.from_bytes(content[:4], "little"))  # SCM_RIGHTS: one each
            self.received.append((time.monotonic(), data.decode(), pid))

    def has(self, words: str) -> bool:
        return any(words in text for text in self.read())


@pytest.fixture
def systemd(emperor: Emperor) -> Iterator[Systemd]:
    path = emperor.base / "notify"
    one = Systemd(path)
    emperor.environ = {"NOTIFY_SOCKET": str(path)}
    yield one
    one.socket.close()


def test_ready_comes_only_when_the_first_vassals_have_settled(
    emperor: Emperor, systemd: Systemd
) -> None:
    emperor.app("slow", "import time\ntime.sleep(1.0)\nfrom hello import application\n")
    emperor.app("hello")
    emperor.app("broken", "import nonsense_that_is_not_there\n")
    port = emperor.drop("slow", app="slow:application")
    emperor.drop("broken", app="broken:application")
    emperor.start()
    assert not systemd.has("READY=1")
    wait_until(lambda: systemd.has("READY=1"), what="READY")
    assert get(port)[0] == 200
    assert emperor.vassal("slow")["state"] == "ready"
    assert emperor.vassal("broken")["state"] == "parked"
    assert {pid for _, _, pid in systemd.received} == {emperor.pid}
    assert systemd.has("STATUS=1 parked, 1 ready")


def test_status_follows_the_counts(emperor: Emperor, systemd: Systemd) -> None:
    emperor.app("hello")
    emperor.start()
    wait_until(lambda: systemd.has("READY=1"), what="READY")
    emperor.drop("blog")
    wait_until(lambda: systemd.has("STATUS=1 ready"), what="the new count")


def test_stop_is_announced(emperor: Emperor, systemd: Systemd) -> None:
    emperor.start()
    wait_until(lambda: systemd.has("READY=1"), what="READY")
    assert emperor.stop() == 0
    assert systemd.has("STOPPING=1")


def test_reload_is_announced_and_ends_with_ready(emperor: Emperor, systemd: Systemd) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    wait_until(lambda: systemd.has("READY=1"), what="READY")
    before = len(systemd.read())
    os.kill(emperor.pid, signal.SIGHUP)

    def done() -> bool:
        states = systemd.read()[before:]
        return any("RELOADING=1" in s for s in states) and any("READY=1" in s for s in states)

    wait_until(done, what="RELOADING, then READY")
    assert emperor.wait_state("blog", "ready")["generation"] == 1


def test_signs_of_life_come_at_half_the_watchdog_time(emperor: Emperor, systemd: Systemd) -> None:
    emperor.environ["WATCHDOG_USEC"] = "400000"
    emperor.start()
    systemd.read(1.5)
    times = [at for at, text, _ in systemd.received if "WATCHDOG=1" in text]
    assert len(times) >= 5
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.4


def test_signs_of_life_go_on_while_there_is_no_brain(emperor: Emperor, systemd: Systemd) -> None:
    emperor.environ["WATCHDOG_USEC"] = "400000"
    emperor.start()
    old = emperor.kill_brain()
    systemd.read(1.0)
    times = [at for at, text, _ in systemd.received if "WATCHDOG=1" in text]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.4
    emperor.wait_new_brain(old)


def test_application_sees_nothing_of_systemd(emperor: Emperor, systemd: Systemd) -> None:
    emperor.app(
        "environ",
        "import os\n\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [repr(sorted(os.environ)).encode()]\n",
    )
    emperor.environ["SECRET_OF_THE_EMPEROR"] = "x"
    port = emperor.drop("blog", app="environ:application")
    emperor.start()
    emperor.wait_state("blog", "ready")
    names = get(port)[1].decode()
    assert "NOTIFY_SOCKET" not in names
    assert "SECRET" not in names
    assert "EMPEROR_VASSAL" in names


def test_unit_file_is_valid() -> None:
    import shutil

    analyze = shutil.which("systemd-analyze")
    need(analyze, "needs systemd-analyze (package systemd)")
    assert analyze is not None
    found = subprocess.run(
        [analyze, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False
    )
    complaints = [
        line
        for line in (found.stdout + found.stderr).splitlines()
        if "emperor" in line and "is not executable" not in line
    ]
    assert complaints == []


def test_unit_file_gives_what_the_code_relies_on() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "NotifyAccess=main", "Delegate=yes", "KillMode=mixed"):
        assert line in text.splitlines()
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text


def test_listeners_are_kept_with_systemd_until_they_are_dropped(
    emperor: Emperor, systemd: Systemd
) -> None:
    port = emperor.serve()
    name = name_of(f"tcp:127.0.0.1:{port}")
    wait_until(lambda: systemd.has(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), what="it is kept")
    assert systemd.stored > 0
    emperor.remove("blog")
    wait_until(lambda: systemd.has(f"FDSTOREREMOVE=1\nFDNAME={name}"), what="it is dropped")


def test_descriptors_that_are_none_of_ours_are_closed_and_told(
    emperor: Emperor, systemd: Systemd
) -> None:
    handed = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=emperor.socket:other"
    script = f'export {handed}; exec "$@" 3</dev/zero 4</dev/zero'
    emperor.program = ["/bin/sh", "-c", script, "sh", *emperor.program]
    port = emperor.serve()
    for name in ("emperor.socket", "other"):
        wait_until(lambda name=name: systemd.has(f"FDSTOREREMOVE=1\nFDNAME={name}"), what=name)
        assert f"event=descriptor_refused level=error name={name}" in emperor.log()
    assert get(port)[0] == 200
    found = {pid: opened(pid) for pid in (emperor.pid, *pid_tree(emperor.pid))}
    assert any(found.values())
    assert not [pid for pid, paths in found.items() if "/dev/zero" in paths]


def opened(pid: int) -> list[str]:
    """Return what a process has open; nothing if only root may see that."""
    try:
        return list(fds_of(pid).values())
    except PermissionError:
        return []
