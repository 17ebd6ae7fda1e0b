"""Puts off files that cannot be beside another one of their owner's, while that may be gone.

Whether they can is asked again when it is known: nobody gets the room of one that is only away
for a moment, and the new name of one that fills its owner's room is not refused.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emperor.brain.reads import Key
from emperor.config.file_names import vassal_name


class Newcomers:
    """By the owners of files; `read` begins to read one."""

    def __init__(self, read: Callable[[Key], None]) -> None:
        self._read = read
        self._undecided: Counter[int] = Counter()
        self._put_off: dict[int, dict[Key, str]] = {}

    @contextmanager
    def undecided(self, owner_uid: int) -> Iterator[None]:
        """Meanwhile it is not known whether a file of this owner's is gone."""
        self._undecided[owner_uid] += 1
        try:
            yield
        finally:
            self._undecided[owner_uid] -= 1
            self.read_again(owner_uid)

    def put_off(self, owner_uid: int, key: Key, file: str) -> bool:
        """Return whether the file of a newcomer that was refused will be read again, as another
        one of its owner's may be gone. `file` tells it from others, whatever its name."""
        if not self._undecided[owner_uid]:
            return False
        self._put_off.setdefault(owner_uid, {})[key] = file
        return True

    def name_of(self, owner_uid: int, file: str) -> str | None:
        """Return the vassal of this very file, if that was put off."""
        put_off = self._put_off.get(owner_uid, {})
        return next((vassal_name(key[1]) for key in put_off if put_off[key] == file != ""), None)

    def read_again(self, owner_uid: int) -> bool:
        """Begin to read what was put off; return whether there is any."""
        keys = sorted(self._put_off.pop(owner_uid, {}))
        for key in keys:
            self._read(key)
        return bool(keys)
