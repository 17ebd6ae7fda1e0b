from pathlib import Path

import pytest

from limits.cgroups import facts
from limits.cgroups.facts import (
    CgroupFacts,
    Mode,
    cgroup_mounts,
    mode_of,
    own_path,
    probe_cgroups,
    v2_mount,
)

UNIFIED = "25 18 0:22 / /sys/fs/cgroup rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "28 25 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
TMPFS = "24 18 0:21 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
HYBRID = "27 24 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
BOUND = "90 1 0:24 /some/part /mnt/x rw - cgroup2 cgroup2 rw\n"
SPACED = "91 1 0:24 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"


def mounts(text):
    return list(cgroup_mounts(text))


@pytest.mark.parametrize(
    ("mountinfo", "mode", "mount"),
    [
        (UNIFIED, Mode.UNIFIED, "/sys/fs/cgroup"),
        (TMPFS + V1 + HYBRID, Mode.HYBRID, "/sys/fs/cgroup/unified"),
        (TMPFS + V1 + SPACED, Mode.HYBRID, "/mnt/a b"),
        (TMPFS + V1, Mode.LEGACY, None),
        (TMPFS, Mode.NONE, None),
        (V1 + BOUND, Mode.LEGACY, None),
        ("", Mode.NONE, None),
        ("garbage\n - \n", Mode.NONE, None),
    ],
)
def test_mode_and_mount_are_read_from_mountinfo(mountinfo, mode, mount):
    assert mode_of(mounts(mountinfo)) is mode
    assert v2_mount(mounts(mountinfo)) == mount


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/emperord.service\n", "/system.slice/emperord.service"),
        ("4:memory:/x\n0::/\n", ""),
        ("4:memory:/x\n", None),
        ("0::/../outside\n", None),
        ("0::/gone (deleted)\n", None),
    ],
)
def test_own_path_is_that_of_the_v2_hierarchy(text, path):
    assert own_path(text) == path


class Machine:
    """A made-up cgroupfs below a folder, and who asks."""

    def __init__(self, directory, monkeypatch):
        self.mount = str(directory)
        self.marked = {}
        self.euid = 0
        self.own = ""
        self.owner = 0
        self.systemd = True
        monkeypatch.setattr(facts, "_euid", lambda: self.euid)
        monkeypatch.setattr(facts, "_owner", lambda path: self.owner)
        monkeypatch.setattr(facts, "_has_systemd", lambda: self.systemd)
        monkeypatch.setattr(facts, "_attribute", lambda path, name: self.marked.get((path, name)))
        monkeypatch.setattr(facts, "own_path", lambda text: self.own)
        (directory / "cgroup.procs").touch()

    def add(self, path, pids=(), controllers="cpu memory"):
        directory = Path(self.mount, path.lstrip("/"))
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("cgroup.procs", "".join(f"{pid}\n" for pid in pids)),
            ("cgroup.subtree_control", ""),
            ("cgroup.controllers", controllers),
        ):
            (directory / name).write_text(text)

    def mark(self, path, name="user.delegate"):
        self.marked[(self.mount + path, name)] = b"1"

    def probe(self, ours=(1, 2)):
        return probe_cgroups(ours, mount=self.mount)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


UNIT = "/system.slice/emperord.service"


@pytest.mark.parametrize("mark", ["trusted.delegate", "user.delegate"])
def test_delegated_unit_is_ours_with_its_controllers(machine, mark):
    machine.own = UNIT
    machine.add(UNIT, [1, 2])
    machine.mark(UNIT, mark)

    found = machine.probe()

    assert found.root == machine.mount + UNIT
    assert found.controllers == {"cpu", "memory"}
    assert not found.private


def test_process_in_supervisor_finds_the_unit_above(machine):
    machine.own = f"{UNIT}/supervisor"
    machine.add(machine.own, [1, 2])
    machine.add(UNIT)
    machine.mark(UNIT)

    assert machine.probe().root == machine.mount + UNIT


def test_delegated_unit_that_is_named_supervisor_is_ours_itself(machine):
    machine.own = "/system.slice/supervisor"
    machine.add(machine.own, [1])
    machine.mark(machine.own)

    assert machine.probe().root == machine.mount + machine.own


def test_root_in_the_scope_of_a_shell_takes_nothing_over(machine):
    machine.own = "/user.slice/user-0.slice/session-1.scope"
    machine.add(machine.own, [1, 2])

    found = machine.probe()

    assert found.root is None
    assert "session-1.scope was not delegated" in found.reason
    assert "Delegate=yes" in found.reason
    assert found.controllers == frozenset()


def test_root_at_the_top_takes_nothing_over_where_systemd_manages(machine):
    assert machine.probe().root is None


def test_root_at_the_top_gets_a_private_tree_where_nobody_manages(machine):
    machine.systemd = False
    machine.add("/", controllers="hugetlb")

    found = machine.probe()

    assert found.root == f"{machine.mount}/emperord"
    assert found.private
    assert found.controllers == {"hugetlb"}


USER_UNIT = "/user.slice/user-1000.slice/user@1000.service/app.slice/emperor.service"
USER_MANAGER = "/user.slice/user-1000.slice/user@1000.service"


def as_user(machine, pids):
    machine.own = USER_UNIT
    machine.euid = machine.owner = 1000
    machine.add(USER_UNIT, pids)


def test_users_own_cgroup_without_strangers_is_ours_under_an_old_systemd(machine):
    as_user(machine, [1, 2])

    assert machine.probe().root == machine.mount + USER_UNIT


def test_users_cgroup_with_a_shell_inside_is_not_ours(machine):
    as_user(machine, [1, 2, 77])

    found = machine.probe()

    assert found.root is None
    assert "systemd-run --user" in found.reason


def test_users_service_without_mark_is_ours_for_its_systemd_sets_none(machine):
    as_user(machine, [1, 2])
    machine.mark(USER_MANAGER)

    assert machine.probe().root == machine.mount + USER_UNIT


def test_users_service_with_a_stranger_inside_is_not_ours_below_a_mark_either(machine):
    as_user(machine, [1, 2, 77])
    machine.mark(USER_MANAGER)

    assert machine.probe().root is None


def test_users_scope_without_mark_is_not_ours_under_a_systemd_that_marks(machine):
    as_user(machine, [1, 2])
    machine.own = USER_UNIT.replace(".service", ".scope").replace("@1000.scope", "@1000.service")
    machine.add(machine.own, [1, 2])
    machine.mark(USER_MANAGER)

    assert machine.probe().root is None
    machine.mark(machine.own)
    assert machine.probe().root == machine.mount + machine.own


def test_cgroup_of_another_user_is_not_ours(machine):
    as_user(machine, [1, 2])
    machine.owner = 1001

    assert machine.probe().root is None


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (CgroupFacts(mode=Mode.LEGACY, reason="only v1"), "systemd.unified_cgroup_hierarchy=1"),
        (CgroupFacts(mode=Mode.HYBRID, root="/x"), "cgroup_no_v1=all"),
        (CgroupFacts(mode=Mode.UNIFIED, reason="not delegated: do this"), "do this"),
        (CgroupFacts(mode=Mode.UNIFIED, root="/x"), "Delegate=yes"),
        (CgroupFacts(mode=Mode.UNIFIED, root="/x", euid=1000), "user@.service.d"),
    ],
)
def test_advice_says_what_to_do_about_a_missing_controller(made, word):
    assert word in made.advice()
