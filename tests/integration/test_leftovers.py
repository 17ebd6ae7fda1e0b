"""The check that runs after every process test finds what it is there to find."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emperor.brain.cgroups import tree_name
from tests.support import leftovers
from tests.support.cgroups import cgroup2_mount
from tests.support.need import need_root
from tests.support.processes import alive, children, cmdline, fds_of, pid_tree, state
from tests.support.wait import wait_until


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "GRACE_S", 0.05)


@pytest.mark.usefixtures("short_grace")
def test_a_child_that_stays_is_named_and_killed() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    # Until it has exec'd it is called as we are.
    wait_until(lambda: cmdline(child.pid) == "sleep 1000", what="exec")

    assert leftovers.stray_processes(before=set()) == [f"process {child.pid}: sleep 1000"]

    assert not alive(child.pid)
    child.wait()


@pytest.mark.usefixtures("short_grace")
def test_a_grandchild_whose_parent_died_is_named_and_killed() -> None:
    subprocess.run(["sh", "-c", "setsid sleep 1001 &"], check=True)
    wait_until(lambda: [cmdline(pid) for pid in children(os.getpid())] == ["sleep 1001"])

    (found,) = leftovers.stray_processes(before=set())

    assert found.endswith(": sleep 1001")
    assert children(os.getpid()) == []


@pytest.mark.usefixtures("short_grace")
def test_a_child_that_was_there_before_is_left_alone() -> None:
    child = subprocess.Popen(["sleep", "1000"])

    assert leftovers.stray_processes(before={child.pid}) == []

    assert alive(child.pid)
    child.kill()
    child.wait()


def test_a_child_that_goes_within_the_grace_is_no_stray() -> None:
    child = subprocess.Popen(["sleep", "0.05"])

    assert leftovers.stray_processes(before=set()) == []

    child.wait()


def test_a_zombie_is_not_alive_and_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    wait_until(lambda: state(child.pid) == "Z", what="zombie")

    assert not alive(child.pid)
    assert leftovers.stray_processes(before=set()) == []
    assert children(os.getpid()) == []
    child.wait()


def test_an_open_descriptor_is_named(tmp_path: Path) -> None:
    before = fds_of(os.getpid())
    with (tmp_path / "file").open("w") as file:
        assert leftovers.stray_fds(before) == [f"fd {file.fileno()}: {tmp_path / 'file'}"]
    assert leftovers.stray_fds(before) == []


def test_files_left_in_a_directory_are_named(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "a.sock").touch()

    assert leftovers.stray_files(tmp_path) == ["file hosts", "file hosts/a.sock"]
    assert leftovers.stray_files(tmp_path / "gone") == []


def test_cgroup_of_an_emperor_that_has_stopped_is_named(tmp_path: Path) -> None:
    need_root()
    mount, mounted = cgroup2_mount(tmp_path)
    tree = Path(mount, tree_name("/run/of-a-test"))
    (tree / "tenants").mkdir(parents=True)
    try:
        found = leftovers.stray_cgroups(Path("/run/of-a-test"))
        assert found == [f"cgroup {tree}", f"cgroup {tree}/tenants"]
    finally:
        (tree / "tenants").rmdir()
        tree.rmdir()
        if mounted:
            subprocess.run(["umount", tmp_path], check=True)
    assert leftovers.stray_cgroups(Path("/run/of-a-test")) == []


def test_mount_is_named(tmp_path: Path) -> None:
    need_root()
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    try:
        [found] = leftovers.stray_mounts(tmp_path.parent)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert found.startswith("mount ")
    assert leftovers.stray_mounts(tmp_path.parent) == []


def test_the_tree_of_a_process_has_all_its_descendants() -> None:
    script = "import subprocess; subprocess.run(['sleep', '1000'])"
    child = subprocess.Popen([sys.executable, "-c", script])
    wait_until(lambda: len(pid_tree(child.pid)) == 1, what="grandchild")

    (grandchild,) = pid_tree(child.pid)

    assert pid_tree(os.getpid()) == [child.pid, grandchild]
    os.kill(grandchild, 9)
    child.wait()
