"""Knows in which directory each vassal's file was found. Pure.

A directory at the same path may be another one by now: its mount is gone, or not there yet, or
something is mounted over it. That a file is not in there says nothing about the file.
"""

import msgspec

Home = tuple[int, int]
"""Device and inode of a directory."""


class KeptHomes(msgspec.Struct, frozen=True):
    """For the next brain: what the directories were in which all files were found last."""

    directories: dict[str, Home] = {}


class Homes:
    """Of one brain. `kept` is what the one before it knew."""

    def __init__(self, kept: KeptHomes) -> None:
        self._kept = dict(kept.directories)
        self._now: dict[str, Home] = {}
        self._of_vassals: dict[str, tuple[str, Home | None]] = {}

    def see(self, directory: str, home: Home) -> None:
        """This is what is at the path of a directory now."""
        self._now[directory] = home

    def found(self, name: str, directory: str, home: Home) -> None:
        """A vassal's file is in this directory."""
        self._of_vassals[name] = directory, home

    def presume(self, name: str, directory: str) -> None:
        """A vassal's file was found by an earlier brain."""
        self._of_vassals[name] = directory, self._kept.get(directory)

    def forget(self, name: str) -> None:
        """A vassal's file is gone."""
        self._of_vassals.pop(name, None)

    def is_another(self, directory: str) -> bool:
        """Return whether what is at the path is not what it was for the brain before, as far as
        both are known."""
        now = self._now.get(directory)
        return now is not None and self._kept.get(directory, now) != now

    def is_lost(self, name: str, home: Home) -> bool:
        """Return whether the file of a vassal was in another directory than this one, at the same
        path."""
        return self._of_vassals.get(name, ("", home))[1] not in (home, None)

    def lost(self, directory: str) -> list[str]:
        """Return the vassals whose files were in another directory at this path."""
        now = self._now.get(directory)
        return [
            name
            for name, (where, home) in self._of_vassals.items()
            if where == directory and None not in (now, home) and home != now
        ]

    def to_keep(self) -> KeptHomes:
        """Return what the next brain has to know: of a directory some of whose files are lost
        what it was before."""
        for directory, home in self._now.items():
            if directory not in self._kept or not self.lost(directory):
                self._kept[directory] = home
        return KeptHomes(dict(self._kept))
