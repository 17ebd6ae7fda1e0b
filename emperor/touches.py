"""Which files of a vassal are touched, and for what."""

import os
from enum import Enum

from emperor.brain.binds import possible_places
from emperor.config.settings import VassalSettings

Stamp = tuple[int, int]


class Touch(Enum):
    """What a file is touched for."""

    RELOAD = "reload"
    REOPEN = "reopen the log"
    ROTATE = "rotate the log"


def touches(settings: VassalSettings) -> frozenset[tuple[str, Touch]]:
    """Return the paths of the host that a vassal wants to be touched at, each with its reason."""
    named = {
        Touch.RELOAD: settings.touch_reload,
        Touch.REOPEN: settings.log.touch_reopen,
        Touch.ROTATE: settings.log.touch_rotate,
    }
    return frozenset(
        (place, touch)
        for touch, paths in named.items()
        for path in paths
        for place in possible_places(path, settings.sandbox)
    )


def stamp(path: str) -> Stamp:
    """Return what a touch changes; (0, 0) for a file that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
