"""Decides under which name a vassal goes on whose file is gone: it may have been renamed. Pure."""

from collections.abc import Iterable, Set
from typing import NamedTuple


class Gone(NamedTuple):
    """A vassal that serves and has no file any more.

    `owner_uid` is its file's, `uids` are as whom its processes run, `keys` those of the addresses
    that it holds. `file` says which file it was, by number and content, as the number alone is
    soon another file's; "" = it is not known.
    """

    owner_uid: int
    file: str
    uids: Set[int]
    keys: Set[str]


class Comer(NamedTuple):
    """A new vassal of which nothing runs. `uid` is as whom it would; None = its file cannot be
    used, and what it says is not known."""

    name: str
    owner_uid: int
    file: str
    uid: int | None
    keys: Set[str]


def heir_of(gone: Gone, comers: Iterable[Comer]) -> str | None:
    """Return who of those that came is the one that is gone, under its new name; None = nobody.

    The same file, or one that asks for the same addresses; of the same owner, so that nobody
    keeps alive what somebody else has removed, and for the same user, whose processes go on.
    """
    heirs = [one for one in comers if _may_inherit(one, gone)]
    best = max(
        heirs, key=lambda one: (_is_same_file(one, gone), len(one.keys & gone.keys)), default=None
    )
    return best.name if best is not None else None


def _may_inherit(one: Comer, gone: Gone) -> bool:
    if one.owner_uid != gone.owner_uid:
        return False
    if one.uid is None:
        return _is_same_file(one, gone)
    return gone.uids == {one.uid} and (_is_same_file(one, gone) or bool(one.keys & gone.keys))


def _is_same_file(one: Comer, gone: Gone) -> bool:
    return one.file == gone.file != ""
