"""Every attempt fails in a vassal with the defaults, and succeeds, or fails otherwise, in one
whose provider has switched off what stops it. A neighbour answers all the while.

One emperor and three vassals serve all of it: the attempts leave nothing behind.
"""

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.emperor import Emperor, emperor_over, get
from tests.support.need import need, need_root
from tests.support.wait import wait_until

NEIGHBOUR_LATE_MAX_S = 1.0
"""Two slow CPUs, and other tests' leftovers, lie in this; a neighbour that starves takes longer."""

OFF = """[sandbox]
private_tmp = false
private_devices = false
protect_system = "no"
protect_home = "no"
protect_proc = "default"
private_pids = false
private_ipc = false
protect_control_groups = false
protect_kernel_tunables = false
protect_kernel_modules = false
protect_kernel_logs = false
lock_personality = false
restrict_namespaces = false
restrict_suid_sgid = false
restrict_address_families = []
keyring_mode = "inherit"
system_call_filter = []
landlock = false
"""


class Abuse(NamedTuple):
    """One attempt, what comes of it in strict surroundings, and what with all of them off."""

    attempt: str
    strict: tuple[str, ...]
    off: tuple[str, ...]


def fails(attempt: str, *strict: str, off: tuple[str, ...] = ("done",)) -> Abuse:
    return Abuse(attempt, strict, off)


ABUSES = (
    fails("fill_tmp", "ENOSPC"),
    fails("burn_inodes", "ENOSPC"),
    fails("exhaust_descriptors", "EMFILE"),
    fails("trace_a_child", "EPERM"),
    fails("read_a_childs_memory", "EPERM"),
    fails("see_the_neighbour", "ENOENT"),
    fails("read_the_emperors_files", "ENOENT", "EACCES"),
    fails("read_a_neighbours_home", "ENOENT", "EACCES"),
    fails("write_where_everybody_may", "EROFS", "ENOENT", "EACCES"),
    fails("make_a_user_namespace", "EPERM"),
    fails("mount_something", "EPERM"),
    fails("enter_a_namespace", "EPERM", off=("EPERM", "EINVAL")),
    fails("clone3", "ENOSYS", off=("EINVAL",)),
    fails("keyctl", "EPERM", off=("done", "ENOKEY")),
    fails("bpf", "EPERM", off=("EPERM", "EINVAL")),
    fails("io_uring", "EPERM", "ENOSYS", off=("done", "EPERM", "ENOSYS")),
    fails("perf", "EPERM", off=("EFAULT", "EACCES")),
    fails("userfaultfd", "EPERM", "ENOSYS", off=("done", "EPERM")),
    fails("change_the_personality", "EPERM"),
    fails("push_into_a_terminal", "EPERM", off=("done", "EIO")),
    fails("netlink", "EAFNOSUPPORT"),
    fails("vsock", "EAFNOSUPPORT", off=("done", "EAFNOSUPPORT")),
    fails("alg", "EAFNOSUPPORT", off=("done", "EAFNOSUPPORT")),
    fails("packet", "EAFNOSUPPORT", off=("EPERM",)),
    fails("abstract_socket", "EPERM", "ECONNREFUSED"),
    # Who can reach it is told nothing but of its own vassals.
    fails("control_socket", "ENOENT", "EACCES"),
)
"""The control run tells the mechanism from the mere uid: with it off, the kernel says otherwise."""

ALWAYS = {
    "read_the_masters_memory": {"EACCES", "EPERM", "ENOENT"},
    "read_the_masters_environment": {"EACCES", "EPERM", "ENOENT"},
    "read_shadow": {"EACCES"},
    "write_a_kernel_setting": {"EROFS", "EACCES", "EPERM"},
    "make_a_device": {"EPERM", "EACCES"},
    "raw": {"EPERM"},
    "become_root": {"EPERM"},
    "be_nicer_to_oneself": {"EPERM"},
    "raise_a_limit": {"EPERM"},
    "escape_the_oom_killer": {"EACCES"},
    "neighbours_socket": {"EACCES", "ENOENT"},
    "core_limit": {"0"},
    "start_a_thread": {"done"},
    "find_the_neighbours_secret": {"absent"},
}
"""What the uid, no_new_privs and the spawner's clean image hold, whatever is switched off."""


class Site(NamedTuple):
    """The emperor with the ports of its three vassals."""

    emperor: Emperor
    strict: int
    off: int
    neighbour: int
    abstract: socket.socket


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    need_root()
    with emperor_over("abuse-") as one, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0abuse-{os.getpid()}")
        abstract.listen(16)
        yield set_up(one, abstract)


def set_up(one: Emperor, abstract: socket.socket) -> Site:
    shutil.copy(Path(__file__).with_name("attempts.py"), one.apps)
    place = one.apps / "place"
    place.mkdir()
    everybodys = one.base / "open"
    everybodys.mkdir()
    everybodys.chmod(0o1777)
    shutil.copy("/usr/bin/id", place / "suid-id")
    (place / "suid-id").chmod(0o4755)
    home = one.base / "home"
    home.mkdir(mode=0o755)
    (home / "notes").write_text("private")
    secret = "[env]\nSECRET = 'hunter2-of-the-neighbour'\n"
    sockets = one.base / "neighbour.sock"
    neighbour = one.drop("neighbour", app="attempts:application", user="games", text=secret)
    one.start()
    status = one.wait_state("neighbour", "ready")
    (place / "neighbour.pid").write_text(str(status["workers"][0]["pid"]))
    environment = {
        "PLACE": str(place),
        "OPEN": str(everybodys),
        "EMPERORS": str(one.vassals),
        "NEIGHBOUR": str(home),
        "ABSTRACT": f"@abuse-{os.getpid()}",
        "NEIGHBOURS_SOCKET": str(sockets),
        "CONTROL": str(one.runtime_dir / "control.sock"),
    }
    lines = "[env]\n" + "".join(f"{name} = '{value}'\n" for name, value in environment.items())
    bounds = "[sandbox]\nprivate_tmp = { size = '16M', inodes = 1000 }\n"
    limit = "[limits]\nlimit_nofile = '256:256'\n"
    common = {"app": "attempts:application", "on_unsupported": "warn"}
    strict = one.drop("strict", user="nobody", text=lines + bounds + limit, **common)
    loose = "[limits]\nlimit_nofile = '4096:4096'\n"
    off = one.drop("off", user="nobody", text=lines + OFF + loose, **common)
    for name in ("strict", "off"):
        one.wait_state(name, "ready")
    return Site(one, strict, off, neighbour, abstract)


def outcome(port: int, attempt: str) -> str:
    status, body = get(port, f"/{attempt}", timeout=30)
    assert status == 200, body
    return body.decode()


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.attempt)
def test_attempt_fails_and_the_control_run_tells_why(site: Site, abuse: Abuse) -> None:
    with patient_neighbour(site.neighbour):
        assert outcome(site.strict, abuse.attempt) in abuse.strict
        assert outcome(site.off, abuse.attempt) in abuse.off


@pytest.mark.parametrize("attempt", ALWAYS)
def test_attempt_fails_whatever_is_switched_off(site: Site, attempt: str) -> None:
    for port in (site.strict, site.off):
        assert outcome(port, attempt) in ALWAYS[attempt]


def test_suid_program_makes_nobody_root(site: Site) -> None:
    nobody = outcome(site.off, "who_a_suid_program_makes_us")
    assert nobody not in ("0", "")
    assert outcome(site.strict, "who_a_suid_program_makes_us") == nobody


def test_worker_holds_nothing_but_its_own_descriptors(site: Site) -> None:
    allowed = {
        "/dev/null",
        "anon_inode",
        "pipe",
        "socket",
        "/memfd:emperord-scoreboard (deleted)",
        "anon_inode:[eventpoll]",
    }
    found = set(outcome(site.strict, "descriptors").split(" "))
    words = {word for path in allowed for word in path.split(" ")}
    unknown = {one for one in found if one not in words and not one.startswith("/memfd:emperord-")}
    of_memory = {"/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"}
    assert unknown <= {"/proc/1/fd", *of_memory}, found


def test_search_for_the_secret_finds_it_where_it_is(site: Site) -> None:
    assert outcome(site.neighbour, "find_the_neighbours_secret") == "found"  # the control run


def test_kill_of_the_master_leaves_it_alive_and_the_control_run_does_not(site: Site) -> None:
    def masters() -> dict[str, int]:
        names = ("strict", "off", "neighbour")
        return {name: site.emperor.vassal(name)["pid"] for name in names}

    before = masters()
    with patient_neighbour(site.neighbour):
        assert outcome(site.strict, "kill_the_master") in ("EPERM", "done")
        time.sleep(0.3)
        assert masters() == before
        with contextlib.suppress(OSError):
            get(site.off, "/kill_the_master")
        wait_until(lambda: masters()["off"] not in (0, before["off"]), what="another master")
    site.emperor.wait_state("off", "ready")
    assert outcome(site.strict, "") == "hello"


class patient_neighbour:
    """Ask the neighbour all the while; on leaving it must have answered every time, and soon."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._waits: list[float] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                answered = get(self._port, timeout=5)[0] == 200
            except OSError:
                answered = False
            self._waits.append(time.monotonic() - began if answered else float("inf"))
            self._end.wait(0.05)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        need(self._waits, "time to ask the neighbour once")
        assert max(self._waits) < NEIGHBOUR_LATE_MAX_S
