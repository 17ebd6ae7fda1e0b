"""Does what vassals want when single files are touched, wherever those are.

Before a touch reloads a vassal, its own file is read. A vassal file behind a link that leads where
inotify is blind is noticed in the same way, to be read again.
"""

from collections.abc import Callable, Iterable

import msgspec

from emperor.brain.far_files import FarFiles
from emperor.brain.fleet import Fleet
from emperor.brain.patience import Patience
from emperor.brain.roll import Publish
from emperor.brain.touch_files import TouchFiles
from emperor.touches import Touch


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
    ) -> None:
        self._fleet = fleet
        self._publish = publish
        self._read_anew = read_anew
        self._changed = changed
        self._files = TouchFiles(patience)
        self._far_files = FarFiles(patience, poll_interval_s, self._on_far_file)
        self._far_links: set[str] = set()
        self._to_reload: set[str] = set()  # as soon as their files were read

    def close(self) -> None:
        """Look at no file any more."""
        self._far_files.close()

    def want(self, name: str, uid: int, touches: frozenset[tuple[str, Touch]]) -> None:
        """Replace what a vassal wants to be touched at, in the name of a user."""
        self._files.want(name, uid, touches)

    def note_link(self, path: str) -> None:
        """A vassal's file leads where no change of it could be noticed."""
        self._far_links.add(path)

    def forget_link(self, path: str) -> None:
        """A vassal's file is gone."""
        self._far_links.discard(path)

    def files_to_watch(self) -> set[str]:
        """Return every path that some vassal wants to be touched at, but those that are looked at
        from here, as nobody else could tell of them."""
        self._far_files.set({**dict.fromkeys(self._far_links, 0), **self._files.far()})
        return self._files.near()

    def on_touched(self, path: str) -> None:
        """A file may have been touched: do what those want who name it."""
        self._do(path, self._files.touched(path))

    def on_read(self, name: str) -> None:
        """A vassal's file was read: if a touch asked for it, reload what counts now. That is what
        was good before, if the file was refused."""
        if name in self._to_reload:
            self._to_reload.discard(name)
            if name in self._fleet.wishes:
                self.reload(name)

    def reload(self, name: str) -> None:
        """Let what is wanted of a vassal be built anew."""
        wish = self._fleet.wishes[name]
        serial = wish.reload_serial + 1
        self._fleet.wish(name, msgspec.structs.replace(wish, reload_serial=serial))

    def _on_far_file(self, path: str, is_first: bool) -> None:
        """A file that nobody here could tell of has changed, or was never looked at before."""
        if not is_first:
            self._do(path, self._files.who_wants(path))
        if path in self._far_links:
            self._changed(path)

    def _do(self, path: str, wanted: Iterable[tuple[str, Touch]]) -> None:
        for name, touch in wanted:
            if name not in self._fleet.wishes:
                continue
            self._publish("info", "touched", name, {"path": path, "for": touch.value})
            if touch is Touch.RELOAD:
                self._to_reload.add(name)
                self._read_anew(name)
            else:
                self._fleet.renew_log(name, rotate=touch is Touch.ROTATE)
