"""Which mounts a process can reach, from /proc/PID/mountinfo. Pure.

Mounts that others cover, wholly or with a folder above them, are listed there as well.
"""

import re
from typing import NamedTuple


class Mounted(NamedTuple):
    """One line: `parent` is the id of the mount that it is mounted on."""

    id: int
    parent: int
    path: str
    read_only: bool
    type: str


def parse(text: str) -> tuple[Mounted, ...]:
    """Return the mounts of a mountinfo file; raises ValueError when it is none."""
    return tuple(_parse_line(line) for line in text.splitlines())


def reachable(mounts: tuple[Mounted, ...]) -> list[Mounted]:
    """Return the mounts that path names lead to, beginning with that of "/".

    More than one path to the root of the namespace makes it begin with several.
    """
    children: dict[int, list[Mounted]] = {}
    ids = {mount.id for mount in mounts}
    for mount in mounts:
        children.setdefault(mount.parent, []).append(mount)
    found: list[Mounted] = []
    waiting = [mount for mount in mounts if mount.parent not in ids]
    while waiting:
        mount = waiting.pop()
        on_top = [child for child in children.get(mount.id, ()) if child.path == mount.path]
        if on_top:
            waiting += on_top
            continue
        found.append(mount)
        below = children.get(mount.id, ())
        waiting += [child for child in below if not _is_covered(child, below)]
    return found


def _is_covered(mount: Mounted, siblings: list[Mounted] | tuple[Mounted, ...]) -> bool:
    return any(mount.path.startswith(other.path + "/") for other in siblings)


def _parse_line(line: str) -> Mounted:
    before, separator, after = line.partition(" - ")
    fields = before.split(" ")
    if not separator or len(fields) < 6:
        raise ValueError(f"not a line of mountinfo: {line[:200]!r}")
    options = fields[5].split(",")
    path = fields[4]
    if "\\" in path:  # space, tab, newline and the backslash itself
        path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
    return Mounted(int(fields[0]), int(fields[1]), path, "ro" in options, after.split(" ")[0])
