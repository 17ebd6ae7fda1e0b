"""Finds out which of the host's places a vassal must see, and which it must not.

Looks at the file system, and changes nothing. What it returns goes into `limits.layout`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from emperor.brain.binds import Binds, binds_of, possible_places
from emperor.config.application import is_file, seen_from
from emperor.config.identity import Identity
from emperor.config.settings import EmperorSettings, VassalSettings
from limits.cgroups.writes import io_paths
from limits.mounts import above
from limits.real_path import real_path
from limits.root import HOMES

Home = tuple[str, bool]
"""A path without symlinks, and whether the vassal may write there."""


class Places(NamedTuple):
    """`homes` stay visible whatever is hidden around them; `hidden` are the emperor's own.
    `withheld` is what a tenant's file asks to see of other people's homes."""

    homes: tuple[Home, ...]
    hidden: tuple[str, ...]
    withheld: tuple[str, ...] = ()


def find_places(
    emperors_own: Sequence[str],
    settings: VassalSettings,
    identity: Identity,
    python: str,
    logs: Sequence[str],
    by_tenant: bool,
) -> Places:
    """Return the places of a vassal that runs as `identity`, beside the emperor's own.

    `by_tenant`: its file may not uncover homes that are not that user's.
    """
    binds = binds_of(settings.sandbox)
    must_see: list[Home] = []
    own: list[Home] = []
    # What is bound is shown by that, and not as the host has it at this path.
    if not binds.are_at(settings.directory):
        directory = real_path(settings.directory)
        must_see.append((directory, True))
        own.append((own_folder(directory, identity.uid), True))
    folders = [os.path.dirname(log) for log in logs if log.startswith("/")]
    must_see += [(real_path(path), True) for path in folders if not binds.are_at(path)]
    must_see += [(path, False) for path in _interpreter_folders(python, binds)]
    if identity.uid != 0 and _owner(identity.home) == identity.uid:
        if not binds.are_at(identity.home):
            own.append((real_path(identity.home), True))
    modules = [real_path(path) for path in settings.pythonpath if not binds.are_at(path)]
    served = _served(settings, emperors_own, binds)
    withheld: set[str] = set()
    if by_tenant and settings.sandbox.protect_home in ("true", "tmpfs"):
        told = [path for path, _ in must_see] + [*served, *modules]
        withheld = {path for path in told if is_of_others(path, identity.uid)}
        must_see = [one for one in must_see if one[0] not in withheld]
        modules = [path for path in modules if path not in withheld]
        served = [path for path in served if path not in withheld]
    asked = [*served, *modules]
    wide = [path for path, may_write in (*own, *must_see) if may_write]
    own += [(path, False) for path in asked if not _is_shown(path, wide, emperors_own)]
    homes = tuple(_needed([*own, *must_see]))
    must_see += [(path, False) for path in modules]
    hidden = tuple(path for path in emperors_own if not _is_in_the_way(path, must_see, homes))
    return Places(homes, hidden, tuple(sorted(withheld)))


def named_by(settings: VassalSettings, identity: Identity) -> Iterator[str]:
    """Yield every path of the host that is looked at before a vassal can run."""
    for path in _named(settings, identity):
        yield path
        yield from possible_places(path, settings.sandbox)


def _named(settings: VassalSettings, identity: Identity) -> Iterator[str]:
    yield from (settings.directory, identity.home, *settings.pythonpath)
    if settings.python is not None:
        yield from (settings.python, f"{settings.python}/bin/python")
    yield from (*settings.static.values(), *settings.check_static)
    for app in (settings.app, *settings.mounts.values()):
        file = seen_from(app, settings.directory).partition(":")[0]
        if is_file(file):
            yield file
    yield from (log for log in (settings.log.target, settings.log.requests or "") if "/" in log)
    yield from (address.file for address in settings.addresses if address.file is not None)
    yield from io_paths(settings.limits)
    for bind in (*settings.sandbox.bind_paths, *settings.sandbox.bind_read_only_paths):
        yield from (bind.source, bind.target)


def emperors_own(emperor: EmperorSettings, real: Callable[[str], str] = real_path) -> list[str]:
    """Return the folders of the emperor, without symlinks as `real` says it."""
    folders = {emperor.runtime_dir, emperor.log_dir, emperor.state_dir, *emperor.directories}
    if os.path.isabs(emperor.file):
        folders.add(os.path.dirname(emperor.file))
    return sorted({real(path) for path in folders} - {"/"})


def _served(settings: VassalSettings, emperors_own: Iterable[str], binds: Binds) -> list[str]:
    """Return the folders of static files and of the application's own; what is the emperor's is
    shown to nobody."""
    asked = [*settings.static.values(), *settings.check_static]
    for app in (settings.app, *settings.mounts.values()):
        file = seen_from(app, settings.directory).partition(":")[0]
        if is_file(file) and os.path.dirname(file) != "/":
            asked.append(os.path.dirname(file))
    found = [real_path(path) for path in asked if not binds.are_at(path) and os.path.isdir(path)]
    return [
        path for path in found if not any(_is_at_or_below(path, hidden) for hidden in emperors_own)
    ]


def _is_shown(path: str, wide: Iterable[str], emperors_own: Iterable[str]) -> bool:
    """Return whether `path` is seen as a part of one of `wide`, where the vassal may write:
    uploads that are served, or a module beside its database, must not become read-only."""
    around = [folder for folder in wide if _is_at_or_below(path, folder)]
    hidden = [place for place in emperors_own if _is_at_or_below(path, place)]
    return any(all(_is_at_or_below(folder, place) for place in hidden) for folder in around)


def _is_in_the_way(path: str, must_see: Iterable[Home], homes: Iterable[Home]) -> bool:
    """Return whether hiding `path` would hide what the vassal lives by.

    A home below a hidden place is shown again. One that is only a part of a larger home,
    which the place is in too, would not be.
    """
    below = [seen for seen, _ in must_see if _is_at_or_below(seen, path)]
    if path in below:
        return True
    return bool(below) and any(_is_at_or_below(path, home) for home, _ in homes)


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_of_others(path: str, uid: int) -> bool:
    """Return whether a path is, or leads to, homes of the host that are not `uid`'s.

    What lies in a folder of that user's is, whoever owns it.
    """
    if any(_is_at_or_below(home, path) for home in HOMES):
        return True
    if not any(_is_at_or_below(path, home) for home in HOMES):
        return False
    ways = [path, *above(path)]
    inside = [way for way in ways if not any(_is_at_or_below(home, way) for home in HOMES)]
    return all(_owner(way) != uid for way in inside)


def own_folder(path: str, uid: int) -> str:
    """Return the highest folder above a path without symlinks that belongs to `uid`, else it.

    With releases beside one another and a symlink to the current one, it holds them all.
    """
    if uid == 0 or _owner(path) != uid:
        return path
    while (above := os.path.dirname(path)) != path and _owner(above) == uid:
        path = above
    return path


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def _interpreter_folders(python: str, binds: Binds) -> list[str]:
    """Return the virtualenv and the installation that an interpreter belongs to."""
    found = []
    for path in (python, real_path(binds.on_host(python))):
        if binds.are_at(path):
            continue
        folder = os.path.dirname(path)
        # In no "bin" there is no installation around it: /home is none of /home/blog/python3.
        prefix = os.path.dirname(folder) if os.path.basename(folder) == "bin" else folder
        if prefix != "/":
            found.append(real_path(prefix))
    return found


def _needed(found: Iterable[Home]) -> Iterable[Home]:
    """Yield every place once, leaving out what a place above it covers with the same rights."""
    writable: dict[str, bool] = {}
    for path, may_write in found:
        writable[path] = may_write or writable.get(path, False)
    for path, may_write in sorted(writable.items()):
        around = next((folder for folder in above(path) if folder in writable), None)
        if around is None or writable[around] != may_write:
            yield path, may_write
