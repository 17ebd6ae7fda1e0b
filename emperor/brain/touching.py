"""Does what vassals want when single files are touched, wherever those are.

Before a touch reloads a vassal, its own file is read. A vassal file behind a link that leads where
inotify is blind is noticed in the same way, to be read again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from emperor.brain.far_files import FarFiles
from emperor.brain.fleet import Fleet
from emperor.brain.patience import Patience
from emperor.brain.roll import Publish
from emperor.brain.touch_files import TouchFiles
from emperor.brain.touch_memory import TouchMemory
from emperor.core.reconcile import is_begun
from emperor.touches import Stamp, Touch

TURN_S = 0.01
"""So long what was touched is acted on in a row: thousands of vassals may name one file."""


class _Due(NamedTuple):
    """What a vassal wants of a file that was touched."""

    path: str
    name: str
    touch: Touch


class Touching:
    """Of all vassals of a fleet. `read_anew(name)` has a vassal's file read, whatever is known of
    it, `changed(path)` one that has changed; `poll_interval_s` is how often files are looked at
    that cannot be watched."""

    def __init__(
        self,
        fleet: Fleet,
        publish: Publish,
        patience: Patience,
        poll_interval_s: float,
        read_anew: Callable[[str], None],
        changed: Callable[[str], None],
        memory: TouchMemory,
    ) -> None:
        self._fleet = fleet
        self._publish = publish
        self._read_anew = read_anew
        self._changed = changed
        self._memory = memory
        self._files = TouchFiles(patience, memory.recall)
        self._far_files = FarFiles(patience, poll_interval_s, self._on_far_file)
        self._far_links: set[str] = set()
        self._has_seen_all = False
        self._own: dict[str, Stamp] = {}  # by path, of files whose touch reloads their vassal
        self._due: deque[_Due] = deque()
        self._turn: asyncio.Handle | None = None
        self._to_reload: set[str] = set()  # as soon as their files were read
        self._open: dict[str, set[str]] = {}  # by vassal: what was touched, and led to nothing yet

    def close(self) -> None:
        """Look at no file any more. What is to be done yet is the next brain's."""
        if self._turn is not None:
            self._turn.cancel()
        self._far_files.close()
        self._memory.close()

    def want(self, name: str, uid: int, touches: frozenset[tuple[str, Touch]]) -> None:
        """Replace what a vassal wants to be touched at, in the name of a user."""
        self._files.want(name, uid, touches)
        self._note()

    def own_before(self, path: str) -> int:
        """Return when a vassal file that is to be touched itself was touched last when it was
        read, by this brain or one before, in nanoseconds since 1970; 0 = nobody knows."""
        # It stays known until the file is read: what it says may be refused first.
        before = self._own.get(path) or self._memory.recall(_own(path))
        if before is None:
            return 0
        self._own[path] = before
        return before[0]

    def read_own(self, name: str, path: str, mtime_ns: int, touched: bool) -> None:
        """A vassal file was read that is to be touched itself: do what that asks for."""
        self._own[path] = (mtime_ns, 0)
        if touched:
            self._open.setdefault(name, set()).add(_own(path))
            self._reload(name)
        self._note()

    def note_link(self, path: str) -> None:
        """A vassal's file leads where no change of it could be noticed."""
        self._far_links.add(path)

    def forget_file(self, path: str) -> None:
        """A vassal's file is gone."""
        self._far_links.discard(path)
        self._own.pop(path, None)

    def files_to_watch(self) -> set[str]:
        """Return every path that some vassal wants to be touched at, but those that are looked at
        from here, as nobody else could tell of them."""
        far = self._files.far()
        for path in far.keys() - self._far_links:
            before = self._memory.recall(path)
            if before is not None:
                self._far_files.presume(path, before)
        self._far_files.set({**dict.fromkeys(self._far_links, 0), **far})
        return self._files.near()

    def on_watched(self) -> None:
        """The files to watch are watched: look at those that were not before, or not by this
        brain."""
        is_first, self._has_seen_all = not self._has_seen_all, True
        if is_first or self._open:
            self._note()
        for path in self._files.take_unwatched():
            self.on_touched(path)

    def on_touched(self, path: str) -> None:
        """A file may have been touched: do what those want who name it."""
        self._note()
        self._do(path, self._files.touched(path))

    def on_read(self, name: str) -> None:
        """A vassal's file was read: if a touch asked for it, reload what counts now. That is what
        was good before, if the file was refused."""
        if name in self._to_reload:
            self._to_reload.discard(name)
            if name in self._fleet.wishes:
                self._reload(name)
            self._note()

    def _reload(self, name: str) -> None:
        """Let what is wanted of a vassal be built anew."""
        wish = self._fleet.wishes[name]
        serial = wish.reload_serial + 1
        self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=serial))

    def _on_far_file(self, path: str, is_first: bool) -> None:
        """A file that nobody here could tell of has changed, or was never looked at before."""
        self._note()
        if not is_first:
            self._do(path, self._files.who_wants(path))
        if path in self._far_links:
            self._changed(path)

    # ── what the next brain is told ──────────────────────────────────────────────────

    def _note(self) -> None:
        if self._has_seen_all:  # else the next brain would forget what this one has not seen yet
            self._memory.note(self._known)

    def _known(self) -> Iterator[tuple[str, Stamp | None]]:
        self._open = {name: paths for name, paths in self._open.items() if self._is_open(name)}
        # One vassal that is to be reloaded yet is enough: the others are reloaded twice, if this
        # brain dies now.
        waited_for = {due.path for due in self._due}.union(*self._open.values())
        own = ((_own(path), stamp) for path, stamp in self._own.items())
        for known in (own, self._files.stamps(self._far_files.stamps)):
            for path, stamp in known:
                yield path, None if path in waited_for else stamp

    def _is_open(self, name: str) -> bool:
        """Return whether a vassal is to be reloaded yet: its file is to be read first, or few may
        be built at a time."""
        wish = self._fleet.wishes.get(name)
        wanted = wish.desired() if wish is not None else None
        return name in self._to_reload or not is_begun(wanted, self._fleet.vassals.get(name))

    # ── what is done ─────────────────────────────────────────────────────────────────

    def _do(self, path: str, wanted: Iterable[tuple[str, Touch]]) -> None:
        """Act on a touch soon."""
        self._due += [_Due(path, name, touch) for name, touch in wanted]
        self._go_on()

    def _go_on(self) -> None:
        if self._due and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        until = time.monotonic() + TURN_S
        try:
            while self._due and time.monotonic() < until:
                self._act(self._due.popleft())
        finally:
            self._go_on()
            self._note()

    def _act(self, due: _Due) -> None:
        path, name, touch = due
        if name not in self._fleet.wishes or not self._files.wants(name, path, touch):
            return
        self._publish("info", "touched", name, {"path": path, "for": touch.value})
        if touch is Touch.RELOAD:
            self._open.setdefault(name, set()).add(path)
            self._to_reload.add(name)
            self._read_anew(name)
        else:
            self._fleet.renew_log(name, rotate=touch is Touch.ROTATE)


def _own(path: str) -> str:
    """Return under what a vassal's own file is remembered: another vassal may name it, and tells it
    from another one at its path."""
    return f"own:{path}"
