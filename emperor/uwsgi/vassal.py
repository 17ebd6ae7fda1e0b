"""Turns the text of a vassal file of uWSGI into settings, or into all that is wrong. Pure."""

from collections.abc import Iterable

import msgspec

from emperor.config.problems import ConfigError, printable
from emperor.config.settings import (
    OPTIONS_BYTES_MAX,
    PROVIDER,
    REMARKS_MAX,
    EmperorSettings,
    Owner,
    Remark,
    Templates,
    VassalSettings,
)
from emperor.uwsgi.draft import Verdict
from emperor.uwsgi.host import Facts, Host, Kind
from emperor.uwsgi.option import Option
from emperor.uwsgi.read import load
from emperor.uwsgi.report import NEEDS_A_PERSON
from emperor.uwsgi.rows import Support
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.translate import WORDS_MAX, Translation, settle_translation, translate

NO_TEMPLATES = Templates()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A file of uWSGI's as it was understood. `files` are all that were read for it;
    `everything` are its options with placeholders among them."""

    translation: Translation
    files: tuple[str, ...]
    everything: tuple[Option, ...]


class _WithText:
    """A Host in which one file has this text, whatever is on the disk by now."""

    def __init__(self, host: Host, path: str, text: str) -> None:
        self._host = host
        self._path = path
        self._data = text.encode("utf-8", "surrogateescape")
        self.glob = host.glob
        self.real_path = host.real_path

    def read(self, path: str) -> bytes | None:
        return self._data if path == self._path else self._host.read(path)

    def kind(self, path: str) -> Kind:
        return Kind.FILE if path == self._path else self._host.kind(path)


def read_uwsgi(
    name: str,
    text: str,
    path: str,
    shown: str,
    host: Host,
    facts: Facts,
    templates: Templates = NO_TEMPLATES,
) -> Reading | ConfigError:
    """Return what a file at the absolute `path` means in our terms.

    `shown` is its name for people. Raises what `host` raises, nothing else.
    """
    before, after = _around(templates)
    loaded = load(path, _WithText(host, path, text), facts, KNOWN, before, after)
    if loaded.problems:
        return ConfigError(
            msgspec.structs.replace(problem, file=shown) if problem.file == path else problem
            for problem in loaded.problems
        )
    options = [
        option._replace(file=shown) if option.file == path else option for option in loaded.options
    ]
    translation = translate(name, options, path.rpartition("/")[0], shown, host.glob)
    verdicts = [
        Verdict(verdict.option, Support.UNSUPPORTED, loaded.doubts[place])
        if place in loaded.doubts
        else verdict
        for place, verdict in enumerate(translation.verdicts)
    ]
    translation = translation._replace(verdicts=tuple(verdicts))
    return Reading(translation=translation, files=loaded.files, everything=loaded.everything)


def _around(templates: Templates) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the options before and behind a file, in the order of uWSGI's emperor."""
    given = (pair.partition("=") for pair in templates.vassals_options)
    before = [
        *((name, value) for name, _, value in given),
        *(("inherit", path) for path in templates.vassals_inherit_before),
        *(("include", path) for path in templates.vassals_include_before),
        *(("set", pair) for pair in templates.vassals_set),
    ]
    after = [
        *(("inherit", path) for path in templates.vassals_inherit),
        *(("include", path) for path in templates.vassals_include),
    ]
    return before, after


def load_uwsgi(
    name: str,
    text: str,
    path: str,
    host: Host,
    facts: Facts,
    emperor: EmperorSettings,
    owner: Owner = PROVIDER,
) -> VassalSettings | ConfigError:
    """Return the settings that a file at the absolute `path` describes, or what is wrong."""
    reading = read_uwsgi(name, text, path, path, host, facts, emperor.uwsgi)
    if isinstance(reading, ConfigError):
        return reading
    folder = path.rpartition("/")[0]
    settings = settle_translation(reading.translation, name, folder, emperor, owner)
    if isinstance(settings, ConfigError):
        return settings
    return msgspec.structs.replace(
        settings,
        remarks=(settings.remarks + remarks_on(reading.translation))[:REMARKS_MAX],
        uwsgi_options=options_of(reading.everything),
    )


def options_of(options: Iterable[Option]) -> tuple[tuple[str, str], ...]:
    """Return the options as the application may read them, as many as have room."""
    found: list[tuple[str, str]] = []
    left = OPTIONS_BYTES_MAX
    for option in options:
        pair = (option.name, option.value)
        size = sum(len(word.encode("utf-8", "surrogateescape")) for word in pair)
        if size <= left and all(_is_unicode(word) for word in pair):
            found.append(pair)
            left -= size
    return tuple(found)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def remarks_on(translation: Translation) -> tuple[Remark, ...]:
    """Return what of a file is not done, for status."""
    return tuple(
        Remark(
            key=printable(verdict.option.name[:WORDS_MAX]),
            reason=printable(f"line {verdict.option.line}: {verdict.text}"[:WORDS_MAX]),
        )
        for verdict in translation.verdicts
        if verdict.verdict in NEEDS_A_PERSON
    )[:REMARKS_MAX]
