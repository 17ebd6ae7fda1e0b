"""Attempts to serve, and the addresses that are bound for them. Pure.

"a/2" is generation 2 of the master "a", "a" whatever that one builds first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

Fresh = Mapping[str, Mapping[str, frozenset[str]]]
"""By vassal and key of an address, which attempts need what was bound for something that has not
settled."""


TO_COME = ""
"""Stands for the next attempt of a vassal that has got an address and does not serve there yet."""


def attempt_of(token: str, number: int) -> str:
    """Return what the attempt of a master to serve a generation is called."""
    return f"{token}/{number}"


def token_of(attempt: str) -> str:
    """Return the token of the master whose attempt it is."""
    return attempt.partition("/")[0]


def is_over(one: str, ended: str) -> bool:
    """Return whether the attempt `one` has come to its end with the attempt `ended`.

    All of a master's end with it, and of two of its generations only the later one can be under
    way.
    """
    token, _, number = one.partition("/")
    ended_token, _, ended_number = ended.partition("/")
    if token != ended_token or not ended_number:
        return token == ended_token
    return number != "" and int(number) <= int(ended_number)


class Attempts:
    """Which addresses of a vassal are fresh: nothing that has settled serves there yet.

    `keep` has all of that kept for the next emperor.
    """

    def __init__(self, keep: Callable[[Fresh], None]) -> None:
        self._keep = keep
        self._fresh: dict[str, Mapping[str, frozenset[str]]] = {}

    def restore(self, kept: Fresh) -> None:
        """Know again what was under way under an earlier emperor."""
        self._fresh = dict(kept)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield each fresh address: its vassal and its key."""
        return ((name, key) for name, fresh in self._fresh.items() for key in fresh)

    @property
    def vassals(self) -> list[str]:
        """Whose addresses are fresh."""
        return list(self._fresh)

    def has(self, vassal: str) -> bool:
        """Return whether an address of a vassal is fresh."""
        return vassal in self._fresh

    def begin(self, vassal: str, attempt: str, new: Set[str], keys: Iterable[str]) -> None:
        """An attempt needs `keys`; those in `new` nobody has served at before."""
        fresh = {**{key: frozenset[str]() for key in new}, **self._fresh.get(vassal, {})}
        for key in fresh.keys() & set(keys):
            fresh[key] = fresh[key] - {TO_COME} | {attempt}
        self._set(vassal, fresh)

    def needed(self, vassal: str, attempt: str) -> list[str]:
        """Return the keys of the fresh addresses that an attempt needs."""
        return [key for key, of in self._fresh.get(vassal, {}).items() if attempt in of]

    def only(self, vassal: str, lives: Callable[[str], bool]) -> set[str]:
        """Forget attempts that do not live; return the keys that no other one needs."""
        return self._only(vassal, lambda _, attempt: lives(attempt))

    def without_next(self, vassal: str, keys: Set[str]) -> set[str]:
        """The next attempt of a vassal is not to serve at `keys`; return those that no other one
        needs."""
        return self._only(vassal, lambda key, attempt: attempt != TO_COME or key not in keys)

    def _only(self, vassal: str, lives: Callable[[str, str], bool]) -> set[str]:
        of = {
            key: frozenset(attempt for attempt in attempts if lives(key, attempt))
            for key, attempts in self._fresh.get(vassal, {}).items()
        }
        self._set(vassal, {key: attempts for key, attempts in of.items() if attempts})
        return {key for key, attempts in of.items() if not attempts}

    def forget(self, vassal: str, keys: Iterable[str] | None = None) -> None:
        """These addresses are fresh no more; None: none of its."""
        fresh = self._fresh.get(vassal, {})
        gone = fresh.keys() if keys is None else set(keys)
        self._set(vassal, {key: of for key, of in fresh.items() if key not in gone})

    def rename(self, old: str, new: str) -> None:
        """`old` is called `new` from now on."""
        self._set(new, {**self._fresh.get(new, {}), **self._fresh.get(old, {})})
        self._set(old, {})

    def _set(self, vassal: str, fresh: Mapping[str, frozenset[str]]) -> None:
        if fresh == self._fresh.get(vassal, {}):
            return
        if fresh:
            self._fresh[vassal] = fresh
        else:
            del self._fresh[vassal]
        self._keep(self._fresh)
