"""What is known of the vassal files: an entry for each vassal that has one."""

import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from emperor.brain.history import Version
from emperor.touches import Touch


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal file as it was read last. `problems` are the lines that status shows; `since` is
    when the vassal had no file before, in monotonic seconds."""

    directory: str
    file_name: str
    owner_uid: int = 0
    digest: str = ""
    ino: int = 0
    since: float = 0.0
    problems: tuple[str, ...] = ()
    touches: frozenset[tuple[str, Touch]] = frozenset()

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.file_name}"

    @property
    def version(self) -> Version:
        """The version that the file has now, as far as it is to be told from others."""
        return Version(
            text="",
            owner_uid=self.owner_uid,
            gid=0,
            digest=self.digest,
            path=self.path,
            ino=self.ino,
        )


class Entries(Mapping[str, Entry]):
    """By the names of vassals. `wants(name, uid, touches)` is called with the files that each
    wants to be touched at, and with none when its own is gone."""

    def __init__(self, wants: Callable[[str, int, frozenset[tuple[str, Touch]]], None]) -> None:
        self._wants = wants
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, name: str, entry: Entry) -> None:
        """This is what is known of a vassal's file now. It has one since it had one first."""
        known = self._entries.get(name)
        since = known.since if known is not None else time.monotonic()
        self._entries[name] = msgspec.structs.replace(entry, since=since)
        self._wants(name, entry.owner_uid, entry.touches)

    def reconsider(self, name: str) -> None:
        """Take the file for another one at its next reading.

        What it says may mean something else by now: what it includes, where a release's link
        leads, which interpreter and user there are.
        """
        self.enter(name, msgspec.structs.replace(self._entries[name], digest=""))

    def forget(self, name: str) -> None:
        """The vassal has no file any more."""
        del self._entries[name]
        self._wants(name, 0, frozenset())

    def path_of(self, name: str) -> str:
        """Return the path of a vassal's file, "" for one that has none."""
        entry = self._entries.get(name)
        return entry.path if entry else ""

    def has_another(self, name: str, path: str) -> bool:
        """Return whether the vassal is described by another file than that at `path`."""
        return self.path_of(name) not in ("", path)

    def file_names_in(self, directory: str) -> set[str]:
        """Return the names of the files in one directory."""
        return {one.file_name for one in self._entries.values() if one.directory == directory}
