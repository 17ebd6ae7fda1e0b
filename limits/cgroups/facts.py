"""Which cgroup v2 tree there is, whether it is ours, and what it can limit.

Tests make CgroupFacts by hand; everything else calls `probe_cgroups()`. It only reads: a
tree that nobody delegated to us is left alone.
"""

import os
from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from limits.cgroups import files
from limits.cgroups.names import SUPERVISOR

UNIFIED_MOUNT = "/sys/fs/cgroup"
HYBRID_MOUNT = "/sys/fs/cgroup/unified"

# The system's systemd sets both for Delegate=yes; before 251 only the first, which root alone
# can read. A user's own sets neither.
MARKS = ("trusted.delegate", "user.delegate")


class Mode(StrEnum):
    """How cgroups are mounted."""

    UNIFIED = "unified"  # v2 only: limits, as far as controllers were delegated
    HYBRID = "hybrid"  # v2 beside v1, which has the controllers: kill, freeze, events
    LEGACY = "legacy"  # v1 only: nothing for us
    NONE = "none"


class CgroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the calling process may do with cgroups.

    `own` is its path in the v2 hierarchy. `root` is the directory of the tree that is
    ours, None with a `reason` if none is. `private`: nobody manages the hierarchy, and
    `root` is a cgroup at its top that `claim` makes. `controllers` are those that `root`
    can hand down.
    """

    mode: Mode
    mount: str | None = None
    own: str | None = None
    root: str | None = None
    private: bool = False
    reason: str = ""
    controllers: frozenset[str] = frozenset()
    euid: int = 0

    def advice(self) -> str:
        """Return why a controller may be missing, and what to do about it."""
        if self.mode in (Mode.LEGACY, Mode.NONE):
            return f"{self.reason}; {_BOOT_UNIFIED}"
        if self.root is None:
            return self.reason
        if self.mode is Mode.HYBRID:
            return f"the controllers are with cgroup v1; {_BOOT_UNIFIED}"
        if self.euid:
            return (
                "it was not delegated to this user; in /etc/systemd/system/user@.service.d/"
                "delegate.conf write [Service] Delegate=cpu cpuset io memory pids"
            )
        return "the kernel lacks it, or the unit's Delegate= does not name it; write Delegate=yes"


_BOOT_UNIFIED = (
    "boot with the kernel parameters systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
)


def probe_cgroups(
    ours: Collection[int], mount: str | None = None, private_name: str = "emperord"
) -> CgroupFacts:
    """Look at the machine. `ours` are the processes that `claim` will move.

    `mount` chooses one of several cgroup2 mounts. `private_name` is the cgroup to use at
    the top of a hierarchy that no systemd manages.
    """
    mounts = list(cgroup_mounts(Path("/proc/self/mountinfo").read_text("utf-8", "replace")))
    mode = mode_of(mounts)
    mount = mount or v2_mount(mounts)
    if mount is None:
        seen = "only cgroup v1 is mounted" if mode is Mode.LEGACY else "no cgroup is mounted"
        return CgroupFacts(mode=mode, reason=seen, euid=_euid())
    own = own_path(Path("/proc/self/cgroup").read_text("utf-8", "replace"))
    if own is None:
        reason = "this process is in no cgroup below the mount"
        return CgroupFacts(mode=mode, mount=mount, reason=reason, euid=_euid())
    root, private, reason = _root_of(mount, own, ours, private_name)
    seen_from = mount if private else root or mount + own
    controllers = files.read(f"{seen_from}/cgroup.controllers") or ""
    return CgroupFacts(
        mode=mode,
        mount=mount,
        own=own,
        root=root,
        private=private,
        reason=reason,
        controllers=frozenset(controllers.split()) if root else frozenset(),
        euid=_euid(),
    )


def cgroup_mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """Yield (mount point, "cgroup" or "cgroup2") of the whole hierarchies in proc(5) mountinfo."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        if kind not in ("cgroup", "cgroup2") or len(fields) < 5:
            continue
        if kind == "cgroup" or fields[3] == "/":
            yield _unescaped(fields[4]), kind


def mode_of(mounts: Collection[tuple[str, str]]) -> Mode:
    """Return how cgroups are mounted.

    The type in mountinfo says what statfs would by its magic number 0x63677270.
    """
    kinds = {kind for _, kind in mounts}
    # Two mounts at one place: the later one is seen.
    if dict(mounts).get(UNIFIED_MOUNT) == "cgroup2":
        return Mode.UNIFIED
    if "cgroup2" in kinds:
        return Mode.HYBRID
    return Mode.LEGACY if kinds else Mode.NONE


def v2_mount(mounts: Collection[tuple[str, str]]) -> str | None:
    """Return the cgroup2 mount to use: systemd's places first."""
    found = [point for point, kind in mounts if kind == "cgroup2"]
    for place in (UNIFIED_MOUNT, HYBRID_MOUNT):
        if place in found:
            return place
    return found[0] if found else None


def own_path(proc_cgroup: str) -> str | None:
    """Return the path in the v2 hierarchy that /proc/self/cgroup names, "" for its top."""
    for line in proc_cgroup.splitlines():
        if line.startswith("0::"):
            path = line.removeprefix("0::").rstrip("/")
            # Outside of our cgroup namespace, or removed under us.
            outside = path.startswith("/..") or path.endswith(" (deleted)")
            return None if outside else path
    return None


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _root_of(
    mount: str, own: str, ours: Collection[int], private_name: str
) -> tuple[str | None, bool, str]:
    """Return the directory that is ours, whether it is private, and why there is none."""
    path, _, last = own.rpartition("/")
    places = [mount + path] if last == SUPERVISOR and path else []
    places.append(mount + own)
    for place in places:
        if is_marked(place):
            return place, place == f"{mount}/{private_name}", ""
    if _euid() == 0:
        if not own and not _has_systemd():
            if os.access(f"{mount}/cgroup.procs", os.W_OK):
                return f"{mount}/{private_name}", True, ""
            return None, False, f"{mount} is read-only; mount it writable in this container"
        return None, False, _not_delegated(own, "systemd-run")
    for place in places:
        if _belongs_to_user(mount, place, ours):
            return place, False, ""
    return None, False, _not_delegated(own, "systemd-run --user")


def _not_delegated(own: str, run: str) -> str:
    return (
        f"the cgroup {own or '/'} was not delegated to emperord; start it as a unit with "
        f"Delegate=yes, or with {run} --pty -p Delegate=yes emperor run …"
    )


def is_marked(directory: str) -> bool:
    """Return whether somebody delegated this cgroup, as systemd says it."""
    return any(_attribute(directory, mark) == b"1" for mark in MARKS)


def _attribute(directory: str, name: str) -> bytes | None:
    try:
        return os.getxattr(directory, name)
    except OSError:
        return None


def _euid() -> int:
    return os.geteuid()


def _owner(directory: str) -> int:
    return os.stat(directory).st_uid


def _has_systemd() -> bool:
    """As sd_booted(3) asks."""
    return Path("/run/systemd/system").is_dir()


def _belongs_to_user(mount: str, directory: str, ours: Collection[int]) -> bool:
    """Return whether a directory without mark may be taken.

    A user's own systemd cannot set the one mark and does not set the other (seen with 252,
    Delegate=yes). So a service of the user's is taken if nobody else is inside: a login
    shell, say, must not be pushed around. Anywhere else below a mark, none means not
    delegated.
    """
    above = directory
    while above != mount and len(above) > 1:
        above = above.rpartition("/")[0]
        if is_marked(above):
            is_managers = above.endswith(f"/user@{_euid()}.service")
            if not (is_managers and directory.endswith(".service")):
                return False
            break
    try:
        if _owner(directory) != _euid():
            return False
    except FileNotFoundError:
        return False
    needed = ("", "/cgroup.procs", "/cgroup.subtree_control")
    if not all(os.access(directory + name, os.W_OK) for name in needed):
        return False
    return not set(files.procs(directory)) - set(ours)
