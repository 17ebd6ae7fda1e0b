"""Finds what is in the way to a vassal's folders: those that do not exist, and symbolic links
that the vassal would not see.

The folder that a link leads to is shown to it; the link itself is not, where /tmp or the homes are
its own and the folder with the link belongs to somebody else. Each generation follows the link
anew, from inside, and the first one would say only that there is no such folder.
"""

import os

from emperor.brain.binds import Binds, binds_of
from emperor.config.problems import Problem
from emperor.config.settings import VassalSettings
from limits.mounts import Cover, FileSystem, Hide, PrivateRoot, Scratch, Show
from limits.real_path import real_path

BY_EMPEROR = "hidden by the emperor"
"""What is said of its own folders, which no line of the file's hides."""


def unseen_link(
    directory: str, binds: Binds, root: PrivateRoot | None, user: str, file: str
) -> Problem | None:
    """Return what is wrong with a `directory` whose way leads over a link hidden by `root`."""
    if root is None or root.base != "/" or real_path(directory) == directory:
        return None
    if binds.are_at(directory):
        return None  # a bind shows it, with whatever links are in there
    for link in _links(directory):
        folder = real_path(os.path.dirname(link))
        hiding = hidden_by(folder, root)
        if hiding is not None:
            return Problem(
                file=file,
                line=1,
                key="directory",
                problem=f"the vassal cannot see the symbolic link {link}: {hiding}, and {folder} "
                f"does not belong to {user}",
                remedy=f'write [sandbox] bind_read_only_paths = ["{folder}"], give the folder to '
                f'{user}, or write directory = "{real_path(directory)}"',
            )
    return None


def missing_folders(settings: VassalSettings, root: PrivateRoot | None, file: str) -> list[Problem]:
    """Return which folders of the file's are to be shown in `root`, and do not exist."""
    if root is None:
        return []
    shown = {mount.source for mount in root.mounts if isinstance(mount, Show) and mount.base == "/"}
    binds = binds_of(settings.sandbox)
    asked = [
        ("directory", settings.directory),
        *(("pythonpath", one) for one in settings.pythonpath),
    ]
    return [
        Problem(
            file=file,
            line=1,
            key=key,
            problem=f"{path} does not exist" + (f": it is {host} of the host" * (host != path)),
            remedy="create it, or correct the path",
        )
        for key, path, host in ((key, path, binds.on_host(path)) for key, path in asked)
        if (host != path or real_path(path) in shown) and not os.path.exists(host)
    ]


def hidden_by(path: str, root: PrivateRoot) -> str | None:
    """Return what stands before the host's `path` in a private root, for people; None = nothing."""
    found: str | None = None
    for mount in root.mounts:  # of two on the way the deeper, and later, one counts
        if path != mount.path and not path.startswith(f"{mount.path.rstrip('/')}/"):
            continue
        if isinstance(mount, Show):
            found = None if mount.source == mount.path else f"{mount.path} is {mount.source} there"
        elif isinstance(mount, Hide | Cover | Scratch | FileSystem):
            found = f"{mount.path} is " + (f"hidden by {mount.key}" if mount.key else BY_EMPEROR)
    return found


def _links(path: str) -> list[str]:
    """Return the symbolic links on the way to a path, as it is written."""
    names = [name for name in path.split("/") if name]
    ways = ("/" + "/".join(names[: depth + 1]) for depth in range(len(names)))
    return [way for way in ways if os.path.islink(way)]
