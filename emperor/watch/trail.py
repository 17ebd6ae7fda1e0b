"""Which directory entries decide what a path means: its symlinks, and its end. Pure.

To notice any change of a file, watch all of these entries: when a symlink on the way is
swapped, nothing happens in the directory where the file was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

HOPS_MAX = 40  # as the kernel: more symlinks are ELOOP


class Entry(NamedTuple):
    """A name in a directory; `directory` has no symlink in it."""

    directory: str
    name: str


@dataclass(frozen=True)
class Trail:
    """`entries` in the order of resolution. The last is the end of the path when `complete`,
    else the first component that is not there.
    """

    entries: tuple[Entry, ...]
    complete: bool


def follow(path: str, read_link: Callable[[str], str | None]) -> Trail:
    """Return the trail of an absolute path.

    `read_link` returns a symlink's target, None for everything else that exists, and
    raises OSError for what does not.
    """
    entries: list[Entry] = []
    at = "/"
    hops = 0
    left = _parts(path)
    while left:
        name = left.pop()
        if name == "..":
            at = at.rpartition("/")[0] or "/"
            continue
        here = f"{at.rstrip('/')}/{name}"
        try:
            target = read_link(here)
        except OSError:
            return Trail((*entries, Entry(at, name)), complete=False)
        if target is not None:
            entries.append(Entry(at, name))
            hops += 1
            if hops > HOPS_MAX:
                return Trail(tuple(entries), complete=False)
            if target.startswith("/"):
                at = "/"
            left += _parts(target)
        elif left:
            at = here
        else:
            entries.append(Entry(at, name))
    return Trail(tuple(entries), complete=True)


def _parts(path: str) -> list[str]:
    """Return the components, last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
