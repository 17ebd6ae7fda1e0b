"""What a watcher reports, and which file names are vassals. Pure.

Every report means "look there again", never "this happened": several may come for one
change, and the reader compares contents.
"""

from dataclasses import dataclass

from emperor.config.file_names import vassal_name


@dataclass(frozen=True, slots=True)
class Changed:
    """The vassal file `name` in a watched directory came, went or changed."""

    directory: str
    name: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    """One of the single files came, went, changed or was touched."""

    path: str


@dataclass(frozen=True, slots=True)
class Rescan:
    """Changes in this directory may have been missed, or it came or went as a whole."""

    directory: str


@dataclass(frozen=True, slots=True)
class Degraded:
    """`path` is watched less well than it was meant to be; a person may want to act."""

    path: str
    reason: str


WatchEvent = Changed | FileChanged | Rescan | Degraded


def is_vassal_file_name(name: str) -> bool:
    """Return whether a file of this name in a watched directory is a vassal."""
    return vassal_name(name) is not None


def path_of(event: WatchEvent) -> str:
    """Return the path that the event is about."""
    match event:
        case Rescan(directory):
            return directory
        case Changed(directory, name):
            return f"{directory}/{name}"
        case FileChanged(path) | Degraded(path, _):
            return path
