"""Decides what a vassal sees of the host: which mounts its private root consists of. Pure.

Mounts are made from the shallowest path to the deepest, so that of two that concern the
same place the deeper one wins; on the same path the later in this order wins: defaults,
the emperor's own places, the vassal's homes, what somebody wrote. The names and meanings
of directives are systemd's; where ours differ, it is said beside the code.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec

from limits import root_kernel
from limits.directives import Bind, Sandbox, Subject
from limits.mounts import (
    AnyMount,
    Cover,
    FileSystem,
    Hide,
    HideElsewhere,
    PrivateRoot,
    Restrict,
    Scratch,
    Seal,
    Show,
    above,
    depth,
    is_below,
)
from limits.root_kernel import SMALL

_NO_NAME = "\1"
HOMES = ("/home", "/root", "/run/user")
_SYSTEM = {"true": ("/usr", "/boot", "/efi"), "full": ("/usr", "/boot", "/efi", "/etc")}

_NOTHING: dict[str, object] = {
    "protect_system": "no",
    "protect_home": "no",
    "protect_proc": "default",
    "proc_subset": "all",
    "private_tmp": None,
    "private_devices": False,
    "protect_kernel_tunables": False,
    "protect_kernel_modules": False,
    "protect_kernel_logs": False,
    "protect_control_groups": False,
    "read_only_paths": (),
    "read_write_paths": (),
    "inaccessible_paths": (),
    "no_exec_paths": (),
    "bind_paths": (),
    "bind_read_only_paths": (),
    "temporary_file_system": {},
    "root_directory": None,
}
"""The directives that a private root answers to, and what asks for nothing."""


def private_root(sandbox: Sandbox, subject: Subject) -> PrivateRoot | None:
    """Return the root for `subject`, or None when the sandbox asks for nothing of the kind.

    Raises ValueError for what can never be mounted, such as a tmpfs on "/".
    """
    directives = tuple(name for name in _NOTHING if getattr(sandbox, name) != _NOTHING[name])
    # In a PID namespace the host's /proc would show, and hide, the wrong processes.
    if not directives and not sandbox.private_pids:
        return None
    base = sandbox.root_directory or "/"
    homes, written = list(_homes(subject)), list(_written(sandbox, subject, base))
    if written:
        everything = [*_of_all(sandbox, subject.hidden), *homes, *written]
        made = _sealed(_arranged(everything, base).made)
    else:
        made = _with_homes(msgspec.json.encode(sandbox), subject.hidden, homes)
    return PrivateRoot(base=base, mounts=made, directives=directives)


def _of_all(sandbox: Sandbox, hidden: tuple[str, ...]) -> list[AnyMount]:
    """Return the mounts that all vassals with this sandbox have."""
    return [
        *_system(sandbox),
        *root_kernel.proc(sandbox),
        *root_kernel.sys(sandbox),
        *root_kernel.devices(sandbox),
        *_temporary(sandbox),
        *_protected_homes(sandbox),
        # Whatever the emperor keeps there: not there yet, it needs no hiding either.
        *(Hide(path=path, optional=True) for path in hidden),
    ]


def _with_homes(sandbox: bytes, hidden: tuple[str, ...], homes: list[Show]) -> tuple[AnyMount, ...]:
    """Return the mounts of a sandbox in order, the homes among them.

    What the folders are called that nothing else is mounted in has no part in the order: with
    other names instead, most vassals of a host have one arrangement.
    """
    stand_ins = _stand_ins(
        [home.path for home in homes], _arrangement(sandbox, hidden, ()).occupied
    )
    renamed = tuple(_renamed(home, stand_ins) for home in homes)
    meant = {stand_in: path for path, stand_in in stand_ins.items()}
    made = _arrangement(sandbox, hidden, renamed).made
    return _sealed(_renamed(one, meant) if isinstance(one, Show) else one for one in made)


def _stand_ins(paths: list[str], occupied: frozenset[str]) -> dict[str, str]:
    """Return names of as many parts for the paths that lie apart from all others."""
    found = {}
    for index, path in enumerate(paths):
        others = (*paths[:index], *paths[index + 1 :])
        if path in occupied or any(_are_related(path, other) for other in others):
            continue
        above_it = next((folder for folder in above(path) if folder in occupied), "/")
        left = depth(path) - depth(above_it)
        found[path] = above_it.rstrip("/") + f"/{_NO_NAME}{index}" * left
    return {} if set(found.values()) & set(paths) else found


def _are_related(one: str, other: str) -> bool:
    return one == other or is_below(one, other) or is_below(other, one)


def _renamed(mount: Show, names: dict[str, str]) -> Show:
    path = names.get(mount.path)
    return mount if path is None else msgspec.structs.replace(mount, path=path, source=path)


@lru_cache(maxsize=256)
def _arrangement(sandbox: bytes, hidden: tuple[str, ...], homes: tuple[Show, ...]) -> "Arrangement":
    decoded = msgspec.json.decode(sandbox, type=Sandbox)
    base = decoded.root_directory or "/"
    return _arranged([*_of_all(decoded, hidden), *homes], base)


def _system(sandbox: Sandbox) -> Iterator[AnyMount]:
    level = sandbox.protect_system
    for path in _SYSTEM.get(level, ()):
        yield Restrict(path=path, read_only=True, optional=True, key="protect_system")
    if level == "strict":
        yield Restrict(
            path="/",
            read_only=True,
            no_suid=True,
            no_dev=sandbox.private_devices,
            key="protect_system",
        )
        # Root's services listen on the system bus: systemd, logind, polkit. A web
        # application has no business with them; who needs one binds the socket again.
        yield Hide(path="/run/dbus/system_bus_socket", optional=True, key="protect_system")


def _temporary(sandbox: Sandbox) -> Iterator[AnyMount]:
    if (bounds := sandbox.private_tmp) is not None:
        for path, folder in (("/tmp", "tmp"), ("/var/tmp", "var-tmp")):
            yield Scratch(
                path=path,
                size=bounds.size,
                inodes=bounds.inodes,
                folder=folder,
                optional=True,
                no_suid=True,
                no_dev=True,
                key="private_tmp",
            )


def _protected_homes(sandbox: Sandbox) -> Iterator[AnyMount]:
    key = "protect_home"
    for path in HOMES:
        if sandbox.protect_home == "true":
            yield Hide(path=path, optional=True, key=key)
        elif sandbox.protect_home == "tmpfs":
            yield _empty(path, key, mode=0o755)
        elif sandbox.protect_home == "read-only":
            yield Restrict(path=path, read_only=True, optional=True, key=key)


def _empty(path: str, key: str, mode: int) -> Cover:
    return Cover(
        path=path,
        size=SMALL.size,
        inodes=SMALL.inodes,
        mode=mode,
        optional=True,
        read_only=True,
        key=key,
        no_suid=True,
        no_dev=True,
        no_exec=True,
    )


def _homes(subject: Subject) -> Iterator[Show]:
    for path, writable in subject.homes:
        if path != "/":
            yield Show(path=path, source=path, read_only=not writable, no_suid=True, no_dev=True)


def _written(sandbox: Sandbox, subject: Subject, base: str) -> Iterator[AnyMount]:
    """What somebody wrote has to exist, unless a "-" before it says otherwise."""
    for path, bounds in sandbox.temporary_file_system.items():
        # systemd's belongs to root; one with bounds of its own is there to be used.
        yield Cover(
            path=path,
            size=bounds.size,
            inodes=bounds.inodes,
            mode=0o755,
            uid=subject.uid,
            gid=subject.gid,
            no_suid=True,
            no_dev=True,
            key="temporary_file_system",
        )
    for bind in sandbox.bind_paths:
        yield _bind(bind, "bind_paths", read_only=False)
    for bind in sandbox.bind_read_only_paths:
        yield _bind(bind, "bind_read_only_paths", read_only=True)
    for path, optional in map(_without_minus, sandbox.read_write_paths):
        # Where it comes from is known when all the others are: see _arranged.
        yield Show(
            path=path,
            source=path,
            base=base,
            optional=optional,
            no_suid=True,
            no_dev=True,
            key=_READ_WRITE,
        )
    for path, optional in map(_without_minus, sandbox.read_only_paths):
        yield Restrict(path=path, read_only=True, optional=optional, key="read_only_paths")
    for path, optional in map(_without_minus, sandbox.no_exec_paths):
        yield Restrict(path=path, no_exec=True, optional=optional, key=_NO_EXEC)
    for path, optional in map(_without_minus, sandbox.inaccessible_paths):
        yield Hide(path=path, optional=optional, key="inaccessible_paths")


def _bind(bind: Bind, key: str, read_only: bool) -> Show:
    return Show(
        path=bind.target,
        source=bind.source,
        read_only=read_only,
        optional=bind.optional,
        no_suid=True,
        no_dev=True,
        key=key,
    )


def _without_minus(path: str) -> tuple[str, bool]:
    return path.removeprefix("-"), path.startswith("-")


_READ_WRITE = "read_write_paths"
_NO_EXEC = "no_exec_paths"
# Tuples, made once: thousands of vassals are laid out by an emperor that starts.
_OPAQUE = (Cover, Hide, Scratch, FileSystem)
"""Below one of these nothing of the host is seen unless it is shown again."""
_SHOWN = (*_OPAQUE, Show)
_ALL_OVER = (Restrict, HideElsewhere)
_TAKES_AWAY = (Restrict, Hide)
_EMPTY = (Cover, Scratch)
Shown = dict[str, AnyMount]
"""What lies at a path instead of what was there: of several the first, by path."""


class Arrangement(NamedTuple):
    """Mounts in the order to make them, each knowing what it lies in. `occupied` are the paths
    of all that were to be arranged, and all folders above them."""

    made: tuple[AnyMount, ...]
    occupied: frozenset[str]


def _sealed(made: Iterable[AnyMount]) -> tuple[AnyMount, ...]:
    """Return the mounts, and after them what makes the empty places read-only."""
    made = tuple(made)
    seals = (mount for mount in made if isinstance(mount, Cover) and mount.read_only)
    return (
        *made,
        *(Seal(path=mount.path, key=mount.key, optional=mount.optional) for mount in seals),
    )


def _depth(mount: AnyMount) -> int:
    return depth(mount.path)


def _arranged(mounts: list[AnyMount], base: str) -> Arrangement:
    for mount in mounts:
        if mount.path == "/" and not isinstance(mount, _ALL_OVER):
            raise ValueError(f"{mount.key}: nothing can be mounted on /")
    ordered = sorted(_without_covered(mounts), key=_depth)
    no_exec = {mount.path for mount in ordered if mount.key == _NO_EXEC}
    made: list[AnyMount] = []
    shown: Shown = {}
    for mount in ordered:
        around = _around(mount.path, shown)
        if isinstance(mount, Show) and mount.key == _READ_WRITE:
            mount = _writable_again(mount, made, shown, base)
        takes_away = isinstance(mount, _TAKES_AWAY)
        if takes_away and isinstance(around, Hide):
            continue  # already out of reach
        if isinstance(around, Hide):
            # The way to what is shown below it must be open.
            hidden, around = around, _opened(around, shown)
            made[made.index(hidden)] = shown[around.path] = around
        if isinstance(around, _EMPTY) and not takes_away:
            mount = msgspec.structs.replace(mount, below=around.path)
        if no_exec and any(folder in no_exec for folder in above(mount.path)):
            mount = msgspec.structs.replace(mount, no_exec=True)
        made.append(mount)
        if isinstance(mount, _SHOWN):
            shown.setdefault(mount.path, mount)
    occupied = {path for mount in mounts for path in (mount.path, *above(mount.path))}
    return Arrangement(tuple(made), frozenset(occupied))


def _opened(hide: Hide, shown: Shown) -> Cover:
    """Return an empty place instead of a hidden one, made where something hides even that."""
    opened = _empty(hide.path, hide.key, mode=0o755)
    outer = _around(hide.path, shown)
    if isinstance(outer, _EMPTY):
        return msgspec.structs.replace(opened, below=outer.path, optional=False)
    return msgspec.structs.replace(opened, optional=hide.optional)


def _without_covered(mounts: list[AnyMount]) -> Iterator[AnyMount]:
    """Leave out what a later mount on the same path would cover wholly and for certain."""
    last = {
        mount.path: index
        for index, mount in enumerate(mounts)
        if isinstance(mount, _SHOWN)
        and not (isinstance(mount, Show) and (mount.optional or mount.key == _READ_WRITE))
    }
    for index, mount in enumerate(mounts):
        if last.get(mount.path, index) <= index or isinstance(mount, Restrict):
            yield mount


def _around(path: str, shown: Shown) -> AnyMount | None:
    """Return the nearest mount above a path, of those that show something else than was there."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in shown:
            return shown[path]
    return None


def _writable_again(mount: Show, made: list[AnyMount], shown: Shown, base: str) -> Show | Restrict:
    """Show a path of the host once more, without the restrictions around it.

    What is hidden stays so, as in systemd: below an empty place there is nothing to be
    made writable, and asking for it is an error.
    """
    here = [other for other in made if other.path == mount.path]
    opaque = next((other for other in reversed(here) if not isinstance(other, Restrict)), None)
    around = opaque or _around(mount.path, shown)
    if isinstance(around, _OPAQUE):
        return Restrict(path=mount.path, optional=mount.optional, key=mount.key)
    if isinstance(around, Show):
        rest = mount.path.removeprefix(around.path)
        return msgspec.structs.replace(mount, base=around.base, source=around.source + rest)
    return msgspec.structs.replace(mount, base=base)
