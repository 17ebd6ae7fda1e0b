"""Real cgroups with real processes; limits as far as this machine's cgroup2 has controllers."""

import contextlib
import os
import select
import signal
import time
from pathlib import Path

import pytest

from limits.cgroups.facts import is_marked, probe_cgroups
from limits.cgroups.join import JoinCgroup
from limits.cgroups.names import app_path, customer_path
from limits.cgroups.tree import NotDelegated, claim
from limits.cgroups.watch import EVENTS, CgroupWatch, Change
from limits.cgroups.writes import CgroupHost, Write, cgroup_writes, io_paths
from limits.directives import Limits
from tests.support.cgroups import APP, child, tree_over
from tests.support.forked import run_forked
from tests.support.need import need_root
from tests.support.wait import wait_until

NOBODY = 65534
WORKLOAD = f"{APP}/workload"


@pytest.fixture
def tree(tmp_path):
    with tree_over(tmp_path) as tree:
        yield tree


@contextlib.contextmanager
def joined(tree, run=lambda: None):
    """Yield a child that joined the app's workload and then did `run`."""
    master, workload = tree.open_procs(APP)

    def start():
        JoinCgroup(workload).execute()
        run()

    try:
        with child(start) as (pid, ready):
            assert os.read(ready, 1) == b"."
            yield pid
    finally:
        os.close(master)
        os.close(workload)


def text_of(tree, path, file):
    return Path(tree.root, path, file).read_text().strip()


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def test_claimed_tree_is_found_again_by_a_process_inside_it(tree):
    name = tree.root.rpartition("/")[2]

    def later_brain():
        facts = probe_cgroups([], private_name=name)
        again = claim(facts, [os.getpid()])
        inside = probe_cgroups([], private_name=name)
        return [facts.root, again.root, inside.root, inside.own]

    first, again, inside, own = run_forked(later_brain)

    assert first == again == inside == tree.root
    assert own.endswith(f"{name}/supervisor")
    assert is_marked(tree.root)


def test_private_tree_is_dissolved_by_those_who_claimed_it():
    need_root()
    name = f"emperord-test-{os.getpid()}"

    def last_brain():
        facts = probe_cgroups([os.getpid()], private_name=name)
        if not facts.private:
            return [False, False]
        tree = claim(facts, [os.getpid()])
        tree.create(APP)
        tree.remove(APP)
        inside = Path("/proc/self/cgroup").read_text().endswith(f"0::/{name}/supervisor\n")
        return [inside and tree.dissolve(), Path(tree.root).exists()]

    dissolved, still_there = run_forked(last_brain)

    assert not still_there
    assert dissolved == probe_cgroups([os.getpid()], private_name=name).private


def test_tree_that_is_not_delegated_is_not_claimed():
    facts = probe_cgroups([os.getpid()])

    with pytest.raises(NotDelegated):
        claim(type(facts)(mode=facts.mode, reason="not ours"), [os.getpid()])


def test_child_joins_master_and_workload_by_descriptors_after_its_uid_change(tree):
    tree.create(APP)
    for which, name in ((0, "master"), (1, "workload")):
        fds = tree.open_procs(APP)

        def join(fd=fds[which]):
            become_nobody()
            JoinCgroup(fd).execute()
            return Path("/proc/self/cgroup").read_text()

        own = run_forked(join)
        for fd in fds:
            os.close(fd)
        assert f"/{APP}/{name}\n" in own


def test_descriptor_is_closed_by_joining(tree):
    tree.create(APP)
    fds = tree.open_procs(APP)

    def join():
        JoinCgroup(fds[1]).execute()
        return Path(f"/proc/self/fd/{fds[1]}").exists()

    still_open = run_forked(join)
    for fd in fds:
        os.close(fd)

    assert still_open is False


def test_nobody_cannot_leave_its_cgroup_without_a_descriptor(tree):
    tree.create(APP)
    fds = tree.open_procs(APP)

    def leave():
        JoinCgroup(fds[1]).execute()
        become_nobody()
        try:
            Path(tree.root, "supervisor", "cgroup.procs").write_text("0")
        except OSError as error:
            return error.strerror
        return "left"

    result = run_forked(leave)
    for fd in fds:
        os.close(fd)

    assert result == "Permission denied"


def fork_a_daemon():
    """Leave session and parent, as what does not want to be found does."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                signal.pause()
        os._exit(0)


@pytest.mark.parametrize("with_cgroup_kill", [True, False])
def test_kill_ends_a_daemon_that_left_its_session(tree, monkeypatch, with_cgroup_kill):
    tree.create(APP)
    if not with_cgroup_kill:
        monkeypatch.setattr(tree, "kill", tree._kill_one_by_one)
    with joined(tree, fork_a_daemon):
        wait_until(lambda: len(tree.pids(APP)) == 2)
        assert tree.is_populated(APP)

        tree.kill(APP)

        assert tree.wait_empty(APP, 5)
    assert tree.pids(APP) == []


def test_control_run_signal_to_the_child_leaves_the_daemon(tree):
    tree.create(APP)
    with joined(tree, fork_a_daemon) as pid:
        wait_until(lambda: len(tree.pids(APP)) == 2)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        assert not tree.wait_empty(APP, 0.1)
        assert len(tree.pids(APP)) == 1


def test_frozen_app_stops_and_goes_on_after_thawing(tree):
    tree.create(APP)
    counted, counter = os.pipe()

    def count():
        if os.fork() == 0:
            while True:
                os.write(counter, b".")
                time.sleep(0.005)

    try:
        with joined(tree, count):
            assert os.read(counted, 1)
            tree.freeze(APP)
            wait_until(lambda: tree.is_frozen(APP))
            os.set_blocking(counted, False)
            with contextlib.suppress(BlockingIOError):
                while os.read(counted, 65536):
                    pass
            assert not select.select([counted], [], [], 0.1)[0]

            tree.thaw(APP)

            assert select.select([counted], [], [], 5)[0]
            tree.kill(APP)
            assert tree.wait_empty(APP, 5)
    finally:
        os.close(counted)
        os.close(counter)


def test_frozen_app_is_killed_without_thawing(tree):
    tree.create(APP)
    with joined(tree):
        tree.freeze(APP)
        wait_until(lambda: tree.is_frozen(APP))

        tree.kill(APP)

        assert tree.wait_empty(APP, 5)


def test_descriptors_of_a_frozen_app_are_opened_thawed(tree):
    tree.create(APP)
    tree.freeze(APP)

    with joined(tree) as pid:  # would hang
        assert tree.pids(APP) == [pid]


def test_populated_cgroup_is_not_removed_and_an_empty_one_is(tree):
    tree.create(APP)
    with joined(tree):
        assert not tree.remove(APP)
        assert tree.apps() == [APP]
        tree.kill(APP)
        assert tree.wait_empty(APP, 5)

        assert tree.remove(APP)

    assert tree.apps() == []
    assert tree.customers() == []
    assert tree.remove(APP)


def test_what_a_failed_removal_took_is_made_again_by_create(tree):
    tree.create(APP)
    with joined(tree):
        tree.remove(APP)
        tree.create(APP)
        assert Path(tree.root, APP, "master").is_dir()


def test_slice_stays_until_the_last_app_of_its_customer_goes(tree):
    other = app_path("acme", "blog")
    tree.create(APP)
    tree.create(other)

    tree.remove(APP)
    assert tree.customers() == [customer_path("acme")]
    tree.remove(other)
    assert tree.customers() == []


def test_orphans_are_what_exists_and_is_not_wanted(tree):
    other = app_path("beta", "blog")
    tree.create(APP)
    tree.create(other)

    assert tree.orphans({APP}) == [other]


def test_watch_tells_that_an_app_became_populated_and_empty(tree):
    tree.create(APP)
    tree.create(app_path("beta", "idle"))
    watch = CgroupWatch(tree.root)
    try:
        watch.add(APP)
        watch.add(app_path("beta", "idle"))
        assert watch.read() == []
        with joined(tree):
            assert select.select([watch], [], [], 5)[0]
            assert watch.read() == [Change(APP, EVENTS)]
            tree.kill(APP)
            assert tree.wait_empty(APP, 5)
            assert select.select([watch], [], [], 5)[0]
            assert watch.read() == [Change(APP, EVENTS)]
        watch.discard(APP)
        tree.remove(APP)
        assert watch.read() == []
    finally:
        watch.close()


def test_watch_forgets_what_was_removed_under_it(tree):
    tree.create(APP)
    watch = CgroupWatch(tree.root)
    try:
        watch.add(APP)
        tree.remove(APP)
        assert watch.read() == []
        watch.discard(APP)
    finally:
        watch.close()


def test_every_controller_there_is_reaches_the_workload(tree):
    tree.create(APP)

    have = set(text_of(tree, "", "cgroup.controllers").split()) - {
        failure.text.lstrip("+") for failure in tree.failed
    }

    assert set(text_of(tree, WORKLOAD, "cgroup.controllers").split()) == have


def test_plan_of_this_machine_is_written_and_read_back(tree):
    plan = cgroup_writes(Limits(memory_max=64 * 2**20, tasks_max=10), tree.host())
    assert tree.create(APP, plan.writes) == []

    for write in plan.writes:
        if not write.device and write.file != "cpuset.cpus":
            assert text_of(tree, WORKLOAD, write.file) == write.text.strip(), write
    assert plan.writes or plan.unsupported


def test_hugetlb_limit_is_set_changed_and_taken_away_where_there_is_the_controller(tree):
    host = tree.host()
    plans = [
        cgroup_writes(Limits(hugetlb_max=asked, tasks_max=None), host)
        for asked in ({"2MB": 8 * 2**20}, {"2MB": 4 * 2**20}, {})
    ]
    if "hugetlb.2MB.max" not in host.files:
        assert [item.key for item in plans[0].unsupported] == ["hugetlb_max"]
        return

    shown = []
    for plan in plans:
        assert tree.create(APP, plan.writes) == []
        shown.append(text_of(tree, WORKLOAD, "hugetlb.2MB.max"))

    assert shown == ["8388608", "4194304", "max"]


def test_failed_write_names_file_errno_and_key(tree):
    tree.create(APP)

    (failure,) = tree.apply(WORKLOAD, [Write("nonsense.max", "1", ("nonsense",))])

    assert failure.path.endswith("/workload/nonsense.max")
    assert failure.keys == ("nonsense",)
    assert "ENOENT" in str(failure) or "EACCES" in str(failure)


def test_host_resolves_the_paths_of_io_limits(tree):
    paths = io_paths(Limits(io_read_bandwidth_max={"/": 1, "/proc": 1, "/nowhere": 1}))

    host = tree.host(paths)

    assert isinstance(host, CgroupHost)
    assert "/proc" in host.no_device
    assert "No such file" in host.no_device["/nowhere"]
    assert "/" in host.devices or "/" in host.no_device


def test_usage_of_a_running_app_is_read(tree):
    tree.create(APP)
    with joined(tree):
        usage = tree.usage(APP)

    assert usage.cpu_us >= 0
    assert tree.usage(customer_path("acme")).cpu_us >= usage.cpu_us
