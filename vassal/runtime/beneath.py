"""Opens a file below a folder, and never one outside of it, whatever links are on the way.

openat2() with RESOLVE_BENEATH does the same, but ctypes would cost every worker a megabyte,
and system call filters may not know it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence, Union

LINKS_MAX = 40
"""As many as the kernel follows."""

# Without O_NONBLOCK the open of a FIFO waits for somebody who writes into it.
_LAST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FORMAT, _LINK = 0o170000, 0o120000
_KINDS = frozenset({0o100000, 0o040000})


class Refused(Exception):
    """A link leads out of the folder, or the last part is neither a file nor a folder."""


def open_beneath(folder: Union[str, int], parts: Sequence[bytes]) -> int:
    """Return a descriptor of what is at `parts` below `folder`, a path or a descriptor of one.

    `folder` itself may be a link, or with no `parts` a file. A link below it is followed as
    long as it stays below. Raises Refused, and OSError as it comes.
    """
    if not parts:
        if isinstance(folder, int):
            return os.dup(folder)
        return _open_kind(os.fsencode(folder), None, os.O_RDONLY | _LAST & ~os.O_NOFOLLOW)
    above = [
        os.dup(folder)
        if isinstance(folder, int)
        else os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    ]
    try:
        return _walk(above, list(parts))
    finally:
        for fd in above:
            os.close(fd)


def _walk(above: List[int], parts: List[bytes]) -> int:
    """Go down from the last of `above`, to which folders are added on the way."""
    todo = parts[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":  # only a link says it
            if len(above) == 1:
                raise Refused("a link leads out of the folder")
            os.close(above.pop())
            continue
        status = os.stat(part, dir_fd=above[-1], follow_symlinks=False)
        if status.st_mode & _FORMAT == _LINK:
            target = os.readlink(part, dir_fd=above[-1])
            links += 1
            if target.startswith(b"/") or links > LINKS_MAX:
                raise Refused("a link leads out of the folder")
            todo += target.split(b"/")[::-1]
        elif any(later not in (b"", b".") for later in todo):
            above.append(os.open(part, _FOLDER, dir_fd=above[-1]))
        else:
            return _open_kind(part, above[-1], _LAST)
    return os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above[-1])


def _open_kind(part: bytes, folder: Union[int, None], flags: int) -> int:
    """Open a file or a folder; refuse the rest, which to open may do something already."""
    status = os.stat(part, dir_fd=folder, follow_symlinks=not flags & os.O_NOFOLLOW)
    if status.st_mode & _FORMAT not in _KINDS:
        raise Refused("neither a file nor a folder")
    return os.open(part, flags, dir_fd=folder)
