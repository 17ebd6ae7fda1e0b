"""Which files in a watched directory describe vassals, and in whose words. Pure."""

import re

NATIVE_SUFFIX = ".toml"
UWSGI_SUFFIXES = (".ini", ".xml", ".yaml", ".yml", ".json", ".js")
"""What uWSGI's emperor takes for a vassal."""

# Only what starts with a letter or digit and ends in a suffix. That leaves out hidden files,
# the temporary, backup, swap and lock files of editors (`.x.toml.swp`, `x.toml~`,
# `#x.toml#`, `.#x.toml`, `4913`, `.goutputstream-…`) and of package managers
# (`x.toml.dpkg-new`, `x.toml.rpmsave`).
_SUFFIX = "|".join(map(re.escape, (NATIVE_SUFFIX, *UWSGI_SUFFIXES)))
NAME_REMEDY = "write a name like blog.toml: letters, digits, -, _, @, + and single dots, at most 63"
_NAME = re.compile(rf"([A-Za-z0-9][A-Za-z0-9._@+-]{{0,62}})(?:{_SUFFIX})", re.ASCII)


def vassal_name(file_name: str) -> str | None:
    """Return the name of the vassal that `file_name` describes; None = it is no vassal file.

    The name becomes part of paths, and people write it in shells, so nothing but letters,
    digits, "_", "-", "@", "+" and dots.
    """
    match = _NAME.fullmatch(file_name)
    return None if match is None or ".." in match[1] else match[1]


def is_misnamed(file_name: str) -> bool:
    """Return whether this is meant for a vassal file and is none, for a character in its name."""
    has_suffix = file_name.endswith((NATIVE_SUFFIX, *UWSGI_SUFFIXES))
    return has_suffix and file_name[0] not in ".#" and vassal_name(file_name) is None


def file_names(vassal: str) -> tuple[str, ...]:
    """Return the names of all files that would describe `vassal`."""
    return tuple(vassal + suffix for suffix in (NATIVE_SUFFIX, *UWSGI_SUFFIXES))


def speaks_uwsgi(file_name: str) -> bool:
    """Return whether a file of this name is in uWSGI's dialect."""
    return file_name.endswith(UWSGI_SUFFIXES)
