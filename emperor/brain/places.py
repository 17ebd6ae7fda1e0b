"""Finds out which of the host's places a vassal must see, and which it must not.

Looks at the file system, and changes nothing. What it returns goes into `limits.layout`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from emperor.config.identity import Identity
from emperor.config.settings import EmperorSettings, VassalSettings

Home = tuple[str, bool]
"""A path without symlinks, and whether the vassal may write there."""


def homes(
    settings: VassalSettings, identity: Identity, python: str, log_target: str
) -> tuple[Home, ...]:
    """Return what stays visible of places that are hidden or read-only otherwise."""
    found: list[Home] = [(own_folder(settings.directory, identity.uid), True)]
    if identity.uid != 0 and _owner(identity.home) == identity.uid:
        found.append((os.path.realpath(identity.home), True))
    if log_target.startswith("/"):
        found.append((os.path.realpath(os.path.dirname(log_target)), True))
    found += [(path, False) for path in _interpreter_folders(python)]
    found += [(os.path.realpath(path), False) for path in settings.pythonpath]
    return tuple(_needed(found))


def hidden(emperor: EmperorSettings, seen: Iterable[Home]) -> tuple[str, ...]:
    """Return the emperor's own places; what a vassal lives in is never among them."""
    folders = {emperor.runtime_dir, emperor.log_dir, *emperor.directories}
    if os.path.isabs(emperor.file):
        folders.add(os.path.dirname(emperor.file))
    visible = {path for path, _ in seen}
    return tuple(sorted({os.path.realpath(path) for path in folders} - visible - {"/"}))


def own_folder(directory: str, uid: int) -> str:
    """Return the highest folder above `directory` that belongs to `uid`, else the folder itself.

    With releases beside one another and a symlink to the current one, it holds them all.
    """
    path = os.path.realpath(directory)
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


def _interpreter_folders(python: str) -> list[str]:
    """Return the virtualenv and the installation that an interpreter belongs to."""
    found = []
    for path in (python, os.path.realpath(python)):
        prefix = os.path.dirname(os.path.dirname(path))
        if prefix != "/":
            found.append(os.path.realpath(prefix))
    return found


def _needed(found: Iterable[Home]) -> Iterable[Home]:
    """Yield every place once, leaving out what a place above it covers with the same rights."""
    writable: dict[str, bool] = {}
    for path, may_write in found:
        writable[path] = may_write or writable.get(path, False)
    for path, may_write in sorted(writable.items()):
        above = next((str(p) for p in Path(path).parents if str(p) in writable), None)
        if above is None or writable[above] != may_write:
            yield path, may_write
