"""Decides where inotify is blind, and reads the mount table that this depends on."""

import os
from collections.abc import Sequence
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
    point: str
    filesystem: str


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


def filesystem_of(path: str, mounts: Sequence[Mount]) -> str:
    """Return the type of the file system that an absolute path is on, "" = unknown.

    `path` without symlinks; it need not exist.
    """
    best = Mount("", "")
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        # A later mount on the same point hides the earlier one.
        if inside and len(mount.point) >= len(best.point):
            best = mount
    return best.filesystem


def filesystem_behind(path: str, mounts: Sequence[Mount]) -> str:
    """Return the type of the file system that an absolute path leads to, "" = unknown.

    Links are followed up to a file system that may not answer: whoever looks there may wait
    forever.
    """
    here, ahead, links = "/", path.split("/"), 0
    while ahead:
        name = ahead.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        if is_blind(filesystem_of(step, mounts)):
            return filesystem_of(os.path.join(step, *ahead), mounts)
        try:
            target = os.readlink(step)
        except OSError:  # no link, or not there
            here = step
            continue
        links += 1
        if links > LINKS_MAX:
            return ""
        here = "/" if target.startswith("/") else here
        ahead = target.split("/") + ahead
    return filesystem_of(here, mounts)


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a /proc/PID/mountinfo; proc(5) describes the format."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            mounts.append(Mount(_unescape(fields[4]), after.split(" ")[0]))
    return tuple(mounts)


def read_mounts() -> tuple[Mount, ...]:
    """Return the mounts that this process sees; none when they cannot be read."""
    try:
        return parse_mountinfo(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:
        return ()


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
