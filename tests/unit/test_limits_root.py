import msgspec
import pytest

from limits.confinement import Confinement
from limits.directives import Bind, Sandbox, Subject, TemporaryFileSystem
from limits.facts import Capability, HostFacts
from limits.mount_steps import CopyRoot, IsolateMounts, PlaceMount, SwitchRoot, VerifyRoot
from limits.mountinfo import parse, reachable
from limits.mounts import Cover, FileSystem, Hide, PrivateRoot, Restrict, Scratch, Seal, Show
from limits.namespace_steps import EnterNamespace, EnterUserNamespace
from limits.namespaces import id_map, namespaces_for
from limits.plan import plan
from limits.root import private_root
from limits.steps import LockCapabilities, SetRlimit, SetUid

ROOT = HostFacts(
    uids=(0, 0, 0),
    gids=(0, 0, 0),
    capabilities=2**41 - 1,
    can_pid_namespace=True,
    namespaces=("mnt", "ipc", "uts", "net", "cgroup", "user"),
    mount_api=True,
)
OPEN = Sandbox(
    private_pids=False,
    private_ipc=False,
    protect_hostname=False,
    protect_control_groups=False,
    private_tmp=None,
    private_devices=False,
    protect_system="no",
    protect_home="no",
    protect_proc="default",
    protect_kernel_tunables=False,
    protect_kernel_modules=False,
    protect_kernel_logs=False,
)


def subject(*homes, hidden=()):
    return Subject(
        vassal="blog", customer="anna", uid=33, gid=34, groups=(50,), homes=homes, hidden=hidden
    )


def only(**directives):
    return msgspec.structs.replace(OPEN, **directives)


def mounts_of(sandbox, *homes, hidden=()):
    return private_root(sandbox, subject(*homes, hidden=hidden)).mounts


def at(mounts, path):
    return [mount for mount in mounts if mount.path == path]


def test_nothing_asked_for_means_no_private_root():
    assert private_root(OPEN, subject(("/srv/blog", True), hidden=("/run/emperor",))) is None
    assert namespaces_for(OPEN, has_root=False) == ()


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("private_pids", True),
        ("private_tmp", TemporaryFileSystem()),
        ("private_devices", True),
        ("protect_system", "true"),
        ("protect_home", "read-only"),
        ("protect_proc", "invisible"),
        ("proc_subset", "pid"),
        ("protect_kernel_tunables", True),
        ("protect_kernel_modules", True),
        ("protect_kernel_logs", True),
        ("protect_control_groups", True),
        ("read_only_paths", ("/srv",)),
        ("read_write_paths", ("/srv",)),
        ("inaccessible_paths", ("/srv",)),
        ("no_exec_paths", ("/srv",)),
        ("bind_paths", (Bind(source="/a", target="/b"),)),
        ("bind_read_only_paths", (Bind(source="/a", target="/b"),)),
        ("temporary_file_system", {"/srv": TemporaryFileSystem()}),
        ("root_directory", "/srv/jail"),
    ],
)
def test_each_directive_alone_asks_for_a_private_root_that_answers_to_it(directive, value):
    sandbox = only(**{directive: value})
    root = private_root(sandbox, subject())

    assert "mnt" in namespaces_for(sandbox, has_root=root is not None)
    assert root.directives == (() if directive == "private_pids" else (directive,))
    assert all(mount.describe() for mount in root.mounts)


def test_shallow_paths_come_before_deep_ones():
    mounts = mounts_of(Sandbox(), ("/srv/a/b/c", True), hidden=("/srv/a", "/run/emperor"))

    depths = [mount.path.count("/") for mount in mounts if not isinstance(mount, Seal)]

    assert depths[1:] == sorted(depths[1:])
    assert mounts[0].path == "/"


def test_seals_come_last_when_all_mount_points_are_made():
    mounts = mounts_of(Sandbox(), ("/home/anna/blog", True))
    kinds = [isinstance(mount, Seal) for mount in mounts]

    assert kinds == sorted(kinds)
    assert {mount.path for mount in mounts if isinstance(mount, Seal)} >= {"/dev", "/home"}


def test_home_below_a_protected_home_gets_its_mount_point_there():
    mounts = mounts_of(only(protect_home="tmpfs"), ("/home/anna/blog", True))

    (home,) = at(mounts, "/home/anna/blog")

    assert home.below == "/home"
    assert not home.read_only
    assert home.no_suid
    assert home.no_dev


def test_hidden_folder_opens_only_as_far_as_there_is_something_below():
    mounts = mounts_of(
        only(protect_system="strict"),
        ("/run/emperor/logs/blog", True),
        hidden=("/run/emperor", "/etc/emperor"),
    )

    opened, sealed = at(mounts, "/run/emperor")

    assert isinstance(opened, Cover)
    assert opened.mode == 0o755
    assert isinstance(sealed, Seal)
    assert [type(mount) for mount in at(mounts, "/etc/emperor")] == [Hide]


def test_home_in_a_home_has_no_mount_point_made_for_it():
    mounts = mounts_of(only(protect_home="true"), ("/home/anna", True), ("/home/anna/venv", False))

    (venv,) = at(mounts, "/home/anna/venv")

    assert venv.below is None
    assert venv.read_only


def test_home_on_the_same_path_wins_over_what_hides_it():
    mounts = mounts_of(only(protect_home="tmpfs"), ("/home", True), hidden=("/srv",))

    assert [type(mount) for mount in at(mounts, "/home")] == [Show]


def test_what_somebody_wrote_wins_over_a_home_on_the_same_path():
    sandbox = only(inaccessible_paths=("/srv/a",), read_only_paths=("/srv/b",))
    mounts = mounts_of(sandbox, ("/srv/a", True), ("/srv/b", True))

    assert [type(mount) for mount in at(mounts, "/srv/a")] == [Hide]
    assert [type(mount) for mount in at(mounts, "/srv/b")] == [Show, Restrict]


def test_optional_bind_that_may_be_missing_does_not_uncover_what_it_lies_on():
    bind = Bind(source="/data", target="/home", optional=True)
    mounts = mounts_of(only(protect_home="tmpfs", bind_paths=(bind,)))

    assert [type(mount) for mount in at(mounts, "/home")][:2] == [Cover, Show]


def test_minus_makes_a_written_path_optional_and_nothing_else_does():
    bind = Bind(source="/c", target="/d", optional=True)
    mounts = mounts_of(only(read_only_paths=("-/a", "/b"), bind_paths=(bind,)))

    assert [at(mounts, path)[0].optional for path in ("/a", "/b", "/d")] == [True, False, True]


def test_writable_path_comes_from_the_host_with_the_root_directory_before_it():
    sandbox = only(root_directory="/srv/jail", read_write_paths=("/var/lib/x",))

    (shown,) = at(mounts_of(sandbox), "/var/lib/x")

    assert (shown.base, shown.source) == ("/srv/jail", "/var/lib/x")


def test_writable_path_below_a_bind_comes_from_where_that_comes_from():
    sandbox = only(
        bind_read_only_paths=(Bind(source="/data/x", target="/srv/x"),),
        read_write_paths=("/srv/x/cache",),
    )

    (shown,) = at(mounts_of(sandbox), "/srv/x/cache")

    assert (shown.base, shown.source) == ("/", "/data/x/cache")


@pytest.mark.parametrize("path", ["/home", "/home/anna", "/tmp/x"])
def test_writable_path_does_not_show_what_is_covered(path):
    sandbox = only(
        protect_home="tmpfs", private_tmp=TemporaryFileSystem(), read_write_paths=(path,)
    )

    asked = [mount for mount in at(mounts_of(sandbox), path) if mount.key == "read_write_paths"]

    assert [type(mount) for mount in asked] == [Restrict]
    assert not asked[0].read_only


def test_no_exec_reaches_what_is_shown_below():
    sandbox = only(no_exec_paths=("/srv",), private_tmp=TemporaryFileSystem())
    mounts = mounts_of(sandbox, ("/srv/blog", True))

    assert at(mounts, "/srv/blog")[0].no_exec
    assert not at(mounts, "/tmp")[0].no_exec


def test_nothing_can_be_mounted_on_the_root_itself():
    with pytest.raises(ValueError, match="temporary_file_system: nothing can be mounted on /"):
        private_root(only(temporary_file_system={"/": TemporaryFileSystem()}), subject())


@pytest.mark.parametrize("path", ["srv", "/srv/../etc", "/srv/", "//srv", "/srv/./x", "/a\0b", ""])
def test_path_that_is_not_normal_is_refused(path):
    with pytest.raises(ValueError, match="not an absolute, normal path"):
        Hide(path=path)


def test_both_temporary_folders_share_one_filesystem_and_its_bounds():
    mounts = mounts_of(only(private_tmp=TemporaryFileSystem(size=7, inodes=8)))
    tmp, var_tmp = (mount for mount in mounts if isinstance(mount, Scratch))

    assert (tmp.path, var_tmp.path) == ("/tmp", "/var/tmp")
    assert (tmp.size, tmp.inodes) == (var_tmp.size, var_tmp.inodes) == (7, 8)
    assert at(mounts, "/dev/shm")[0].size == 7


def test_proc_of_a_pid_namespace_is_always_a_new_one():
    (proc, *_) = at(mounts_of(only(private_pids=True)), "/proc")

    assert proc == FileSystem(
        path="/proc", type="proc", key="private_pids", no_suid=True, no_dev=True, no_exec=True
    )


def test_strict_leaves_the_kernels_filesystems_as_they_are_on_the_host():
    mounts = mounts_of(only(protect_system="strict"))

    assert [mount.path for mount in mounts if isinstance(mount, Show)][:3] == [
        "/proc",
        "/sys",
        "/dev",
    ]


def test_namespaces_are_named_in_the_order_of_making():
    sandbox = Sandbox(network="none", private_users=True)

    assert namespaces_for(sandbox, True) == ("mnt", "ipc", "uts", "net", "cgroup", "user")
    assert namespaces_for(Sandbox(), True) == ("mnt", "ipc", "uts", "cgroup")


def test_ids_are_mapped_in_as_few_ranges_as_possible():
    assert id_map([5, 1, 2, 2]) == "0 0 3\n5 5 1\n"
    assert id_map([]) == "0 0 1\n"


def confined(sandbox=Sandbox(private_users=True, network="none")):  # noqa: B008
    return Confinement(
        uid=33,
        gid=34,
        groups=(50,),
        rlimits={"core": (0, 0)},
        drop_capabilities=True,
        namespaces=namespaces_for(sandbox, has_root=True),
        root=private_root(sandbox, subject(("/srv/blog", True))),
    )


def test_steps_are_in_the_order_that_keeps_the_power_for_the_next():
    made = plan(confined(), ROOT)
    kinds = [type(step) for step in made.steps]
    order = [
        EnterNamespace,
        IsolateMounts,
        CopyRoot,
        PlaceMount,
        SwitchRoot,
        VerifyRoot,
        SetRlimit,
        EnterUserNamespace,
        LockCapabilities,
        SetUid,
    ]

    assert made.unsupported == ()
    positions = [kinds.index(kind) for kind in order]
    assert positions == sorted(positions)
    assert EnterUserNamespace((33,), (34, 50)) in made.steps


def test_confinement_with_a_root_survives_json():
    asked = confined()

    assert msgspec.json.decode(msgspec.json.encode(asked), type=Confinement) == asked
    assert str(asked.root).splitlines()[0] == "copy /"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"capabilities": 2**41 - 1 & ~(1 << Capability.SYS_ADMIN)}, "CAP_SYS_ADMIN"),
        ({"mount_api": False}, "mount_setattr"),
        ({"namespaces": ("ipc", "uts", "net", "cgroup", "user")}, "no mnt namespaces"),
    ],
)
def test_root_that_cannot_be_built_is_listed_directive_by_directive(facts, reason):
    made = plan(confined(), msgspec.structs.replace(ROOT, **facts))

    reasons = {item.key: item.reason for item in made.unsupported}

    for key in ("protect_system", "protect_home", "private_tmp", "private_devices"):
        assert reason in reasons[key]
    assert not [step for step in made.steps if isinstance(step, PlaceMount | SwitchRoot)]


def test_ordinary_user_is_told_why_there_are_no_namespaces():
    facts = msgspec.structs.replace(ROOT, uids=(7, 7, 7), capabilities=0)

    reasons = {item.key: item.reason for item in plan(confined(), facts).unsupported}

    for key in ("private_ipc", "protect_hostname", "network", "private_users"):
        assert "needs CAP_SYS_ADMIN, which uid 7 does not have here" in reasons[key]


def test_cgroups_are_hidden_where_they_cannot_be_the_vassals_own():
    facts = msgspec.structs.replace(ROOT, namespaces=("mnt", "ipc", "uts", "net", "user"))
    made = plan(confined(), facts)

    assert (
        PlaceMount(Hide(path="/sys/fs/cgroup", key="protect_control_groups", optional=True))
        in made.steps
    )
    assert made.degraded_keys() == {"protect_control_groups"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"namespaces": ("pid",)}, "no such namespace"),
        ({"root": PrivateRoot()}, "would change the host's mounts"),
        ({"namespaces": ("user",)}, "nobody would be mapped"),
    ],
)
def test_confinement_that_makes_no_sense_is_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        Confinement(**wrong)


MOUNTINFO = r"""30 1 8:1 / / ro,nosuid - ext4 /dev/sda ro
31 30 0:1 / /sys rw - sysfs sysfs rw
32 31 0:2 / /sys/kernel/debug rw - debugfs debugfs rw
33 30 0:1 / /sys ro - sysfs sysfs rw
34 31 0:1 / /sys ro - sysfs sysfs rw
35 30 0:3 / /home/a\040b rw - ext4 /dev/sdb rw
36 30 0:4 / /home ro - tmpfs none rw
37 36 0:3 / /home/c rw shared:1 master:2 - ext4 /dev/sdb rw
"""


def test_mounts_that_others_cover_are_not_reachable():
    mounts = parse(MOUNTINFO)

    assert mounts[5].path == "/home/a b"
    assert {mount.id for mount in reachable(mounts)} == {30, 33, 34, 36, 37}


def test_text_that_is_no_mountinfo_is_refused():
    with pytest.raises(ValueError, match="not a line of mountinfo"):
        parse("30 1 8:1 /\n")


def test_rules_of_what_is_read_only_follow_the_deepest_mount():
    sandbox = only(protect_system="strict", read_only_paths=("/srv/blog/static",))
    rules = private_root(sandbox, subject(("/srv/blog", True))).read_only_rules()

    assert rules["/"] is True
    assert rules["/srv/blog"] is False
    assert rules["/srv/blog/static"] is True


def test_system_bus_is_hidden_unless_somebody_binds_it_again():
    bus = "/run/dbus/system_bus_socket"
    bind = Bind(source=bus, target=bus)

    assert [type(mount) for mount in at(mounts_of(Sandbox()), bus)] == [Hide]
    assert [type(mount) for mount in at(mounts_of(Sandbox(bind_paths=(bind,))), bus)] == [Show]


def test_hidden_place_below_an_empty_one_is_made_for_what_is_shown_below_it():
    home = ("/tmp/one/run/log/blog", True)
    made = private_root(Sandbox(), subject(home, hidden=("/tmp/one/run",)))
    cover = next(mount for mount in made.mounts if mount.path == "/tmp/one/run")
    assert isinstance(cover, Cover)
    assert (cover.below, cover.optional) == ("/tmp", False)
    shown = next(mount for mount in made.mounts if mount.path == "/tmp/one/run/log/blog")
    assert shown.below == "/tmp/one/run"
