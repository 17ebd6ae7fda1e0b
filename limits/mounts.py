"""The parts of a private root as values, in the order in which they are mounted. Pure.

A path is one inside the new root. What these values mean to the kernel is in
`limits.mount_steps`; which of them a sandbox needs is decided in `limits.root`.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec


class Mount(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all mounts.

    `key` is the directive it answers to ("" = it serves all of them). `optional`: where
    its path or source does not exist, nothing is done. `below` is the folder, empty and
    the root's own, in which a missing mount point may be made; None = it must exist.
    """

    path: str
    key: str = ""
    optional: bool = False
    below: str | None = None
    read_only: bool = False
    no_exec: bool = False
    no_suid: bool = False
    no_dev: bool = False

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.below is not None:
            check_path(self.below)

    def describe(self) -> str:
        """Return what is mounted where, for people."""
        raise NotImplementedError

    def how(self) -> str:
        """Return the attributes as mount(8) would write them."""
        words = (
            ("read_only", "ro"),
            ("no_suid", "nosuid"),
            ("no_dev", "nodev"),
            ("no_exec", "noexec"),
        )
        return ",".join(word for name, word in words if getattr(self, name)) or "rw"


class Restrict(Mount, frozen=True, kw_only=True, tag="restrict"):
    """What is at `path` already, with more restrictions, all mounts below included."""

    def describe(self) -> str:
        return f"restrict {self.path} to {self.how()}"


class Show(Mount, frozen=True, kw_only=True, tag="show"):
    """`source`, looked up below the folder `base` of the host, is shown at `path`."""

    source: str
    base: str = "/"
    recursive: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_path(self.source)
        check_path(self.base)

    def describe(self) -> str:
        where = self.source if self.base == "/" else f"{self.base}{self.source}"
        return f"mount {where} on {self.path} ({self.how()})"


class Cover(Mount, frozen=True, kw_only=True, tag="cover"):
    """A tmpfs of its own, empty but for symbolic links (name → target)."""

    size: int
    inodes: int
    mode: int
    uid: int = 0
    gid: int = 0
    links: dict[str, str] = {}

    def describe(self) -> str:
        bounds = f"{self.size} bytes, {self.inodes} inodes, mode {self.mode:04o}"
        return f"mount an empty tmpfs on {self.path} ({bounds}; {self.how()})"


class Hide(Mount, frozen=True, kw_only=True, tag="hide"):
    """An empty folder or file that nobody may open, whichever `path` is."""

    def describe(self) -> str:
        return f"hide {self.path}"


class HideElsewhere(Mount, frozen=True, kw_only=True, tag="hide-elsewhere"):
    """The kernel's filesystems of these types that somebody mounted outside their own places.

    They are known only when the root is built, such as the /proc in a chroot of the host.
    """

    types: tuple[str, ...]
    base: str = "/"

    def describe(self) -> str:
        return f"hide every {' and '.join(self.types)} that is mounted elsewhere"


class Scratch(Mount, frozen=True, kw_only=True, tag="scratch"):
    """A folder, open to all, of the one tmpfs that all scratch folders share the bounds of."""

    size: int
    inodes: int
    folder: str

    def describe(self) -> str:
        bounds = f"{self.size} bytes, {self.inodes} inodes"
        return f"mount a folder of the private tmpfs ({bounds}) on {self.path} ({self.how()})"


class FileSystem(Mount, frozen=True, kw_only=True, tag="filesystem"):
    """A fresh instance of one of the kernel's own filesystems, as `options` say."""

    type: str
    options: dict[str, str] = {}

    def describe(self) -> str:
        said = "".join(f",{name}={value}" for name, value in self.options.items())
        return f"mount a new {self.type} on {self.path} ({self.how()}{said})"


class SystemLog(Mount, frozen=True, kw_only=True, tag="systemlog"):
    """The host's /dev/log: its symbolic link, or the socket itself."""

    def describe(self) -> str:
        return f"mount the host's /dev/log on {self.path}"


class Seal(Mount, frozen=True, kw_only=True, tag="seal"):
    """Makes the tmpfs at `path` read-only, now that all mount points in it are made."""

    def describe(self) -> str:
        return f"make {self.path} read-only"


AnyMount = Restrict | Show | Cover | Hide | HideElsewhere | Scratch | FileSystem | SystemLog | Seal


class PrivateRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of `base` with `mounts` on it, because `directives` ask for it."""

    base: str = "/"
    mounts: tuple[AnyMount, ...] = ()
    directives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_path(self.base)

    def read_only_rules(self) -> dict[str, bool]:
        """Return what must be read-only by path; the longest path that fits a mount counts."""
        rules = {"/": False}
        for mount in self.mounts:
            if not isinstance(mount, Restrict | HideElsewhere):
                rules[mount.path] = mount.read_only or isinstance(mount, Hide | Seal)
            elif mount.read_only:
                rules[mount.path] = True
        return rules

    def __str__(self) -> str:
        return "\n".join([f"copy {self.base}", *(mount.describe() for mount in self.mounts)])


# Thousands of vassals are laid out over the same paths of one host.
@lru_cache(maxsize=4096)
def check_path(path: str) -> None:
    """Raise ValueError unless `path` is absolute, without "." and "..", and shortest."""
    names = parts(path)
    if path != "/" + "/".join(names) or "." in names or ".." in names or "\0" in path:
        raise ValueError(f"not an absolute, normal path: {path[:200]!r}")


@lru_cache(maxsize=4096)
def parts(path: str) -> tuple[str, ...]:
    """Return the names that a path consists of."""
    return tuple(part for part in path.split("/") if part)


def depth(path: str) -> int:
    """Return how many names a path consists of, which is normal as check_path has it."""
    return path.count("/") if path != "/" else 0


def is_below(path: str, folder: str) -> bool:
    """Return whether `path` lies in `folder`, at any depth."""
    return path != folder and (folder == "/" or path.startswith(folder + "/"))


def above(path: str) -> Iterator[str]:
    """Yield the folders that an absolute path lies in, the nearest first."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


def nearest(path: str, folders: dict[str, bool]) -> bool:
    """Return the value of the longest of `folders` that is `path` or above it."""
    while path not in folders:
        if path == "/":
            return False
        path = path.rpartition("/")[0] or "/"
    return folders[path]
