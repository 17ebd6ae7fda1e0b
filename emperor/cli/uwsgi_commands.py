"""The commands that show files as ours: show-config and migrate."""

import argparse
import os
import sys
from pathlib import Path

from emperor.cli.errors import DONE, FAILED, UsageError
from emperor.cli.uwsgi_files import Source, read_source
from emperor.config.file_names import NATIVE_SUFFIX, UWSGI_SUFFIXES, vassal_name
from emperor.config.machine import probe_machine
from emperor.config.problems import ConfigError, quoted
from emperor.config.read import Content, read_file
from emperor.config.resolve import open_folder
from emperor.config.settings import EmperorSettings
from emperor.config.vassal_file import load_vassal, written
from emperor.uwsgi.native import native_text
from emperor.uwsgi.report import migrated_text, summary_line, verdict_line
from emperor.uwsgi.translate import (
    Translation,
    native_values,
    settle_translation,
)

NATIVE_FOLDER = "native"
"""Where migrate writes: a folder below is not watched, so that nothing starts twice."""


def show_config(arguments: argparse.Namespace) -> int:
    """Print the settings that a vassal file comes to, as a file of ours."""
    path: str = arguments.file
    if path.endswith(NATIVE_SUFFIX):
        text = _shown_native(path)
    else:
        source = read_source(path)
        found = source if isinstance(source, ConfigError) else _translated(path, source)
        text = found if isinstance(found, ConfigError) else _shown(found)
    if isinstance(text, ConfigError):
        print(text, file=sys.stderr)
        return FAILED
    print(text, end="")
    return DONE


def _shown(translation: Translation) -> str:
    return native_text(native_values(translation.document))


def _shown_native(path: str) -> str | ConfigError:
    absolute = Path(path).absolute()
    found = read_file(str(absolute.parent), absolute.name)
    if not isinstance(found, Content):
        raise UsageError(f"{path}: {getattr(found, 'reason', 'there is no such file')}")
    emperor = EmperorSettings(machine=probe_machine())
    name = vassal_name(absolute.name) or absolute.stem
    settings = load_vassal(name, found.text, path, str(absolute.parent), emperor)
    return settings if isinstance(settings, ConfigError) else native_text(written(settings))


def _translated(path: str, source: Source) -> Translation | ConfigError:
    """Return a file in our terms; what our own loader would refuse is an error too."""
    file = Path(path).absolute()
    emperor = EmperorSettings(machine=probe_machine())
    settings = settle_translation(source.translation, file.stem, str(file.parent), emperor)
    return settings if isinstance(settings, ConfigError) else source.translation


def print_verdicts(path: str, translation: Translation) -> None:
    """Print a line for each option of a file of uWSGI's, and their sum."""
    lines = map(verdict_line, translation.verdicts)
    print(*lines, f"{path}: {summary_line(translation)}", sep="\n")


def migrate(arguments: argparse.Namespace) -> int:
    """Write a file of ours for each of uWSGI's in a folder; say what is left to a person.

    A file that cannot be translated is not written, and one that exists is left as it is.
    """
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    files = sorted(each for each in folder.iterdir() if each.suffix in UWSGI_SUFFIXES)
    if not files:
        raise UsageError(f"{folder}: there are no files of uWSGI in it")
    target = Path(arguments.to or folder / NATIVE_FOLDER).absolute()
    try:
        target.mkdir(exist_ok=True)
        target_fd = open_folder(str(target))
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}") from error
    try:
        failed = [file for file in files if not _migrate(file, target, target_fd)]
    finally:
        os.close(target_fd)
    return FAILED if failed else DONE


def _migrate(file: Path, target: Path, target_fd: int) -> bool:
    name = vassal_name(file.stem + NATIVE_SUFFIX)
    if name is None:
        print(f"{file}: {quoted(file.stem)} is no name of a vassal; rename it", file=sys.stderr)
        return False
    source = read_source(str(file))
    translation = source if isinstance(source, ConfigError) else _translated(str(file), source)
    if isinstance(source, ConfigError) or isinstance(translation, ConfigError):
        print(translation, file=sys.stderr)
        return False
    text = migrated_text(translation, str(file))
    try:
        _write(target_fd, name + NATIVE_SUFFIX, text, source)
    except OSError as error:
        print(f"{target / name}{NATIVE_SUFFIX}: not written: {error.strerror}", file=sys.stderr)
        return False
    print(f"{target / name}{NATIVE_SUFFIX}: {summary_line(translation)}")
    return True


def _write(folder_fd: int, name: str, text: str, source: Source) -> None:
    """Make a new file with the owner of its source: the owner decides whom it runs as.

    Only that owner can read it. Raises OSError, FileExistsError among them.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=folder_fd)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        if os.geteuid() == 0:
            os.fchown(fd, source.uid, source.gid)


COMMANDS = {"show-config": show_config, "migrate": migrate}
