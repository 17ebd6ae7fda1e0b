"""What is known of one vassal file."""

import msgspec

from emperor.touches import Touch


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One vassal file as it was read last. `problems` are the lines that status shows; `since` is
    when the vassal had no file before, in monotonic seconds."""

    directory: str
    file_name: str
    owner_uid: int = 0
    digest: str = ""
    mtime_ns: int = 0
    ino: int = 0
    since: float = 0.0
    problems: tuple[str, ...] = ()
    touches: frozenset[tuple[str, Touch]] = frozenset()
