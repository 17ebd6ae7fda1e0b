"""Private roots that real children live in, each beside a control run without them."""

import os
import stat
from pathlib import Path

import pytest

from limits import mount_api, pidns, syscalls
from limits.apply import StepFailed, apply
from limits.confinement import Confinement
from limits.directives import Bind, Sandbox, TemporaryFileSystem
from limits.facts import probe
from limits.mount_steps import VerifyRoot
from limits.plan import plan
from tests.support.born import (
    NEIGHBOUR_UID,
    OPEN,
    UID,
    attempt,
    confinement,
    fill,
    only,
    run_confined,
    touch,
)
from tests.support.forked import run_forked

KIB = 1024
SMALL = TemporaryFileSystem(size=512 * KIB, inodes=40)
NEWNS = 0x00020000
CONTROL_AS_ROOT = Confinement()


pytestmark = pytest.mark.usefixtures("confinable")


def control(function, **keywords):
    return run_confined(function, confinement(OPEN, **keywords))


def failure_of(made):
    """Return what the first step that fails says."""

    def child():
        try:
            apply(plan(made, probe(can_pid_namespace=made.pid_namespace)).steps)
        except StepFailed as failed:
            return str(failed)

    fork = pidns.fork_in_new_pid_namespace if made.pid_namespace else os.fork
    return run_forked(lambda: run_forked(child, fork=fork))


@pytest.mark.parametrize("folder", ["/usr", "/etc", "/", "/var/lib", "/opt"])
def test_nothing_of_the_host_can_be_written_even_by_root(folder):
    def write():
        return touch(f"{folder}/emperor-test")

    assert run_confined(write, confinement(only(protect_system="strict"), as_root=True)) == "EROFS"
    assert run_confined(write, CONTROL_AS_ROOT) == "done"


@pytest.mark.parametrize(
    ("level", "usr", "etc", "var"),
    [("true", "EROFS", "done", "done"), ("full", "EROFS", "EROFS", "done")],
)
def test_weaker_levels_protect_what_systemds_do(level, usr, etc, var):
    def write():
        return [touch(f"{folder}/emperor-test") for folder in ("/usr", "/etc", "/var/lib")]

    made = confinement(only(protect_system=level), as_root=True)

    assert run_confined(write, made) == [usr, etc, var]


def test_own_home_is_written_to_the_host_and_a_read_only_one_is_not(place):
    venv = place.make("blog/venv", UID)

    def write():
        (place.blog / "upload").write_text("kept")
        return [touch(place.blog / "other"), touch(venv / "other")]

    homes = [(place.blog, True), (venv, False)]

    assert run_confined(write, confinement(Sandbox(), homes)) == ["done", "EROFS"]
    assert (place.blog / "upload").read_text() == "kept"
    assert control(write) == ["done", "done"]


@pytest.mark.parametrize("place", ["/home", "/root"], indirect=True)
@pytest.mark.parametrize("protect_home", ["true", "tmpfs"])
def test_neighbours_home_is_invisible_and_the_own_one_is_not(place, protect_home):
    mode = stat.S_IMODE(Path("/root").stat().st_mode)

    def look():
        return [
            sorted(os.listdir(place.path)),
            os.path.exists(place.shop / "secret"),
            touch(place.blog / "mine"),
            touch(place.path / "beside"),
        ]

    made = confinement(only(protect_home=protect_home), [(place.blog, True)], as_root=True)

    assert run_confined(look, made) == [["blog"], False, "done", "EROFS"]
    assert run_confined(look, CONTROL_AS_ROOT) == [["blog", "shop"], True, "done", "done"]
    assert stat.S_IMODE(Path("/root").stat().st_mode) == mode


def test_inaccessible_homes_cannot_even_be_listed():
    def look():
        return [attempt(lambda: os.listdir("/home")), attempt(lambda: os.listdir("/root"))]

    assert run_confined(look, confinement(only(protect_home="true"))) == ["EACCES", "EACCES"]
    assert run_confined(look, CONTROL_AS_ROOT) == ["done", "done"]


def test_read_only_homes_can_be_read_only():
    def look():
        return [attempt(lambda: os.listdir("/home")), touch("/home/emperor-test")]

    made = confinement(only(protect_home="read-only"), as_root=True)

    assert run_confined(look, made) == ["done", "EROFS"]
    assert run_confined(look, CONTROL_AS_ROOT) == ["done", "done"]


def test_hidden_place_is_empty_but_for_homes_below_it(place):
    logs = place.make("emperor/logs/blog", UID)
    (place.path / "emperor/control.sock").touch()
    (place.path / "emperor.toml").write_text("secret")
    hidden = [place.path / "emperor", place.path / "emperor.toml", place.path / "not-yet-made"]

    def look():
        return [
            sorted(os.listdir(place.path / "emperor")),
            sorted(os.listdir(place.path / "emperor/logs")),
            touch(logs / "log"),
            attempt(lambda: Path(place.path / "emperor.toml").read_text()),
        ]

    made = confinement(Sandbox(), [(logs, True)], hidden)

    assert run_confined(look, made) == [["logs"], ["blog"], "done", "EACCES"]
    assert control(look) == [["control.sock", "logs"], ["blog"], "done", "done"]


def test_place_that_is_wholly_hidden_cannot_be_listed(place):
    def look():
        return attempt(lambda: os.listdir(place.shop))

    assert run_confined(look, confinement(Sandbox(), hidden=[place.shop])) == "EACCES"
    assert control(look) == "done"


@pytest.mark.parametrize("directive", ["read_write_paths", "inaccessible_paths", "bind_paths"])
def test_symlink_of_the_tenant_is_not_followed_to_a_mount_point(place, directive):
    link = place.blog / "data"
    link.symlink_to("/etc")
    value = (str(link),)
    if directive == "bind_paths":
        value = (Bind(source=str(place.shop), target=str(link)),)
    made = confinement(only(protect_system="strict", **{directive: value}), [(place.blog, True)])

    os.lchown(link, UID, UID)
    refused = failure_of(made)
    os.lchown(link, 0, 0)

    assert f"data is a symbolic link of uid {UID} (ELOOP)" in refused
    assert failure_of(made) is None  # root's own is


def test_symlink_of_the_tenant_is_not_followed_to_what_is_bound(place):
    link = place.blog / "data"
    link.symlink_to(place.shop)
    place.make("blog/here", UID)
    bind = Bind(source=str(link), target=str(place.blog / "here"))
    made = confinement(only(bind_paths=(bind,)), [(place.blog, True)])

    os.lchown(link, UID, UID)

    assert f"symbolic link of uid {UID}" in failure_of(made)
    os.lchown(link, 0, 0)
    assert failure_of(made) is None


def test_symlinks_in_the_home_end_in_the_private_root(place):
    (place.blog / "up").symlink_to("../" * 20)
    (place.blog / "shadow").symlink_to("/etc/shadow")

    def look():
        shop = str(place.blog / "up") + str(place.shop / "secret")
        return [attempt(lambda: os.stat(shop)), attempt(lambda: os.stat(place.blog / "shadow"))]

    sandbox = only(inaccessible_paths=(str(place.shop), "/etc/shadow"))

    assert run_confined(look, confinement(sandbox, [(place.blog, True)])) == ["EACCES", "done"]
    assert control(look) == ["done", "done"]

    def read():
        return Path(place.blog / "shadow").read_bytes() == b""

    made = confinement(sandbox, [(place.blog, True)], as_root=True)
    assert run_confined(read, made) is True
    assert run_confined(read, CONTROL_AS_ROOT) is False


def test_another_root_directory_is_all_there_is(place):
    for name in ("proc", "sys", "dev", "tmp", "var/tmp", "usr", "app", "home"):
        place.make(f"jail/{name}")

    def look():
        (Path("/app") / "kept").write_text("kept")
        return [
            sorted(os.listdir("/")),
            os.path.exists(place.path),
            touch("/usr/x"),
            touch("/tmp/x"),
            os.path.exists("/proc/self/status"),
            os.path.exists("/sys/class"),
            attempt(lambda: Path("/dev/null").write_bytes(b"x")),
        ]

    bind = Bind(source=str(place.blog), target="/app")
    made = confinement(Sandbox(root_directory=str(place.path / "jail"), bind_paths=(bind,)))
    names = ["app", "dev", "home", "proc", "sys", "tmp", "usr", "var"]

    assert run_confined(look, made) == [names, False, "EROFS", "done", True, True, "done"]
    assert (place.blog / "kept").exists()
    assert [path.name for path in (place.path / "jail/app").iterdir()] == []


def test_deepest_of_nested_paths_wins(place):
    cache = place.make("blog/cache", UID)
    keys = place.make("blog/cache/keys", UID)
    deep = place.make("blog/cache/keys/deep", UID)
    (keys / "key").touch()

    def use():
        return [
            touch(place.blog / "x"),
            touch(cache / "x"),
            attempt(lambda: os.listdir(keys)),
            attempt(lambda: os.listdir(deep)),
        ]

    sandbox = only(
        read_only_paths=(str(place.path),),
        read_write_paths=(str(cache),),
        inaccessible_paths=(str(keys), f"-{place.path}/missing"),
    )

    assert run_confined(use, confinement(sandbox)) == ["EROFS", "done", "EACCES", "EACCES"]
    assert control(use) == ["done", "done", "done", "done"]


def test_what_is_hidden_cannot_be_made_writable_by_name(place):
    sandbox = only(protect_home="tmpfs", read_write_paths=("/home/emperor-test-not-there",))

    assert "restrict /home/emperor-test-not-there" in failure_of(confinement(sandbox))


def test_temporary_file_system_with_a_bind_below_it(place):
    def use():
        return [
            sorted(os.listdir(place.path)),
            touch(place.path / "mine"),
            touch(place.path / "a/b/x"),
            fill(place.path, 768 * KIB)[1],
        ]

    sandbox = only(
        temporary_file_system={str(place.path): SMALL},
        bind_read_only_paths=(Bind(source=str(place.blog), target=f"{place.path}/a/b"),),
    )

    assert run_confined(use, confinement(sandbox)) == [["a"], "done", "EROFS", 28]


@pytest.mark.parametrize(
    "directive", ["read_only_paths", "read_write_paths", "inaccessible_paths", "no_exec_paths"]
)
def test_path_that_somebody_wrote_must_exist_unless_marked(directive):
    missing = "/srv/emperor-test-not-there"

    said = failure_of(confinement(only(**{directive: (missing,)})))

    assert missing in said
    assert "No such file or directory (ENOENT)" in said
    assert failure_of(confinement(only(**{directive: (f"-{missing}",)}))) is None


def test_tenant_cannot_mount_or_leave_its_root():
    def escape():
        here = os.open("/", os.O_PATH)
        return [
            attempt(lambda: os.chroot("/tmp")),
            attempt(lambda: mount_api.pivot_root("/tmp", "/tmp")),
            attempt(lambda: mount_api.detach("/tmp")),
            attempt(lambda: mount_api.set_attributes(here, mount_api.NOEXEC, False)),
            attempt(lambda: mount_api.clone_tree(here)),
            attempt(lambda: mount_api.new_filesystem("tmpfs", {}, 0)),
            attempt(lambda: syscalls.unshare(NEWNS)),
        ]

    def control_run():
        syscalls.unshare(NEWNS)
        mount_api.make_all_private()
        return attempt(lambda: os.close(mount_api.new_filesystem("tmpfs", {}, 0)))

    assert run_confined(escape, confinement(Sandbox())) == ["EPERM"] * 7
    assert run_confined(control_run, CONTROL_AS_ROOT) == "done"


def test_even_root_does_not_get_back_to_the_hosts_root(place):
    """The classic way out of a chroot: a working directory outside of one's root, and up."""

    def escape():
        folder = os.open("/", os.O_RDONLY)
        os.chroot(place.blog)
        os.fchdir(folder)
        for _ in range(30):
            os.chdir("..")
        os.chroot(".")
        return os.listdir(place.shop)

    made = confinement(only(inaccessible_paths=(str(place.shop),)), as_root=True)

    assert run_confined(escape, made) == []
    assert run_confined(escape, CONTROL_AS_ROOT) == ["secret"]


def test_open_folder_of_the_host_is_noticed():
    made = confinement(only(protect_system="strict"))

    def child():
        os.open("/", os.O_RDONLY)
        try:
            apply(plan(made, probe()).steps)
        except StepFailed as failed:
            return str(failed)

    assert "is a folder outside the new root" in run_forked(child)


def test_mount_that_stayed_writable_is_noticed():
    def verify(rules):
        try:
            apply([VerifyRoot(rules)])
        except StepFailed as failed:
            return failed.detail

    made = confinement(only(private_tmp=SMALL), as_root=True)

    assert "/tmp (tmpfs) is writable" in run_confined(
        lambda: verify((("/", False), ("/tmp", True))), made
    )
    assert run_confined(lambda: verify((("/", False),)), made) is None


def test_umask_does_not_close_what_is_made_for_the_tenant(place):
    logs = place.make("emperor/logs/blog", UID)

    def look():
        folder = place.path / "emperor/logs"
        return [stat.S_IMODE(folder.stat().st_mode), os.umask(0)]

    made = confinement(Sandbox(), [(logs, True)], [place.path / "emperor"])

    assert run_confined(look, made) == [0o755, 0o027]


def test_neighbour_uid_is_of_no_help(place):
    secret = place.shop / "private"
    secret.write_text("x")
    secret.chmod(0o600)
    os.chown(secret, NEIGHBOUR_UID, NEIGHBOUR_UID)

    def read():
        return attempt(secret.read_text)

    assert run_confined(read, confinement(Sandbox())) == "EACCES"
    assert run_confined(read, CONTROL_AS_ROOT) == "done"


BIRTHS = 1000


def held() -> dict[str, list[str]]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {"mounts": mounts, "fds": sorted(os.listdir("/proc/self/fd"))}


@pytest.mark.timeout(240)
def test_a_thousand_births_leave_no_mount_and_no_descriptor(place):
    made = confinement(Sandbox(), [(place.blog, True)], [place.path])

    def caller():
        planned = plan(made, probe(can_pid_namespace=True))
        before = held()
        for _ in range(BIRTHS):
            pid = pidns.fork_in_new_pid_namespace()
            if pid == 0:
                status = 1
                try:
                    apply(planned.steps)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return [before, held()]

    before, after = run_forked(caller)
    assert after["fds"] == before["fds"]
    # Other tests mount meanwhile too; what a birth leaves would be there a thousand times.
    assert len(set(after["mounts"]) - set(before["mounts"])) < BIRTHS // 10
    assert os.listdir(place.path / "blog") == []


@pytest.mark.parametrize("subset", ["all", "pid"])
def test_birth_leaves_no_descriptor_inside(subset):
    def look():
        return sorted(os.listdir("/proc/self/fd"))

    made = confinement(Sandbox(proc_subset=subset))

    assert len(run_confined(look, made)) <= len(control(look))


def test_plain_chroot_has_no_private_root(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys").mkdir()

    def child():
        syscalls.unshare(NEWNS)
        mount_api.make_all_private()
        for name in ("proc", "sys"):
            source = os.open(f"/{name}", os.O_PATH)
            target = os.open(tmp_path / name, os.O_PATH)
            mount_api.attach(mount_api.clone_tree(source), target)
        before = probe().mount_api
        os.chroot(tmp_path)
        os.chdir("/")
        facts = probe()
        missing = plan(confinement(only(protect_system="strict")), facts).missing()
        return before, facts.mount_api, [item.key for item in missing]

    before, within, missing = run_forked(child)
    assert (before, within) == (True, False)
    assert "protect_system" in missing
