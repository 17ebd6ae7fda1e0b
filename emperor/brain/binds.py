"""What bind_paths and bind_read_only_paths show, and why that would not work on this host."""

import os
import stat
from collections.abc import Iterable, Iterator

import msgspec

from emperor.config.problems import Problem
from limits.directives import Bind, Sandbox
from limits.mounts import PrivateRoot, Scratch, Show, depth, is_below

_KEYS = ("bind_paths", "bind_read_only_paths")
_MISSING, _FOLDER, _FILE = "missing", "folder", "file"


class Binds:
    """Which of the host's paths a vassal finds at a path of its own."""

    def __init__(self, binds: Iterable[Bind]) -> None:
        elsewhere = [bind for bind in binds if bind.source != bind.target]
        self._deepest_first = sorted(elsewhere, key=lambda bind: -depth(bind.target))

    def on_host(self, path: str) -> str:
        """Return where the host has what the vassal finds at `path`: mostly that path itself."""
        for bind in self._deepest_first:
            if path == bind.target or is_below(path, bind.target):
                return bind.source + path.removeprefix(bind.target)
        return path

    def are_at(self, path: str) -> bool:
        """Return whether `path` is shown by a bind of something that the host has elsewhere."""
        return self.on_host(path) != path


def binds_of(sandbox: Sandbox) -> Binds:
    """Return all binds of a sandbox."""
    return Binds((*sandbox.bind_paths, *sandbox.bind_read_only_paths))


def without_missing(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox without the binds whose source may be missing, and is."""
    kept = {
        key: tuple(
            bind
            for bind in getattr(sandbox, key)
            if not bind.optional or os.path.exists(bind.source)
        )
        for key in _KEYS
    }
    return msgspec.structs.replace(sandbox, **kept)


def possible_places(path: str, sandbox: Sandbox) -> tuple[str, ...]:
    """Return where the host has what is at `path` of a vassal, with and without the sources that
    may be missing. Looks at no file."""
    written = (*sandbox.bind_paths, *sandbox.bind_read_only_paths)
    if not written:
        return (path,)
    sure = Binds(bind for bind in written if not bind.optional)
    return tuple(dict.fromkeys((Binds(written).on_host(path), sure.on_host(path))))


def unmountable(sandbox: Sandbox, root: PrivateRoot | None, file: str) -> list[Problem]:
    """Return which binds cannot be mounted in `root`, as the host's files are now."""
    if root is None:
        return []
    mounts = {mount.path: mount for mount in root.mounts if isinstance(mount, Show)}
    written = [(key, bind) for key in _KEYS for bind in getattr(sandbox, key)]
    found = []
    for key, bind in written:
        mount = mounts.get(bind.target)
        if mount is None or mount.source != bind.source:
            continue
        # In an empty place of the vassal's own its mount point is made.
        target = None
        if mount.below is None:
            around = Binds(one for _, one in written if is_below(bind.target, one.target))
            target = around.on_host(bind.target)
            if target == bind.target and root.base != "/":
                target = root.base + bind.target
        found += [
            Problem(file=file, line=1, key=f"sandbox.{key}", problem=problem, remedy=remedy)
            for problem, remedy in _faults(bind, target, root)
        ]
    return found


def _faults(bind: Bind, on_host: str | None, root: PrivateRoot) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one bind, and what to write; `on_host` is where its target must
    be already."""
    source = _kind(bind.source)
    if source == _MISSING:
        yield f"{bind.source} does not exist", "create it, or correct the path"
    target = _kind(on_host) if on_host is not None and on_host != bind.source else ""
    if target == _MISSING:
        remedy = f"create {on_host}"
        places = [mount.path for mount in root.mounts if isinstance(mount, Scratch)]
        if places:
            remedy += f", or name a target in {places[0]}, where it is made"
        yield f"there is no {bind.target} to show {bind.source} at", remedy
    if {source, target} == {_FOLDER, _FILE}:
        yield (
            f"{bind.source} is a {source}, and {bind.target} a {target}",
            f"name a target that is a {source}",
        )


def _kind(path: str) -> str:
    """Return what is at a path, "" = that is not for us to say: what a tenant's symbolic link
    leads to is the tenant's to find out, and no bind follows it."""
    names = [name for name in path.split("/") if name]
    try:
        for length in range(1, len(names) + 1):
            found = os.lstat("/" + "/".join(names[:length]))
            if stat.S_ISLNK(found.st_mode) and found.st_uid != 0:
                return ""
        return _FOLDER if stat.S_ISDIR(os.stat(path).st_mode) else _FILE
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except OSError:
        return ""
