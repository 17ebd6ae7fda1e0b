"""Reads files of uWSGI's for the commands, as their owners could: a tenant's file that names
others gets nothing that the tenant could not read itself."""

import os
from pathlib import Path
from typing import NamedTuple

from emperor.cli.files import file_problem, read_settled
from emperor.config.file_names import vassal_name
from emperor.config.problems import ConfigError
from emperor.config.read import Content
from emperor.uwsgi.real_host import seen_by
from emperor.uwsgi.translate import Translation
from emperor.uwsgi.vassal import read_uwsgi


class Source(NamedTuple):
    """A file that was read: what it means in our terms, and whose it is."""

    translation: Translation
    uid: int
    gid: int


def read_source(path: str) -> Source | ConfigError:
    """Return what a file comes to by uWSGI's rules, or all that is wrong with it."""
    absolute = Path(path).absolute()
    found = read_settled(str(absolute.parent), absolute.name)
    if not isinstance(found, Content):
        return ConfigError([file_problem(path, found)])
    return read_content(vassal_name(absolute.name) or absolute.stem, path, found)


def read_content(name: str, path: str, found: Content) -> Source | ConfigError:
    """Return the same for a file of which the content is known."""
    absolute = Path(path).absolute()
    # What an ordinary user asks is answered with what that user can see.
    asker = os.geteuid() or found.owner_uid
    host, facts = seen_by(asker, str(absolute.parent))
    reading = read_uwsgi(name, found.text, str(absolute), path, host, facts)
    if isinstance(reading, ConfigError):
        return reading
    return Source(reading.translation, found.owner_uid, found.gid)
