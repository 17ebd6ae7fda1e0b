import pytest

from emperor.config.settings import WatchMode
from emperor.watch.choose import (
    Mount,
    blind_mounts,
    choose,
    filesystem_of,
    is_blind,
    lead,
    mount_behind,
    parse_mountinfo,
)

MOUNTINFO = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /srv rw - nfs4 server:/srv rw
24 23 0:22 / /srv/local\040disk rw shared:5 master:2 - xfs /dev/sdb rw
25 22 0:23 / /mnt rw - autofs systemd-1 rw
26 25 0:24 / /mnt rw - cifs //server/share rw
27 22 0:25 / /var/lib/x rw - overlay overlay rw
not a line of mountinfo
"""


@pytest.mark.parametrize(
    "filesystem",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "fuse",
        "fuse.sshfs",
        "fuseblk",
        "9p",
        "afs",
        "ceph",
        "lustre",
        "gfs2",
        "ocfs2",
        "autofs",
    ],
)
def test_inotify_is_blind_where_others_write(filesystem):
    assert is_blind(filesystem)


@pytest.mark.parametrize(
    "filesystem", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "", "fusectl"]
)
def test_inotify_sees_local_file_systems(filesystem):
    assert not is_blind(filesystem)


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/", "ext4"),
        ("/etc/emperor", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/vassals", "nfs4"),
        ("/srvx", "ext4"),
        ("/srv/local disk/vassals", "xfs"),
        ("/mnt/vassals", "cifs"),
        ("/var/lib/x", "overlay"),
    ],
)
def test_file_system_of_a_path_is_that_of_the_innermost_and_last_mount(path, filesystem):
    assert filesystem_of(path, parse_mountinfo(MOUNTINFO)) == filesystem


def test_file_system_without_a_mount_table_is_unknown():
    assert filesystem_of("/etc", ()) == ""


def test_escapes_of_the_mount_table_are_undone():
    text = r"1 2 0:1 / /a\040b\134c rw - tmpfs none rw"

    assert parse_mountinfo(text) == (Mount("/a b\\c", "tmpfs", 1),)


@pytest.mark.parametrize(
    ("mode", "filesystem", "poll", "warned"),
    [
        (WatchMode.AUTO, "ext4", False, False),
        (WatchMode.AUTO, "nfs", True, False),
        (WatchMode.POLL, "ext4", True, False),
        (WatchMode.POLL, "nfs", True, False),
        (WatchMode.INOTIFY, "ext4", False, False),
        (WatchMode.INOTIFY, "nfs", False, True),
    ],
)
def test_mode_and_file_system_decide(mode, filesystem, poll, warned):
    choice = choose(mode, filesystem)

    assert choice.poll is poll
    assert bool(choice.warning) is warned


def test_links_are_followed_to_a_file_system_that_may_not_answer_and_not_into_it(tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    (far / "vassals").symlink_to("/")
    (tmp_path / "link").symlink_to("far/../far")
    (tmp_path / "loop").symlink_to("loop")
    mounts = (Mount("/", "ext4"), Mount(str(far), "nfs4"), Mount(f"{far}/near", "xfs"))
    for path, filesystem in (
        (far, "nfs4"),
        (far / "vassals", "nfs4"),  # the link is not read
        (tmp_path / "link" / "vassals", "nfs4"),
        (far / "near" / "vassals", "xfs"),
        (tmp_path / "not there", "ext4"),
        (tmp_path / "loop", ""),
    ):
        assert mount_behind(str(path), mounts).filesystem == filesystem, path


def test_of_mounts_within_a_mount_the_deepest_is_who_has_to_answer():
    mounts = (
        Mount("/", "ext4", 1),
        Mount("/home", "autofs", 2),
        Mount("/home/blog", "nfs4", 3),
        Mount("/home/shop", "nfs4", 4),
    )
    for path, number in (
        ("/home/blog/site", 3),
        ("/home/shop", 4),
        ("/home/new/site", 2),
        ("/home/../etc", 2),  # whether that leads out again is not looked at
        ("/etc", None),
    ):
        blind = lead(path, blind_mounts(mounts)).blind
        assert (blind.number if blind else None) == number, path


def test_what_nothing_runs_without_is_not_waited_for():
    root, lxcfs, far = (
        Mount("/", "virtiofs"),
        Mount("/proc/cpuinfo", "fuse.lxcfs"),
        Mount("/far", "nfs"),
    )

    assert blind_mounts((root, lxcfs, far)) == {"/far": far}
    assert blind_mounts((far, Mount("/far", "tmpfs"))) == {}
