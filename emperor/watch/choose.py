"""Decides where inotify is blind, and reads the mount table that this depends on."""

import os
import select
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from emperor.config.settings import WatchMode

# Changes made by another machine, or by the server behind a FUSE mount, raise no event.
# autofs: what will be mounted there is not known yet.
# fmt: off
_BLIND = frozenset((
    "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs",
    "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
))
# fmt: on


LINKS_MAX = 40
"""The kernel follows no more either."""


class Mount(NamedTuple):
    """`number` tells it from another one at the same point, as long as somebody is in it."""

    point: str
    filesystem: str
    number: int = 0


class Choice(NamedTuple):
    """`warning` is for people, "" = none."""

    poll: bool
    warning: str = ""


def is_blind(filesystem: str) -> bool:
    """Return whether inotify may miss changes on this type of file system."""
    return filesystem in _BLIND or filesystem.partition(".")[0] in ("fuse", "fuseblk")


def choose(mode: WatchMode, filesystem: str) -> Choice:
    """Return how to watch something on this type of file system."""
    if mode is WatchMode.POLL:
        return Choice(poll=True)
    if not is_blind(filesystem):
        return Choice(poll=False)
    if mode is WatchMode.AUTO:
        return Choice(poll=True)
    return Choice(
        poll=False,
        warning=f'inotify misses changes that others make on {filesystem}; write watch = "auto"',
    )


def filesystem_of(path: str, mounts: Iterable[Mount]) -> str:
    """Return the type of the file system that an absolute path is on, "" = unknown.

    `path` without symlinks; it need not exist.
    """
    return _mount_of(path, mounts).filesystem


def _mount_of(path: str, mounts: Iterable[Mount]) -> Mount:
    best = Mount("", "")
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        # A later mount on the same point hides the earlier one.
        if inside and len(mount.point) >= len(best.point):
            best = mount
    return best


def mount_behind(path: str, mounts: Sequence[Mount]) -> Mount:
    """Return the mount that an absolute path leads to; without a name, if that is unknown."""
    return _mount_of(lead(path, blind_mounts(mounts)).path, mounts)


def blind_mounts(mounts: Iterable[Mount]) -> dict[str, Mount]:
    """Return by their points those that can be seen of mounts where somebody else has to answer.

    Without the root, and what a container has in its /proc: if these do not answer nothing runs.
    """
    top = {mount.point: mount for mount in mounts}  # a later one hides those before it
    return {
        point: mount
        for point, mount in top.items()
        if is_blind(mount.filesystem) and point != "/" and not point.startswith("/proc/")
    }


class Way(NamedTuple):
    """Where a path leads, "" = nowhere, and over which mount that may not answer, if any."""

    path: str
    blind: Mount | None


def lead(path: str, blind: Mapping[str, Mount], plain: set[str] | None = None) -> Way:
    """Return where an absolute path leads. Never waits: links are followed up to the first of
    the `blind` mounts, since whoever looks there may wait forever.

    `plain` remembers for the next paths what was found to be no link.
    """
    plain = set() if plain is None else plain
    here, ahead, links = "/", path.split("/")[::-1], 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = f"{here.rstrip('/')}/{name}"
        if step in blind:
            return _into(blind, step, ahead[::-1])
        if step in plain:
            here = step
            continue
        try:
            target = os.readlink(step)
        except (OSError, ValueError):  # no link, or not there
            plain.add(step)
            here = step
            continue
        links += 1
        if links > LINKS_MAX:
            return Way("", None)
        here = "/" if target.startswith("/") else here
        ahead += target.split("/")[::-1]
    return Way(here, None)


def _into(blind: Mapping[str, Mount], point: str, ahead: list[str]) -> Way:
    """Return where a path leads beyond a blind mount, as far as its words tell: homes are mounted
    each by itself below an autofs."""
    here = deepest = point
    for name in ahead:
        here = f"{here}/{name}"
        if name == "..":
            break
        if here in blind:
            deepest = here
    return Way("/".join((point, *ahead)), blind[deepest])


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a /proc/PID/mountinfo; proc(5) describes the format."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            mounts.append(Mount(_unescape(fields[4]), after.split(" ")[0], int(fields[0])))
    return tuple(mounts)


def read_mounts() -> tuple[Mount, ...]:
    """Return the mounts that this process sees; none when they cannot be read."""
    try:
        return parse_mountinfo(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:
        return ()


class BlindMounts:
    """Where somebody else has to answer, as it is now. One system call while nothing changes.

    `close` it.
    """

    def __init__(self) -> None:
        # The kernel tells by it of every change since the last time that it was asked (proc(5)).
        self._changes = select.poll()
        self._file = open("/proc/self/mountinfo", "rb")  # noqa: SIM115, PTH123 - kept open
        self._changes.register(self._file, select.POLLPRI)
        self._changes.poll(0)
        self._now = blind_mounts(read_mounts())

    def now(self) -> Mapping[str, Mount]:
        """Return those that can be seen, by their points."""
        if self._changes.poll(0):
            self._now = blind_mounts(read_mounts())
        return self._now

    def close(self) -> None:
        self._file.close()


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
