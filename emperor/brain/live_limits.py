"""Puts what runs under other limits than it was born with, and knows which keys that is about."""

import time

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.cgroups import CgroupError, Cgroups
from emperor.brain.masters import Masters
from emperor.brain.roll import Roll
from emperor.config.fields import changed_limits
from emperor.config.settings import VassalSettings
from emperor.core.registry import Vassal
from emperor.status import LimitChange
from vassal.messages import ChangeLimits


class LiveLimits:
    """Of all vassals of a roll."""

    def __init__(self, roll: Roll, masters: Masters, cgroups: Cgroups) -> None:
        self._roll = roll
        self._masters = masters
        self._cgroups = cgroups
        self._limited: dict[str, VassalSettings] = {}
        self._born_with: dict[str, str] = {}
        self._changing: dict[str, tuple[str, ...]] = {}

    def born(self, spec: Spec) -> None:
        """A master is born under the limits of this spec."""
        self._limited[spec.settings.name] = spec.settings

    def remember(self, name: str, digest: str) -> None:
        """A master that outlived an earlier brain was born with the limits of this digest."""
        if digest:
            self._born_with[name] = digest

    def change(self, vassal: Vassal) -> None:
        """Put what runs under the limits that are wanted now."""
        wish = self._roll.wishes[vassal.name]
        spec = wish.spec
        assert spec is not None  # decide() limits nothing without a fingerprint
        self._roll.set(msgspec.structs.replace(vassal, limits=wish.desired().limits))
        before = self._limited.get(vassal.name)
        self._limited[vassal.name] = spec.settings
        if before is not None:
            self._changing[vassal.name] = changed_limits(before, spec.settings)
        elif self._born_with.pop(vassal.name, wish.desired().limits) != wish.desired().limits:
            self._changing[vassal.name] = ("limits",)  # of an earlier brain's time: not known which
        try:
            self._cgroups.change(spec)
        except CgroupError as error:
            self._roll.publish("error", "limits_not_changed", vassal.name, {"error": str(error)})
        order = ChangeLimits(
            rlimits=spec.generation.confinement.rlimits,
            memory_max_bytes=spec.generation.memory_max_bytes,
        )
        self._masters.send(vassal.token, order)

    def on_changed(self, vassal: Vassal, failed: tuple[str, ...]) -> None:
        """The master has done what it was told to. What running processes cannot be given, those
        of a new generation are born with."""
        failed = tuple(text[:300] for text in failed[:16])
        keys = self._changing.pop(vassal.name, ())
        if keys or failed:
            change = LimitChange(at=time.time(), keys=keys, needs_generation=failed)
            self._roll.limit_changes[vassal.name] = change
            fields = {"keys": ", ".join(keys), "needs_generation": "; ".join(failed) or None}
            self._roll.publish("info", "limits_changed", vassal.name, fields)
        wish = self._roll.wishes.get(vassal.name)
        if failed and wish is not None:
            serial = wish.reload_serial + 1
            self._roll.wish(vassal.name, msgspec.structs.replace(wish, reload_serial=serial))

    def rename(self, old: str, new: str) -> None:
        """What is known of the limits of `old` is true of `new`, which was called so."""
        if old in self._limited:
            self._limited[new] = self._limited.pop(old)
        self.remember(new, self._born_with.pop(old, ""))
        self._changing.pop(old, None)

    def forget(self, name: str) -> None:
        """Nothing of the vassal runs any more."""
        for known in (self._limited, self._born_with, self._changing):
            known.pop(name, None)
