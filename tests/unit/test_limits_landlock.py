import msgspec
import pytest

from limits import landlock
from limits.directives import Bind, Sandbox, Subject, TemporaryFileSystem
from limits.landlock import LandlockRules, cover
from limits.landlock_rules import landlock_rules

SUBJECT = Subject(
    vassal="shop",
    customer="acme",
    uid=1000,
    gid=1000,
    groups=(),
    homes=(("/home/shop/app", True), ("/home/shop/venv", False)),
    hidden=("/etc/emperor", "/run/emperor"),
)

TREE = {
    "/": ("etc", "home", "run", "srv", "tmp", "usr"),
    "/etc": ("emperor", "passwd"),
    "/home": ("other", "shop"),
    "/home/shop": ("app", "venv"),
    "/home/shop/app": ("code", "data"),
    "/run": ("emperor", "user"),
    "/srv": (),
}


def covered(shown, hidden):
    return sorted(cover(shown, hidden, lambda path: TREE.get(path, ())))


def rules(namespaces=False, **keys):
    return landlock_rules(msgspec.structs.replace(Sandbox(), **keys), SUBJECT, namespaces)


def test_folder_with_nothing_hidden_covers_itself():
    assert covered(["/srv", "/tmp"], []) == ["/srv", "/tmp"]
    assert covered(["/"], []) == ["/"]


def test_folder_with_something_hidden_is_replaced_by_its_other_children():
    assert covered(["/"], ["/home"]) == ["/etc", "/run", "/srv", "/tmp", "/usr"]
    assert covered(["/etc"], ["/etc/emperor"]) == ["/etc/passwd"]


def test_nearest_mark_decides_at_any_depth():
    shown = covered(["/", "/home/shop/app"], ["/home", "/home/shop/app/code", "/etc/emperor"])

    assert shown == ["/etc/passwd", "/home/shop/app/data", "/run", "/srv", "/tmp", "/usr"]


def test_what_is_shown_twice_is_covered_once():
    assert covered(["/usr", "/usr/lib", "/"], []) == ["/"]
    assert covered(["/srv", "/srv/a", "/srv/a/b"], []) == ["/srv"]


def test_hidden_wins_over_shown_at_the_same_place():
    assert covered(["/srv"], ["/srv"]) == []


def test_name_that_only_begins_alike_is_another_folder():
    assert covered(["/srv"], ["/srv2"]) == ["/srv"]


def test_strict_system_is_writable_at_home_and_where_scratch_files_go():
    made = rules()

    assert set(made.writable) == {
        "/home/shop/app",
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/dev/mqueue",
    }
    assert made.read_only == ()
    assert "/proc" in made.writable_files
    assert "/dev/null" in made.writable_files
    assert "/dev" not in made.writable_files
    assert "/dev" in rules(private_devices=False).writable_files


@pytest.mark.parametrize(
    ("protect_system", "read_only"),
    [
        ("no", {"/home", "/root", "/run/user"}),
        ("true", {"/usr", "/boot", "/efi", "/home", "/root", "/run/user"}),
        ("full", {"/usr", "/boot", "/efi", "/etc", "/home", "/root", "/run/user"}),
    ],
)
def test_less_strict_system_is_writable_but_for_what_is_named(protect_system, read_only):
    made = rules(protect_system=protect_system)

    assert "/" in made.writable
    assert set(made.read_only) == read_only
    assert rules(protect_system="no", protect_home="no").read_only == ()


def test_without_namespaces_homes_and_the_emperors_places_are_hidden():
    made = rules(inaccessible_paths=("/srv/secret",))

    assert set(made.hidden) == {
        "/home",
        "/root",
        "/run/user",
        "/etc/emperor",
        "/run/emperor",
        "/srv/secret",
    }
    assert {"/home/shop/app", "/home/shop/venv"} <= set(made.visible)


def test_with_namespaces_mounts_hide_and_landlock_only_repeats_what_can_be_written():
    made = rules(
        namespaces=True,
        read_only_paths=("/home/shop/app/code",),
        inaccessible_paths=("/srv/secret",),
        no_exec_paths=("/tmp",),
        bind_paths=(Bind(source="/srv/a", target="/data"),),
        temporary_file_system={"/scratch": TemporaryFileSystem()},
        network="none",
    )

    assert (made.hidden, made.visible, made.read_only, made.no_exec) == ((), (), (), ())
    assert {"/data", "/scratch"} <= set(made.writable)
    assert not made.deny_tcp_bind


def test_without_namespaces_everything_is_landlocks_work():
    made = rules(
        read_only_paths=("/home/shop/app/code",),
        read_write_paths=("/srv/shared",),
        no_exec_paths=("/tmp",),
        bind_paths=(Bind(source="/srv/a", target="/data"), Bind(source="/b", target="/b")),
        network="none",
    )

    assert made.read_only == ("/home/shop/app/code",)
    assert made.no_exec == ("/tmp",)
    assert {"/srv/shared", "/b"} <= set(made.writable)
    assert "/data" not in made.writable
    assert made.deny_tcp_bind
    assert made.deny_tcp_connect


def test_home_that_is_a_protected_folder_itself_stays_visible():
    subject = msgspec.structs.replace(SUBJECT, homes=(("/root", True),))

    made = landlock_rules(Sandbox(protect_system="true"), subject, False)

    assert "/root" not in (*made.hidden, *made.read_only)


def test_landlock_can_be_switched_off():
    assert rules(landlock=False) is None


def test_each_abi_handles_what_it_has_and_names_what_it_lacks():
    made = rules(network="none")

    missing = {abi: " ".join(made.missing(abi)) for abi in range(2, 8)}

    assert "truncate" in missing[2]
    assert "TCP" in missing[3]
    assert "truncate" not in missing[3]
    assert "TCP" not in missing[4]
    assert "ioctl" in missing[4]
    assert missing[5] == "signals and abstract sockets to processes outside (ABI 6, Linux 6.12)"
    assert missing[6] == missing[7] == ""
    assert made.handled_fs(2) & (landlock.TRUNCATE | landlock.IOCTL_DEVICE) == 0
    assert made.handled_fs(3) & landlock.TRUNCATE
    assert made.handled_fs(5) & landlock.IOCTL_DEVICE
    assert made.handled_net(3) == 0
    assert made.handled_net(4) == 3
    assert made.scoped(5) == 0
    assert made.scoped(6) == 3


def test_what_nobody_asked_for_is_not_missing():
    made = LandlockRules(scope_signals=False, scope_abstract_sockets=False)

    assert made.missing(5) == []
    assert "TCP" not in " ".join(made.missing(2))


def test_folders_may_be_renamed_into_and_devices_made_nowhere():
    made = LandlockRules(writable=("/srv",))

    rights = made.allowed(lambda path: ())["/srv"]

    assert rights & 1 << 13  # REFER
    assert not rights & landlock.MAKE_DEVICES
    assert made.handled_fs(2) & landlock.MAKE_DEVICES == landlock.MAKE_DEVICES


def test_reading_is_free_unless_something_is_hidden():
    assert not LandlockRules().handled_fs(7) & (landlock.READ | landlock.EXECUTE)
    assert LandlockRules(hidden=("/home",)).handled_fs(7) & landlock.READ == landlock.READ
    assert LandlockRules(no_exec=("/tmp",)).handled_fs(7) & landlock.EXECUTE


@pytest.mark.parametrize("packet", [b'{"writable": ["srv"]}', b'{"hidden": [""]}'])
def test_relative_path_is_refused(packet):
    with pytest.raises(msgspec.ValidationError, match="not an absolute path"):
        msgspec.json.decode(packet, type=LandlockRules)


def test_too_many_paths_are_refused():
    with pytest.raises(ValueError, match="more than 1024 paths"):
        LandlockRules(writable=tuple(f"/{n}" for n in range(2000)))
