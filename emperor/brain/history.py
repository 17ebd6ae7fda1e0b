"""Keeps the last versions of each vassal file that served, over restarts of machine and brain.

In the emperor's own directory, which nobody else may read: the files hold tenants' secrets.
A file there that cannot be read is as good as none: it costs the way back, nothing else.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

KEPT = 2
"""The version that serves, and the one before it."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A vassal file as it was read. `at` is when it first served, in Unix time; `path`, which says
    in whose words it is, and `ino` are the file's, "" and 0 = of a time when they were not kept."""

    text: str
    owner_uid: int
    gid: int
    digest: str
    at: float = 0.0
    path: str = ""
    ino: int = 0

    def is_same(self, other: "Version") -> bool:
        """Return whether both say the same: with the same words, read in the same way."""
        ways = {Path(one.path).suffix for one in (self, other) if one.path}
        return self.digest == other.digest and len(ways) < 2


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A person went back to `version`; the file's content `instead_of` does not count."""

    version: Version
    instead_of: str


class History:
    """What was good of each vassal, in `directory`, which must be there and ours alone.

    `on_problem` is told of what could not be kept.
    """

    def __init__(self, directory: Path, on_problem: Callable[[str], None]) -> None:
        self._directory = directory
        self._on_problem = on_problem
        self._pins: dict[str, Pin] = {}
        self._newest: dict[str, str] = {}
        for path in directory.glob("*.pin"):
            pin = _read(path, Pin)
            if pin is not None:
                self._pins[path.stem] = pin

    def served(self, name: str, version: Version) -> None:
        """A vassal serves what this version asks for: it is the newest good one."""
        if self._newest.get(name) == version.digest:
            return
        kept = self.versions(name)
        if not kept or kept[0].digest != version.digest:
            older = (one for one in kept if one.digest != version.digest)
            self._write(self._path(name), [version, *older][:KEPT])
        self._newest[name] = version.digest

    def versions(self, name: str) -> list[Version]:
        """Return what is kept, the newest first."""
        return _read(self._path(name), list[Version]) or []

    def pin_of(self, name: str) -> Pin | None:
        """Return what a person went back to, None = nothing."""
        return self._pins.get(name)

    def pin(self, name: str, pin: Pin) -> None:
        """Go back to a version until the file's content is another one."""
        self._pins[name] = pin
        self._write(self._pin_path(name), pin)

    def unpin(self, name: str) -> None:
        """What the file says counts again."""
        if self._pins.pop(name, None) is not None:
            self._pin_path(name).unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """The vassal's file was removed by who made it."""
        self.unpin(name)
        self._newest.pop(name, None)
        self._path(name).unlink(missing_ok=True)

    def rename(self, old: str, new: str) -> None:
        """What served of `old` is what served of `new`, which is its name now."""
        pin, versions = self._pins.get(old), self.versions(old)
        if versions:
            self._write(self._path(new), versions)
        if pin is not None:
            self.pin(new, pin)
        self._newest.pop(new, None)
        self.forget(old)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.versions"

    def _pin_path(self, name: str) -> Path:
        return self._directory / f"{name}.pin"

    def _write(self, path: Path, value: object) -> None:
        try:
            write_whole(path, value)
        except OSError as error:
            self._on_problem(f"{path}: {error.strerror}")


def write_whole(path: Path, value: object) -> None:
    """Replace a file by a value's JSON at once: whoever is killed meanwhile leaves the old one.

    Raises OSError.
    """
    new = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(value))
    new.replace(path)


def choose_back(versions: list[Version], in_effect: Version) -> Version | None:
    """Return the version to go back to from the one in effect; None = there is none. Pure."""
    return next((one for one in versions if not one.is_same(in_effect)), None)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
