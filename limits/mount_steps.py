"""Builds a private root and enters it: one step per mount, each working on descriptors.

Between the steps the state is in the kernel, not here. The process's root stays the
host's own, so "/" finds what the host has, untouched. Its working directory is the new
root. That is mounted in the workshop, a tmpfs mounted on the host's "/": ".." of the
working directory finds what the steps share. `SwitchRoot` drops host and workshop.

Whatever lies below the new root may be a tenant's. So it is opened with RESOLVE_IN_ROOT,
and a symbolic link is followed only if it is root's own.
"""

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from limits import kernel_files, mount_api, mountinfo
from limits.mounts import (
    AnyMount,
    Cover,
    FileSystem,
    Hide,
    HideElsewhere,
    Mount,
    Restrict,
    Scratch,
    Seal,
    Show,
    SystemLog,
    is_below,
    nearest,
    parts,
)
from limits.steps import Step, VerificationFailed

_SYMLINKS_MAX = 40  # as the kernel
_KERNELS_OWN = ("/proc", "/sys", "/dev")
_SCRATCH = "../scratch"
_NEW_ROOT, _EMPTY_FOLDER, _EMPTY_FILE = "root", "folder", "file"


@dataclass(frozen=True)
class IsolateMounts(Step):
    def describe(self) -> str:
        return "make all mounts private"

    def execute(self) -> None:
        mount_api.make_all_private()


@dataclass(frozen=True)
class CopyRoot(Step):
    """Makes the workshop and the new root in it, and moves there."""

    base: str

    def describe(self) -> str:
        return f"copy {self.base} as the new root"

    def execute(self) -> None:
        with _opened("/") as host, _opened_inside(host, self.base) as base:
            tree = mount_api.clone_tree(base)
        with _Closing(tree):
            bounds = {"size": "64k", "nr_inodes": "64", "mode": "0700"}
            hardened = mount_api.NOSUID | mount_api.NODEV | mount_api.NOEXEC
            with _Closing(mount_api.new_filesystem("tmpfs", bounds, hardened)) as workshop:
                with _opened("/") as host:
                    mount_api.attach(workshop, host)
                os.fchdir(workshop)
            os.mkdir(_NEW_ROOT)
            _make_folder(_EMPTY_FOLDER, None, 0o000)
            _make_file(_EMPTY_FILE, None, 0o000)
            with _opened(_NEW_ROOT) as place:
                mount_api.attach(tree, place)
            os.fchdir(tree)


@dataclass(frozen=True)
class PlaceMount(Step):
    """Mounts one value of a PrivateRoot."""

    mount: AnyMount

    @property
    def key(self) -> str:  # type: ignore[override]
        return self.mount.key

    def describe(self) -> str:
        return self.mount.describe()

    def execute(self) -> None:
        try:
            _PLACE[type(self.mount)](self.mount)
        except FileNotFoundError:
            if not self.mount.optional:
                raise


@dataclass(frozen=True)
class SwitchRoot(Step):
    def describe(self) -> str:
        return "enter the new root and detach the host's"

    def execute(self) -> None:
        mount_api.pivot_root(".", ".")
        # Now the host's root is mounted on the new one, and on top of it the workshop.
        mount_api.detach(".")
        mount_api.detach(".")
        os.chdir("/")


@dataclass(frozen=True)
class VerifyRoot(Step):
    """`rules`: what must be read-only by path; the longest path that fits a mount counts."""

    rules: tuple[tuple[str, bool], ...]
    key: ClassVar[str] = ""

    def describe(self) -> str:
        return "verify that the host's root is gone and nothing is writable that should not be"

    def execute(self) -> None:
        _check_descriptors()
        mounts = mountinfo.parse(kernel_files.read("/proc/self/mountinfo"))
        if [mount.path for mount in mounts].count("/") != 1:
            raise VerificationFailed("more than one root is mounted")
        rules = dict(self.rules)
        if not any(nearest(mount.path, rules) for mount in mounts if not mount.read_only):
            return
        # Some lie below others, and can no more be reached. And root's symbolic links were
        # followed: mountinfo knows only where they led.
        rules = {os.path.realpath(path): read_only for path, read_only in self.rules}
        for mount in mountinfo.reachable(mounts):
            if not mount.read_only and nearest(mount.path, rules):
                raise VerificationFailed(f"{mount.path} ({mount.type}) is writable")


def _check_descriptors() -> None:
    """An open folder would be a way back to where it was opened."""
    for name in os.listdir("/proc/self/fd"):
        try:
            is_folder = stat.S_ISDIR(os.fstat(int(name)).st_mode)
        except OSError:
            continue  # that of the listing itself, closed by now
        if is_folder:
            raise VerificationFailed(f"descriptor {name} is a folder outside the new root")


def _place_restrict(mount: Restrict) -> None:
    with _opened_inside(mount_api.AT_FDCWD, mount.path) as target:
        attributes = _attributes(mount)
        if not attributes:
            return  # that it exists is all that was asked
        try:
            mount_api.set_attributes(target, attributes, recursive=True)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Not a mount of its own yet.
            with _Closing(mount_api.clone_tree(target)) as tree:
                mount_api.set_attributes(tree, attributes, recursive=True)
                mount_api.attach(tree, target)


def _place_show(mount: Show) -> None:
    with _opened_below(mount.base, mount.source) as source:
        is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
        tree = mount_api.clone_tree(source, mount.recursive)
    with _Closing(tree):
        if attributes := _attributes(mount):
            mount_api.set_attributes(tree, attributes, recursive=True)
        with _mount_point(mount, is_folder) as target:
            mount_api.attach(tree, target)


def _opened_below(base: str, path: str) -> "_Closing":
    """Open what the host has at a path below `base`."""
    with _opened("/") as host:
        if base == "/":
            return _opened_inside(host, path)
        with _opened_inside(host, base) as folder:
            return _opened_inside(folder, path)


def _place_cover(mount: Cover) -> None:
    with _mount_point(mount, is_folder=True) as target:
        options = _bounds(mount.size, mount.inodes, mount.mode)
        if mount.uid or mount.gid:  # else it is root's, as we are
            options |= {"uid": str(mount.uid), "gid": str(mount.gid)}
        # Read-only only when all mount points in it are made.
        writable = _attributes(mount) & ~mount_api.RDONLY
        with _Closing(mount_api.new_filesystem("tmpfs", options, writable)) as tree:
            for name, leads_to in mount.links.items():
                os.symlink(leads_to, name, dir_fd=tree)
            mount_api.attach(tree, target)


def _place_hide(mount: Hide) -> None:
    with _opened_inside(mount_api.AT_FDCWD, mount.path) as target:
        is_folder = stat.S_ISDIR(os.fstat(target).st_mode)
        with _opened(f"../{_EMPTY_FOLDER if is_folder else _EMPTY_FILE}") as nothing:
            tree = mount_api.clone_tree(nothing, recursive=False)
        with _Closing(tree):
            mount_api.set_attributes(tree, mount_api.RDONLY, recursive=False)
            mount_api.attach(tree, target)


def _place_hide_elsewhere(mount: HideElsewhere) -> None:
    # Until the root is switched these are the host's.
    text = kernel_files.read("/proc/self/mountinfo")
    for line in text.splitlines():
        if line.partition(" - ")[2].split(" ")[0] not in mount.types:
            continue
        (found,) = mountinfo.parse(line)
        path = found.path
        if mount.base != "/":
            if not is_below(path, mount.base):
                continue
            path = path.removeprefix(mount.base)
        if not any(path == own or is_below(path, own) for own in _KERNELS_OWN):
            with contextlib.suppress(FileNotFoundError):  # below what was hidden before it
                _place_hide(Hide(path=path))


def _place_scratch(mount: Scratch) -> None:
    with _mount_point(mount, is_folder=True) as target:
        if _make_folder(_SCRATCH, None, 0o700):
            options = _bounds(mount.size, mount.inodes, 0o755)
            shared = mount_api.new_filesystem("tmpfs", options, _attributes(mount))
            with _Closing(shared), _opened(_SCRATCH) as place:
                mount_api.attach(shared, place)
        folder = f"{_SCRATCH}/{mount.folder}"
        _make_folder(folder, None, 0o1777)
        with _opened(folder) as source, _Closing(mount_api.clone_tree(source)) as tree:
            mount_api.attach(tree, target)


def _place_filesystem(mount: FileSystem) -> None:
    with _mount_point(mount, is_folder=True) as target:
        try:
            tree = mount_api.new_filesystem(mount.type, mount.options, _attributes(mount))
        except OSError as error:
            if error.errno == errno.ENODEV and mount.optional:
                return  # a kernel without this filesystem
            raise
        with _Closing(tree):
            mount_api.attach(tree, target)


def _place_system_log(mount: SystemLog) -> None:
    try:
        leads_to = os.readlink(mount.path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        shown = Show(path=mount.path, source=mount.path, below=mount.below, read_only=True)
        _place_show(shown)
        return
    with _opened_inside(mount_api.AT_FDCWD, mount.below or "/dev") as folder:
        os.symlink(leads_to, parts(mount.path)[-1], dir_fd=folder)


def _place_seal(mount: Seal) -> None:
    with _opened_inside(mount_api.AT_FDCWD, mount.path) as target:
        mount_api.set_attributes(target, mount_api.RDONLY, recursive=False)


_PLACE: dict[type[Mount], Callable[[Any], None]] = {
    Restrict: _place_restrict,
    Show: _place_show,
    Cover: _place_cover,
    Hide: _place_hide,
    HideElsewhere: _place_hide_elsewhere,
    Scratch: _place_scratch,
    FileSystem: _place_filesystem,
    SystemLog: _place_system_log,
    Seal: _place_seal,
}


def _attributes(mount: Mount) -> int:
    return (
        (mount_api.RDONLY if mount.read_only else 0)
        | (mount_api.NOSUID if mount.no_suid else 0)
        | (mount_api.NODEV if mount.no_dev else 0)
        | (mount_api.NOEXEC if mount.no_exec else 0)
    )


def _bounds(size: int, inodes: int, mode: int) -> dict[str, str]:
    # Zero would be no bound at all.
    return {"size": str(max(size, 1)), "nr_inodes": str(max(inodes, 1)), "mode": f"{mode:o}"}


def _mount_point(mount: Mount, is_folder: bool) -> "_Closing":
    """Open the mount's path in the new root; make it if it is `below` a folder of ours."""
    try:
        return _opened_inside(mount_api.AT_FDCWD, mount.path)
    except FileNotFoundError:
        if mount.below is None or not is_below(mount.path, mount.below):
            raise
        return _Closing(_make_mount_point(mount.below, mount.path, is_folder))


def _make_mount_point(folder: str, path: str, is_folder: bool) -> int:
    *parents, name = parts(path)[len(parts(folder)) :]
    parent = _open_inside(mount_api.AT_FDCWD, folder)
    for step in parents:
        with _Closing(parent):
            _make_folder(step, parent, 0o755)
            parent = mount_api.open_inside(parent, step, os.O_PATH | os.O_DIRECTORY)
    with _Closing(parent):
        if is_folder:
            _make_folder(name, parent, 0o755)
        else:
            _make_file(name, parent, 0o444)
        return mount_api.open_inside(parent, name)


def _make_folder(name: str, parent: int | None, mode: int) -> bool:
    """Return whether it was made; False = it is there. The umask does not count."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    os.chmod(name, mode, dir_fd=parent)
    return True


def _make_file(name: str, parent: int | None, mode: int) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with _Closing(os.open(name, flags, 0o600, dir_fd=parent)) as fd:
        os.fchmod(fd, mode)


def _open_inside(root: int, path: str) -> int:
    """Return `path` opened (O_PATH) below `root`, which no symbolic link leads out of.

    Links are followed when they are root's, such as /lib or /var/run; another's is ELOOP.
    Each try is without links, so nobody can put one in after it was looked at.
    """
    for _ in range(_SYMLINKS_MAX):
        try:
            return mount_api.open_inside(root, path.lstrip("/") or ".")
        except OSError as error:
            if error.errno == errno.EAGAIN:  # ".." while something was renamed
                continue
            if error.errno != errno.ELOOP:
                raise
        path = _without_first_link(root, path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _without_first_link(root: int, path: str) -> str:
    """Return `path` with the first symbolic link in it replaced by what it leads to."""
    done: list[str] = []
    waiting = deque(parts(path))
    while waiting:
        name = waiting.popleft()
        tried = "/".join([*done, name])
        with _Closing(mount_api.open_inside(root, tried, os.O_PATH | os.O_NOFOLLOW)) as fd:
            found = os.fstat(fd)
            if not stat.S_ISLNK(found.st_mode):
                done.append(name)
                continue
            if found.st_uid != 0:
                reason = f"/{tried} is a symbolic link of uid {found.st_uid}"
                raise OSError(errno.ELOOP, reason)
            leads_to = os.readlink("", dir_fd=fd)
        # ".." stays: the kernel knows what it means, and stops at the root.
        before = [] if leads_to.startswith("/") else done
        return "/" + "/".join([*before, *parts(leads_to), *waiting])
    return path


class _Closing:
    """A descriptor that is closed at the end. A birth has more than a hundred: contextlib's
    generators would be a tenth of its time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *failure: object) -> None:
        os.close(self._fd)


def _opened(path: str) -> _Closing:
    """For the paths of this module's own."""
    return _Closing(os.open(path, os.O_PATH | os.O_CLOEXEC))


def _opened_inside(root: int, path: str) -> _Closing:
    return _Closing(_open_inside(root, path))
