"""Limits with controllers, on a machine with unified cgroup v2: run by pytest inside a guest.

In a unit with Delegate=yes and MemoryLow=64M, root's or a user's:  pytest tests/vm/guest_limits.py
Every limit is met by a process that would go on without it, which a control run shows.
"""

import contextlib
import errno
import mmap
import os
import select
import subprocess
import time
from pathlib import Path

import pytest

from limits import quota
from limits.cgroups.facts import MARKS, Mode, probe_cgroups
from limits.cgroups.join import JoinCgroup
from limits.cgroups.names import customer_path
from limits.cgroups.watch import MEMORY, PIDS, CgroupWatch, Change
from limits.cgroups.writes import cgroup_writes, io_paths
from limits.directives import Limits
from tests.support.cgroups import APP, tree_over
from tests.support.forked import run_forked

MIB = 2**20
WORKLOAD = f"{APP}/workload"
TENANT = 4242

# A user's systemd has memory and pids, with luck cpu.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root's controllers")


@pytest.fixture
def tree(tmp_path):
    with tree_over(tmp_path) as tree:
        yield tree


def limit(tree, limits, create=True):
    """Make the app with the limits, all of which must be possible."""
    plan = cgroup_writes(limits, tree.host(io_paths(limits)))
    assert plan.unsupported == (), str(plan)
    failed = tree.create(APP, plan.writes) if create else tree.apply(WORKLOAD, plan.writes)
    assert failed == [], [str(one) for one in failed]


def inside(tree, function):
    """Return what the function returns in a child that joined the workload; None if it died."""
    fds = tree.open_procs(APP)

    def run():
        JoinCgroup(fds[1]).execute()
        return function()

    try:
        return run_forked(run)
    except AssertionError as error:
        if "without an answer" in str(error):
            return None
        raise
    finally:
        for fd in fds:
            os.close(fd)


@contextlib.contextmanager
def watching(tree):
    watch = CgroupWatch(tree.root)
    watch.add(APP)
    try:
        yield watch
    finally:
        watch.close()


def changes_within(watch, seconds):
    select.select([watch], [], [], seconds)
    return watch.read()


def eat(amount):
    with mmap.mmap(-1, amount) as memory:
        for at in range(0, amount, mmap.PAGESIZE):
            memory[at] = 1
    return "eaten"


def test_delegated_unit_is_recognised_with_its_controllers():
    facts = probe_cgroups([os.getpid()])

    assert facts.mode is Mode.UNIFIED
    assert facts.root is not None
    assert facts.root.endswith(".service")
    assert not facts.private
    marks = MARKS if os.geteuid() == 0 else MARKS[1:]
    assert {os.getxattr(facts.root, mark) for mark in marks} == {b"1"}
    everything = {"cpu", "cpuset", "io", "memory", "pids"}
    assert (everything if os.geteuid() == 0 else {"memory", "pids"}) <= facts.controllers


@needs_root
def test_unit_without_delegate_is_not_taken_over():
    found = subprocess.run(
        [
            "systemd-run",
            "--wait",
            "--pipe",
            "--quiet",
            f"--setenv=PYTHONPATH={os.pathsep.join(os.sys.path)}",
            "python3",
            "-c",
            "from limits.cgroups.facts import probe_cgroups; import os\n"
            "facts = probe_cgroups([os.getpid()]); print(facts.root, facts.reason)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout

    assert found.startswith("None the cgroup /system.slice/run-")
    assert "Delegate=yes" in found


@needs_root
def test_everything_can_be_limited_here(tree):
    assert tree.failed == ()
    limit(
        tree,
        Limits(
            memory_max=64 * MIB,
            memory_high=60 * MIB,
            memory_low=MIB,
            memory_oom_group=True,
            cpu_quota=0.5,
            cpu_burst=0.01,
            cpu_weight=50,
            allowed_cpus=(0,),
            allowed_memory_nodes=(0,),
            io_read_bandwidth_max={"/": 20 * MIB},
            io_write_iops_max={"/": 1000},
            tasks_max=64,
        ),
    )

    folder = Path(tree.root, WORKLOAD)
    assert (folder / "memory.max").read_text() == f"{64 * MIB}\n"
    assert (folder / "memory.swap.max").read_text() == "0\n"
    assert (folder / "cpu.max").read_text() == "50000 100000\n"
    assert (folder / "cpu.max.burst").read_text() == "10000\n"
    assert f"rbps={20 * MIB} wbps=max riops=max wiops=1000" in (folder / "io.max").read_text()

    limit(tree, Limits(tasks_max=None), create=False)

    assert (folder / "memory.max").read_text() == "max\n"
    assert (folder / "memory.swap.max").read_text() == "max\n"
    assert (folder / "cpu.max").read_text() == "max 100000\n"
    assert (folder / "cpuset.cpus").read_text() == "\n"
    assert (folder / "io.max").read_text() == ""
    assert (folder / "pids.max").read_text() == "max\n"


@needs_root
def test_promised_memory_is_promised_all_the_way_up(tree):
    """The unit has MemoryLow=, but no MemoryMin=."""
    limits = Limits(memory_low=8 * MIB, memory_min=MIB)
    plan = cgroup_writes(limits, tree.host())

    assert [item.key for item in plan.unsupported] == ["memory_min"]
    assert tree.create(APP, plan.writes) == []

    def promised():
        return Path(tree.root, "tenants", "memory.low").read_text()

    assert promised() == f"{8 * MIB}\n"
    assert tree.remove(APP)
    assert promised() == "0\n"


@needs_root
def test_quota_is_lowered_below_an_old_burst(tree):
    limit(tree, Limits(cpu_quota=1.0, cpu_burst=0.1))
    limit(tree, Limits(cpu_quota=0.2, cpu_burst=0.01), create=False)

    assert Path(tree.root, WORKLOAD, "cpu.max").read_text() == "20000 100000\n"


def test_process_above_memory_max_is_killed_and_counted(tree):
    limit(tree, Limits())
    assert inside(tree, lambda: eat(48 * MIB)) == "eaten"
    limit(tree, Limits(memory_max=16 * MIB), create=False)

    with watching(tree) as watch:
        assert inside(tree, lambda: eat(48 * MIB)) is None
        assert Change(APP, MEMORY) in changes_within(watch, 5)

    usage = tree.usage(APP)
    assert usage.oom_kill_events == 1
    assert usage.memory_max_events > 0
    assert tree.usage(customer_path("acme")).oom_kill_events == 1


def test_fork_above_tasks_max_fails_and_is_counted(tree):
    limit(tree, Limits(tasks_max=8))

    def fork_often():
        pids = []
        try:
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    time.sleep(30)
                    os._exit(0)
                pids.append(pid)
        except OSError as error:
            return [len(pids), errno.errorcode[error.errno]]
        finally:
            for pid in pids:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
        return [len(pids), "no limit"]

    with watching(tree) as watch:
        assert inside(tree, fork_often) == [7, "EAGAIN"]
        assert Change(APP, PIDS) in changes_within(watch, 5)
    assert tree.usage(APP).tasks_max_events >= 1

    limit(tree, Limits(tasks_max=None), create=False)
    assert inside(tree, fork_often) == [20, "no limit"]


@needs_root
@pytest.mark.parametrize(("cpu_quota", "lowest", "highest"), [(0.2, 0.1, 0.25), (None, 0.5, 1.1)])
def test_cpu_quota_bounds_the_share_of_a_busy_loop(tree, cpu_quota, lowest, highest):
    limit(tree, Limits(cpu_quota=cpu_quota))

    def burn():
        began, used = time.monotonic(), time.process_time()
        while time.monotonic() < began + 3:
            pass
        return (time.process_time() - used) / (time.monotonic() - began)

    assert lowest <= inside(tree, burn) <= highest
    usage = tree.usage(APP)
    assert (usage.cpu_throttled_us > 0) == (cpu_quota is not None)


@needs_root
def test_allowed_cpus_are_the_affinity(tree):
    limit(tree, Limits(allowed_cpus=(1,)))

    assert inside(tree, lambda: sorted(os.sched_getaffinity(0))) == [1]


@needs_root
@pytest.mark.parametrize(("limits", "slow"), [({"/": MIB}, True), ({}, False)])
def test_write_bandwidth_bounds_direct_writes(tree, limits, slow):
    limit(tree, Limits(io_write_bandwidth_max=limits))

    def write():
        path = "/var/tmp/io-test"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        began = time.monotonic()
        with mmap.mmap(-1, MIB) as block:
            for _ in range(3):
                os.write(fd, block)
        os.close(fd)
        os.unlink(path)
        return time.monotonic() - began

    assert (inside(tree, write) > 1.5) is slow
    assert tree.usage(APP).total_traffic().write_bytes >= 3 * MIB


def test_slice_bounds_the_sum_of_its_apps(tree):
    plan = cgroup_writes(Limits(memory_max=16 * MIB, tasks_max=None), tree.host())
    app = cgroup_writes(Limits(memory_max=256 * MIB), tree.host())
    assert tree.create(APP, app.writes, plan.writes) == []

    assert inside(tree, lambda: eat(48 * MIB)) is None


@pytest.fixture
def quota_disk(tmp_path):
    """Yield a small ext4 with user quotas; needs the modules loop and quota_v2."""
    image, folder = tmp_path / "disk", tmp_path / "mnt"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "quota", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    # The feature alone counts.
    with pytest.raises(quota.QuotaUnavailable, match="not enforced"):
        quota.set_quota(str(folder), TENANT, MIB, None)
    subprocess.run(["umount", folder], check=True)
    subprocess.run(["mount", "-o", "loop,usrquota", image, folder], check=True)
    folder.chmod(0o777)
    yield folder
    subprocess.run(["umount", folder], check=True)


def as_tenant(folder, function):
    """Return what the function returns or raises, called by a tenant inside the folder."""

    def run():
        os.chdir(folder)  # pytest's folders above it are closed to others
        os.setgroups([])
        os.setresgid(TENANT, TENANT, TENANT)
        os.setresuid(TENANT, TENANT, TENANT)
        try:
            return function()
        except OSError as error:
            return errno.errorcode[error.errno]

    return run_forked(run)


@needs_root
def test_disk_quota_ends_a_tenants_writing(quota_disk):
    def fill():
        Path("big").write_bytes(bytes(4 * MIB))
        return "written"

    assert as_tenant(quota_disk, fill) == "written"
    quota.set_quota(str(quota_disk), TENANT, 2 * MIB, None)

    (quota_disk / "big").unlink()
    assert as_tenant(quota_disk, fill) == "EDQUOT"
    found = quota.get_quota(str(quota_disk), TENANT)
    assert found.bytes_max == 2 * MIB
    assert 0 < found.used_bytes <= 2 * MIB
    assert found.inodes_max is None


@needs_root
def test_inode_quota_ends_a_tenants_making_of_files(quota_disk):
    def make_many():
        for number in range(20):
            Path(str(number)).touch()
        return "made"

    quota.set_quota(str(quota_disk), TENANT, None, 5)

    assert as_tenant(quota_disk, make_many) == "EDQUOT"
    assert quota.get_quota(str(quota_disk), TENANT).used_inodes == 5

    quota.set_quota(str(quota_disk), TENANT, None, quota.INFINITY)
    assert as_tenant(quota_disk, make_many) == "made"
    assert quota.get_quota(str(quota_disk), TENANT).inodes_max is None
