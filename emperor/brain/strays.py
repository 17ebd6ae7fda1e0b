"""Files and directories that are no vassal's, as status shows them; each is told of once."""

from collections.abc import Callable, Collection

from emperor.brain.roll import Publish
from emperor.config.file_names import NAME_REMEDY
from emperor.watch.scan import MISNAMED_MAX

GONE = "does not exist; what runs of it runs on until the directory is there again"


class Strays:
    """What is wrong with them, by their paths. `chosen` is called when `vassals_of_several` may be
    others."""

    def __init__(
        self, directories: Collection[str], publish: Publish, chosen: Callable[[], None]
    ) -> None:
        self._directories = directories
        self._publish = publish
        self._chosen = chosen
        self._lines: dict[str, str] = {}
        self._seconds: dict[str, str] = {}  # files that are not used, and their vassals
        self._misnamed: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self._lines

    @property
    def problems(self) -> tuple[str, ...]:
        """Return the lines for people, in the order of the paths."""
        misnamed = {path: f"{path}: is not used: {NAME_REMEDY}" for path in self._misnamed}
        lines = self._lines | misnamed
        return tuple(lines[path] for path in sorted(lines))

    @property
    def vassals_of_several(self) -> set[str]:
        """Return the vassals that have more files than the one that is used."""
        return set(self._seconds.values())

    def note_unreadable(self, path: str, error: OSError) -> None:
        """A directory, or a file, could not be looked at."""
        problem = GONE if isinstance(error, FileNotFoundError) else str(error.strerror)
        kind = "directory" if path in self._directories else "file"
        fields = {"path": path, "error": problem}
        self._note(path, f"{path}: {problem}", "error", f"{kind}_unreadable", fields)

    def note_second(self, vassal: str, path: str, used: str) -> None:
        """A vassal has another file, which is `used`."""
        self._seconds[path] = vassal
        self._chosen()
        line = f"{path}: {used} describes this vassal already: remove one of the two"
        self._note(path, line, "warning", "file_not_used", {"path": path, "used": used})

    def forget(self, path: str) -> None:
        """What was wrong with it is not any more: it can be read, is the only one, or is gone."""
        self._lines.pop(path, None)
        if self._seconds.pop(path, None) is not None:
            self._chosen()

    def may_be_misnamed(self, path: str) -> bool:
        """Return whether it is one that was told of, or not so many were that more are no news."""
        return path in self._misnamed or len(self._misnamed) < MISNAMED_MAX

    def tell_misnamed(self, directory: str, names: Collection[str]) -> None:
        """These files uWSGI would serve, and they have no name for a vassal here."""
        for path in (f"{directory}/{name}" for name in names):
            if path not in self._misnamed:
                self._publish("warning", "file_not_used", None, {"path": path, "do": NAME_REMEDY})
        self._misnamed = {
            *(path for path in self._misnamed if not path.startswith(f"{directory}/")),
            *(f"{directory}/{name}" for name in names),
        }

    def _note(self, path: str, line: str, level: str, event: str, fields: dict[str, str]) -> None:
        if self._lines.get(path) != line:
            self._lines[path] = line
            self._publish(level, event, None, fields)
