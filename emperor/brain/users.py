"""As whom the processes of each vassal run that may have its sockets: by that it is decided who may
have them next."""

from collections.abc import Callable


class Users:
    """By vassal, the uid of each of its masters, and of what is to run. `lives` tells by its token
    whether a master runs that may have been given sockets."""

    def __init__(self, lives: Callable[[str], bool]) -> None:
        self._lives = lives
        self._uids: dict[str, dict[str, int]] = {}  # by vassal and token, in their order

    def note(self, vassal: str, token: str, uid: int) -> None:
        """The master `token` of a vassal, "" = none yet, runs as `uid`, or is to."""
        known = self._uids.get(vassal, {})
        living = {one: of for one, of in known.items() if one != token and self._lives(one)}
        self._uids[vassal] = {**living, token: uid}

    def of(self, vassal: str) -> frozenset[int]:
        """Return as whom what runs of a vassal does so; where nothing does, what was noted last."""
        known = self._uids.get(vassal, {})
        living = frozenset(uid for token, uid in known.items() if self._lives(token))
        return living or frozenset(tuple(known.values())[-1:])

    def knows(self, vassal: str) -> bool:
        """Return whether anything was noted of a vassal."""
        return vassal in self._uids

    def rename(self, old: str, new: str) -> None:
        """What runs of `old` is the vassal `new` from now on."""
        self._uids[new] = {**self._uids.pop(new, {}), **self._uids.pop(old, {})}

    def forget(self, vassal: str) -> None:
        """Nothing of it runs any more."""
        self._uids.pop(vassal, None)

    def clear(self) -> None:
        """Nothing of anybody runs any more."""
        self._uids.clear()
