"""What a process may do with files by Landlock: a value, and what each ABI can do of it. Pure."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

ABI_MIN = 2
"""ABI 1 forbids every rename from one folder to another: too much to live with."""

ABI_SCOPES = 6

# linux/landlock.h: LANDLOCK_ACCESS_FS_*
EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
# REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK,
# MAKE_SYM, REFER
_CHANGE_FOLDERS = sum(1 << bit for bit in range(4, 14))
TRUNCATE = 1 << 14
IOCTL_DEVICE = 1 << 15

WRITE = WRITE_FILE | _CHANGE_FOLDERS | TRUNCATE
MAKE_DEVICES = 1 << 6 | 1 << 11  # MAKE_CHAR, MAKE_BLOCK: handled, and allowed nowhere
ON_FILES = EXECUTE | WRITE_FILE | 1 << 2 | TRUNCATE | IOCTL_DEVICE
"""The rights that a file has; the others are a folder's."""

BIND_TCP, CONNECT_TCP = 1, 2  # LANDLOCK_ACCESS_NET_*
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2  # LANDLOCK_SCOPE_*

_SINCE = (
    (3, "truncate(2) of files that may not be written", "Linux 6.2", TRUNCATE),
    (4, "TCP", "Linux 6.7", 0),
    (5, "ioctl(2) on devices", "Linux 6.10", IOCTL_DEVICE),
    (ABI_SCOPES, "signals and abstract sockets to processes outside", "Linux 6.12", 0),
)

_PATHS_MAX = 1024


class LandlockRules(msgspec.Struct, frozen=True, kw_only=True):
    """All paths are absolute; what is missing of them is passed over; the nearest decides.

    Below `writable` everything may be changed, but for `read_only`; below `writable_files`
    what is there may be written, and nothing made. All may be read but what is `hidden`,
    and below that what is `visible`. Nothing below `no_exec` can be executed.
    """

    writable: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    writable_files: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    no_exec: tuple[str, ...] = ()
    deny_tcp_bind: bool = False
    deny_tcp_connect: bool = False
    scope_signals: bool = True
    scope_abstract_sockets: bool = True

    def __post_init__(self) -> None:
        lists = (self.writable, self.read_only, self.writable_files, self.hidden, self.visible)
        paths = [path for given in (*lists, self.no_exec) for path in given]
        if len(paths) > _PATHS_MAX:
            raise ValueError(f"landlock: more than {_PATHS_MAX} paths")
        for path in paths:
            if not path.startswith("/"):
                raise ValueError(f"landlock: {path[:100]!r} is not an absolute path")

    def handled_fs(self, abi: int) -> int:
        """Return the rights that are denied wherever they are not allowed."""
        handled = WRITE | IOCTL_DEVICE
        if self.hidden:
            handled |= READ | EXECUTE
        if self.no_exec:
            handled |= EXECUTE
        for since, _, _, right in _SINCE:
            if abi < since:
                handled &= ~right
        return handled

    def handled_net(self, abi: int) -> int:
        """Return what is denied of TCP."""
        if abi < 4:
            return 0
        return BIND_TCP * self.deny_tcp_bind | CONNECT_TCP * self.deny_tcp_connect

    def scoped(self, abi: int) -> int:
        """Return what ends at the border of the domain."""
        if abi < ABI_SCOPES:
            return 0
        sockets = SCOPE_ABSTRACT_SOCKETS * self.scope_abstract_sockets
        return sockets | SCOPE_SIGNALS * self.scope_signals

    def missing(self, abi: int) -> list[str]:
        """Return what of these rules an ABI does not have."""
        wants_tcp = self.deny_tcp_bind or self.deny_tcp_connect
        wants_scopes = self.scope_signals or self.scope_abstract_sockets
        wanted = {4: wants_tcp, ABI_SCOPES: wants_scopes}
        return [
            f"{what} (ABI {since}, {kernel})"
            for since, what, kernel, _ in _SINCE
            if abi < since and wanted.get(since, True)
        ]

    def allowed(self, list_folder: Callable[[str], Iterable[str]]) -> dict[str, int]:
        """Return rights by path. `list_folder` gives the names in a folder, symlinks left out."""
        rights: dict[str, int] = {}

        def allow(right: int, shown: Iterable[str], hidden: Iterable[str]) -> None:
            for path in cover(shown, hidden, list_folder):
                rights[path] = rights.get(path, 0) | right

        everything = ("/", *self.visible)
        allow(WRITE & ~MAKE_DEVICES, self.writable, (*self.read_only, *self.hidden))
        allow(WRITE_FILE | TRUNCATE | IOCTL_DEVICE, self.writable_files, self.hidden)
        if self.hidden:
            allow(READ, everything, self.hidden)
        if self.hidden or self.no_exec:
            allow(EXECUTE, everything, (*self.hidden, *self.no_exec))
        return rights


def cover(
    shown: Iterable[str], hidden: Iterable[str], list_folder: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    """Yield paths with all of `shown` and nothing of `hidden` beneath them; the nearest decides.

    Landlock only adds rights on the way down. So a folder with something hidden in it is
    replaced by what else is in it now: what comes into such a folder later is not shown.
    """
    marks = dict.fromkeys(shown, True) | dict.fromkeys(hidden, False)
    for path, is_shown in sorted(marks.items()):
        if is_shown and not _is_below_shown(path, marks):
            yield from _shown_within(path, marks, list_folder)


def _is_below_shown(path: str, marks: dict[str, bool]) -> bool:
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in marks:
            return marks[path]
    return False


def _shown_within(
    path: str, marks: dict[str, bool], list_folder: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    prefix = path.rstrip("/") + "/"
    if not any(mark.startswith(prefix) and not shown for mark, shown in marks.items()):
        yield path
        return
    for name in list_folder(path):
        child = prefix + name
        if marks.get(child, True):
            yield from _shown_within(child, marks, list_folder)
