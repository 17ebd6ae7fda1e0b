"""Lists the vassal files of a directory, with a bound on how many."""

import os
from itertools import islice

from emperor.config.file_names import is_misnamed
from emperor.watch.events import is_vassal_file_name

FILES_MAX = 20_000
ENTRIES_MAX = 10 * FILES_MAX
"""How many names are looked at, vassals or not."""


MISNAMED_MAX = 20
"""How many of them are told of."""


class TooManyFiles(Exception):
    """The directory holds more than will be read. What is known of it stays as it is."""

    def __init__(self, directory: str, maximum: int) -> None:
        super().__init__(f"{directory}: more than {maximum} files")


def scan(directory: str, files_max: int = FILES_MAX, entries_max: int = ENTRIES_MAX) -> list[str]:
    """Return the names of the vassal files, sorted.

    Nothing is opened, so a FIFO or a device blocks nobody here; whoever opens the file
    checks what it is. Raises OSError when the directory cannot be read, TooManyFiles.
    """
    return _scanned(directory, files_max, entries_max)[0]


def scan_with_misnamed(directory: str) -> list[str]:
    """Return the names of the vassal files, and the first few that another name would make one."""
    names, strange = _scanned(directory, FILES_MAX, ENTRIES_MAX)
    return names + strange


def _scanned(directory: str, files_max: int, entries_max: int) -> tuple[list[str], list[str]]:
    names: list[str] = []
    strange: list[str] = []
    with os.scandir(directory) as entries:
        for count, entry in enumerate(entries):
            if count >= entries_max:
                raise TooManyFiles(directory, entries_max)
            if is_vassal_file_name(entry.name):
                names.append(entry.name)
                if len(names) > files_max:
                    raise TooManyFiles(directory, files_max)
            elif len(strange) < MISNAMED_MAX and is_misnamed(entry.name):
                strange.append(entry.name)
    return sorted(names), sorted(strange)


def misnamed(directory: str) -> list[str]:
    """Return the names of files that would be vassals under another name, sorted; the first few."""
    with os.scandir(directory) as entries:
        names = (entry.name for entry in islice(entries, ENTRIES_MAX))
        return sorted(islice(filter(is_misnamed, names), MISNAMED_MAX))
