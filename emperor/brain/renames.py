"""Moves all that is known of a vassal to its new name. Its masters keep that of their birth.

The spawner too knows them by that: it keeps for the next emperor which have another by now.
"""

from collections.abc import Callable, Mapping

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.cgroups import Cgroups
from emperor.brain.listeners import Listeners
from emperor.brain.live_limits import LiveLimits
from emperor.brain.roll import Roll
from emperor.brain.wishes import serial_of
from emperor.core.registry import renamed, tokens_of

NAMES_KEPT = 8
"""How many earlier names of a vassal people may still call it by."""


class Renames:
    """Every renamed vassal. `keep` gets the names by the tokens of masters, for `restore`."""

    def __init__(
        self,
        roll: Roll,
        listeners: Listeners,
        cgroups: Cgroups,
        limits: LiveLimits,
        allotments: Allotments,
        keep: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._roll = roll
        self._listeners = listeners
        self._cgroups = cgroups
        self._limits = limits
        self._allotments = allotments
        self._keep = keep
        self._names: dict[str, str] = {}  # by the tokens of masters
        self._earlier: dict[str, tuple[str, ...]] = {}  # names of a vassal, the oldest first

    def restore(self, names: Mapping[str, str]) -> None:
        """Know again what an earlier emperor kept."""
        self._names = dict(names)

    def name_of(self, token: str, born_as: str) -> str:
        """Return whose master `token` is, which was born for `born_as`."""
        name = self._names.get(token, born_as)
        return name if name in self._roll.wishes else born_as

    def is_now(self, name: str) -> str:
        """Return what the vassal is called now that people may know by an earlier name."""
        if name in self._roll.wishes or name in self._roll.vassals:
            return name
        return next((new for new, names in self._earlier.items() if name in names), name)

    def note(self, token: str, new: str, old: str) -> None:
        """A master of `old` that an earlier emperor left is one of `new`."""
        if new != old:
            # Of the others none has been heard of yet: what was kept of them still counts.
            self._note((token,), new, old)

    def rename(self, old: str, new: str) -> None:
        """The file of `old` has the name of `new` now: what runs of it goes on under that.

        Both must be wanted, and nothing run of `new`.
        """
        vassal, wish = self._roll.get(old), self._roll.wishes[new]
        tokens = tokens_of(vassal)
        self._names = {
            token: name for token, name in self._names.items() if self._roll.knows(token)
        }
        # First of all: an emperor that dies now leaves no master that nobody wants.
        self._note(tokens, new, old)
        record = renamed(vassal, new)
        self._roll.rename(old, record, tokens)
        serials = {
            "reload_serial": serial_of(vassal.serving or ""),
            "restart_serial": vassal.restart_serial,
            "renew_serial": serial_of(vassal.birth or ""),
        }
        self._roll.wish(new, msgspec.structs.replace(wish, **serials))
        self._listeners.rename(old, new)
        self._cgroups.rename(old, new)
        self._limits.rename(old, new)
        self._allotments.rename(old, new)
        self._roll.publish("info", "vassal_renamed", new, {"was": old, "pid": record.pid})

    def _note(self, tokens: tuple[str, ...], new: str, old: str) -> None:
        known = self._roll.wishes.keys() | self._roll.vassals.keys()
        earlier = {name: names for name, names in self._earlier.items() if name in known}
        names = (*(name for name in earlier.pop(old, ()) if name != new), old)
        self._earlier = {**earlier, new: names[-NAMES_KEPT:]}
        self._names = {**self._names, **dict.fromkeys(tokens, new)}
        self._keep(self._names)
