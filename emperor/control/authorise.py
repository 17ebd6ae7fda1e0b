"""Decides who may see and steer which vassal. Pure: the kernel says who the caller is.

Root and the emperor's own user may do everything. Anyone else may read and steer the
vassals that are theirs, and learns nothing of the others: a foreign name and an unknown
one are the same to them.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from emperor.status import Event, Status, UnknownVassal

ROOT_UID = 0

OwnerOf = Callable[[str], int]
"""Returns the uid a vassal belongs to; raises UnknownVassal."""


class Caller(NamedTuple):
    """Who is at the other end of a connection, as SO_PEERCRED told it at connect."""

    uid: int
    emperor_uid: int

    @property
    def is_trusted(self) -> bool:
        return self.uid in (ROOT_UID, self.emperor_uid)


def may_handle(caller: Caller, name: str, owner_of: OwnerOf) -> bool:
    """Return whether `caller` may read and steer the vassal; False if there is none."""
    try:
        owner_uid = owner_of(name)
    except UnknownVassal:
        return False
    return caller.is_trusted or owner_uid == caller.uid


def visible_status(caller: Caller, status: Status, owner_of: OwnerOf) -> Status:
    """Return the part of `status` that `caller` may know.

    Config errors and directories name other tenants' files, so they go too.
    """
    if caller.is_trusted:
        return status
    return Status(
        emperor=msgspec.structs.replace(status.emperor, errors=(), directories=()),
        vassals=tuple(v for v in status.vassals if may_handle(caller, v.name, owner_of)),
    )


def may_see_event(caller: Caller, event: Event, owner_of: OwnerOf) -> bool:
    """Return whether `event` may be shown to `caller`.

    An event of a vassal that is gone by now is for trusted callers only: its name may
    be given to another tenant next. A reader's own loss of events is nobody's secret.
    """
    if caller.is_trusted or event.event == "events_lost":
        return True
    return event.vassal is not None and may_handle(caller, event.vassal, owner_of)
