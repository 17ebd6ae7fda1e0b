"""What a file in uWSGI's dialect may ask of the machine that it is read on."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, Protocol


class Kind(Enum):
    """What a path leads to."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"
    NOTHING = "nothing"


class Facts(NamedTuple):
    """What does not change while a file is read. `cwd` is absolute, where uWSGI would be."""

    cwd: str
    hostname: str = "localhost"
    cpus: int = 1
    uid: int = 0
    user: str = "root"
    gid: int = 0
    group: str = "root"
    unix_us: int = 0
    environ: Mapping[str, str] = {}


class Host(Protocol):
    """Answers as whoever wrote the file would be answered. Paths are absolute."""

    def read(self, path: str) -> bytes | None:
        """Return what is in a file, None when it cannot be read."""

    def kind(self, path: str) -> Kind:
        """Return what the path leads to, through symbolic links."""

    def real_path(self, path: str) -> tuple[str, int]:
        """Return the path itself for a symbolic link, else its real path; and its inode."""

    def glob(self, pattern: str) -> list[str]:
        """Return what matches, folders with a slash behind; the pattern if nothing does."""


def absolute(path: str, cwd: str) -> str:
    """Return the path as the working directory makes it absolute."""
    return path if path.startswith("/") else f"{cwd.rstrip('/')}/{path}"
