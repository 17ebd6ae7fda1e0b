"""Private /tmp, /dev, /proc and /sys, each beside a control run without them."""

import os
import socket
import stat
from pathlib import Path

import pytest

from limits import mount_api, syscalls
from limits.confinement import Confinement
from limits.directives import Sandbox, TemporaryFileSystem
from limits.mounts import Cover, PrivateRoot, SystemLog
from tests.support.born import (
    OPEN,
    attempt,
    confinement,
    fill,
    only,
    run_confined,
    touch,
)
from tests.support.forked import run_forked
from tests.support.need import need

KIB = 1024
SMALL = TemporaryFileSystem(size=512 * KIB, inodes=40)
NEWNS = 0x00020000
CONTROL_AS_ROOT = Confinement()


pytestmark = pytest.mark.usefixtures("confinable")


def control(function, **keywords):
    return run_confined(function, confinement(OPEN, **keywords))


def test_private_tmp_is_bounded_in_size_with_var_tmp_in_the_same_bounds():
    size = 768 * KIB

    def use():
        alone = fill("/tmp", size)
        Path("/tmp/first").write_bytes(bytes(256 * KIB))
        return [alone, fill("/var/tmp", size), fill("/dev/shm", size)]

    alone, beside, shm = run_confined(use, confinement(only(private_tmp=SMALL)))

    assert alone[1] == beside[1] == shm[1] == 28  # ENOSPC
    assert alone[0] <= SMALL.size
    assert beside[0] <= SMALL.size - 256 * KIB
    assert shm[0] <= SMALL.size
    control_run = control(lambda: [fill("/tmp", size), fill("/var/tmp", size)])
    assert control_run == [[size, 0], [size, 0]]


def test_private_tmp_is_bounded_in_inodes():
    def use(folder):
        names = [f"{folder}/emperor-test-{os.getpid()}-{number}" for number in range(60)]
        result = [attempt(lambda path=path: Path(path).touch()) for path in names]
        for name in names:
            Path(name).unlink(missing_ok=True)
        return [result.count("done"), result[-1]]

    made = confinement(only(private_tmp=SMALL))

    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        count, last = run_confined(lambda folder=folder: use(folder), made)
        assert count < SMALL.inodes
        assert last == "ENOSPC"
    assert control(lambda: use("/tmp")) == [60, "done"]


def test_programs_run_from_tmp_unless_it_is_said_otherwise():
    def run():
        Path("/tmp/program").write_text("#!/bin/sh\nexit 0\n")
        Path("/tmp/program").chmod(0o700)
        return os.waitstatus_to_exitcode(os.system("/tmp/program 2>/dev/null"))

    assert run_confined(run, confinement(only(private_tmp=SMALL))) == 0
    made = confinement(only(private_tmp=SMALL, no_exec_paths=("/tmp",)))
    assert run_confined(run, made) == 126


def test_private_tmp_is_neither_the_hosts_nor_another_vassals():
    def use():
        before = os.listdir("/tmp")
        Path("/tmp/emperor-test-mine").touch()
        return [before, stat.S_IMODE(os.stat("/tmp").st_mode), os.stat("/tmp").st_dev]

    made = confinement(only(private_tmp=SMALL))
    first, second = run_confined(use, made), run_confined(use, made)

    assert first[:2] == second[:2] == [[], 0o1777]
    assert not Path("/tmp/emperor-test-mine").exists()


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"], indirect=True)
def test_home_below_private_tmp_is_visible(place):
    def look():
        return [os.listdir(place.path.parent), os.listdir(place.path), touch(place.blog / "mine")]

    made = confinement(only(private_tmp=SMALL), [(place.blog, True)])

    assert run_confined(look, made) == [[place.path.name], ["blog"], "done"]


def test_private_devices_are_those_that_are_listed_and_no_other():
    def look():
        # ptmx opens a terminal of the new instance.
        _, slave = os.openpty()
        return [
            sorted(os.listdir("/dev")),
            attempt(lambda: Path("/dev/null").write_bytes(b"x")),
            len(os.urandom(3)) + len(Path("/dev/zero").open("rb").read(3)),
            os.ttyname(slave),
            attempt(lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))),
            touch("/dev/x"),
            touch("/dev/shm/x"),
        ]

    nodes = {"null", "zero", "full", "random", "urandom", "tty"}
    folders = {"pts", "shm", "mqueue"}
    links = {"fd", "stdin", "stdout", "stderr", "ptmx"}
    seen = run_confined(look, confinement(Sandbox()))

    assert set(seen[0]) - {"log"} == nodes | folders | links
    assert seen[1:] == ["done", 6, "/dev/pts/0", "EPERM", "EROFS", "done"]
    assert set(os.listdir("/dev")) > {"null", "kmsg"}


def test_even_root_makes_no_device_in_the_private_dev():
    def make():
        result = attempt(lambda: os.mknod("/dev/emperor-test", stat.S_IFCHR, os.makedev(1, 3)))
        if result == "done":
            os.unlink("/dev/emperor-test")
        return result

    assert run_confined(make, confinement(only(private_devices=True), as_root=True)) == "EROFS"
    assert run_confined(make, CONTROL_AS_ROOT) == "done"


def test_devices_elsewhere_do_not_open(place):
    node = place.path / "zero"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    node.chmod(0o666)

    def use():
        return attempt(lambda: os.close(os.open(node, os.O_RDONLY)))

    assert run_confined(use, confinement(Sandbox())) == "EACCES"
    assert control(use) == "done"


def test_proc_shows_own_processes_only():
    def look():
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())

    assert run_confined(look, confinement(Sandbox())) == [1]
    assert len(control(look)) > 2


def test_processes_of_others_are_invisible_in_the_hosts_pid_namespace():
    def look():
        return [os.path.exists("/proc/1"), os.path.exists(f"/proc/{os.getpid()}/status")]

    assert run_confined(look, confinement(only(protect_proc="invisible"))) == [False, True]
    assert control(look) == [True, True]


def test_proc_that_is_mounted_in_some_chroot_is_hidden(place):
    chroot = place.make("chroot/proc")

    def look():
        return attempt(lambda: os.listdir(chroot))

    def caller():
        syscalls.unshare(NEWNS)
        mount_api.make_all_private()
        target = os.open(chroot, os.O_PATH)
        mount_api.attach(mount_api.new_filesystem("proc", {}, 0), target)
        return [run_confined(look, confinement(Sandbox())), control(look)]

    assert run_forked(caller) == ["EACCES", "done"]


def test_proc_of_processes_only():
    def look():
        return [os.path.exists("/proc/meminfo"), os.path.exists("/proc/self/status")]

    made = confinement(Sandbox(proc_subset="pid"))

    assert run_confined(look, made) == [False, True]
    assert control(look) == [True, True]


def test_kernels_tunables_are_read_only_even_for_root():
    # Not every kernel has all of them.
    names = ("sys/kernel/hostname", "sysrq-trigger", "irq/default_smp_affinity", "mtrr")
    paths = [f"/proc/{name}" for name in names if os.path.exists(f"/proc/{name}")]

    def use():
        return [attempt(lambda path=path: os.close(os.open(path, os.O_WRONLY))) for path in paths]

    made = confinement(only(private_pids=True, protect_kernel_tunables=True), as_root=True)

    assert run_confined(use, made) == ["EROFS"] * len(paths)
    assert run_confined(use, CONTROL_AS_ROOT) == ["done"] * len(paths)


def test_sys_is_read_only_and_its_secrets_are_hidden():
    tunable = "/sys/devices/virtual/net/lo/mtu"
    secrets = [path for path in ("/sys/kernel/debug", "/sys/firmware") if os.path.exists(path)]

    def use():
        return [
            attempt(lambda: os.close(os.open(tunable, os.O_WRONLY))),
            [stat.S_IMODE(os.stat(path).st_mode) for path in secrets],
        ]

    made = confinement(only(protect_kernel_tunables=True), as_root=True)

    assert run_confined(use, made) == ["EROFS", [0] * len(secrets)]
    opened, modes = run_confined(use, CONTROL_AS_ROOT)
    assert opened == "done"
    assert 0 not in modes


@pytest.fixture
def modules():
    path = Path("/usr/lib/modules")
    missing = not path.exists()
    if missing:
        path.mkdir()
    yield path
    if missing:
        path.rmdir()


def test_kernels_log_and_modules_are_hidden(modules):
    paths = [path for path in ("/dev/kmsg", "/proc/kmsg", modules) if os.path.exists(path)]

    def look():
        return [stat.S_IMODE(os.stat(path).st_mode) for path in paths]

    made = confinement(only(protect_kernel_logs=True, protect_kernel_modules=True))

    assert run_confined(look, made) == [0] * len(paths)
    assert 0 not in run_confined(look, CONTROL_AS_ROOT)


@pytest.mark.parametrize("kind", ["link", "socket", "none"])
def test_system_log_is_what_it_is_on_the_host(kind):
    cover = Cover(path="/dev", size=KIB, inodes=9, mode=0o755)
    log = SystemLog(path="/dev/log", below="/dev", optional=True)
    made = Confinement(namespaces=("mnt",), root=PrivateRoot(mounts=(cover, log)))

    def look():
        if os.path.islink("/dev/log"):
            return os.readlink("/dev/log")
        if not os.path.exists("/dev/log"):
            return "none"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("/dev/log")
            return "socket"

    def caller():
        # A host's /dev of our own.
        syscalls.unshare(NEWNS)
        mount_api.make_all_private()
        place = os.open("/dev", os.O_PATH)
        mount_api.attach(mount_api.new_filesystem("tmpfs", {}, 0), place)
        server = socket.socket(socket.AF_UNIX)
        if kind == "link":
            os.symlink("/run/systemd/journal/dev-log", "/dev/log")
        elif kind == "socket":
            server.bind("/dev/log")
            server.listen()
        return run_confined(look, made)

    expected = {"link": "/run/systemd/journal/dev-log"}.get(kind, kind)
    assert run_forked(caller) == expected


def test_control_groups_are_the_vassals_own_and_read_only():
    def look():
        folder = Path("/sys/fs/cgroup")
        return [
            Path("/proc/self/cgroup").read_text().splitlines()[-1],
            (folder / "cgroup.procs").exists(),
            attempt((folder / "emperor-test").mkdir),
            attempt(lambda: os.close(os.open(folder / "cgroup.procs", os.O_WRONLY))),
        ]

    need(os.path.exists("/sys/fs/cgroup"), "needs /sys/fs/cgroup")
    made = confinement(only(protect_control_groups=True), as_root=True)

    assert run_confined(look, made) == ["0::/", True, "EROFS", "EROFS"]
