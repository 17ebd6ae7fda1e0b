"""Turns the options of a uWSGI file into settings of ours, with a verdict for each. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from emperor.config.document import Document
from emperor.config.policy import Excess
from emperor.config.problems import (
    PROBLEMS_MAX,
    ConfigError,
    Path,
    Problem,
    dotted,
    printable,
    quoted,
)
from emperor.config.settings import (
    PROVIDER,
    REMARKS_MAX,
    EmperorSettings,
    Owner,
    Remark,
    VassalSettings,
)
from emperor.config.table import merged
from emperor.config.vassal_file import settle_bounded
from emperor.uwsgi import applications, caches, hooks, logs, processes, sockets, stats, tasks
from emperor.uwsgi.command_line import SETTINGS_FILE
from emperor.uwsgi.draft import Draft, Taken, Verdict
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Known, Support
from emperor.uwsgi.suggestions import meant_by
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.values import truth
from vassal.master.commands import SIGNALS_UWSGI
from vassal.runtime import log_format

WORDS_MAX = 300
"""Of a remark."""

DEFAULTS: Mapping[str, object] = {
    "harakiri": 0,
    "stop_timeout": 60,
    "access_log": {"format": log_format.UWSGI},
    "uwsgi_api": True,
    "signals": SIGNALS_UWSGI,
    "limits": {"umask": "022"},
}
"""What uWSGI does where its file says nothing, and we would do otherwise. It stands below
the emperor's [defaults] and its plans: a provider's word counts more."""

_LANGUAGES = re.compile(
    r"(php|psgi|rack|ruby\d*|cgi|lua|jvm|jwsgi|ring|mono|pypy|gccgo|v8|perl|asyncio|gevent"
    r"|greenlet|tornado|coroae|router_.*|transformation_.*|emperor_.*|alarm_.*|stats_pusher_.*)"
    r"[\d.]*"
)


class Translation(NamedTuple):
    """A file in our terms: its settings, what became of each option, and what is wrong.

    `sources` are the options by the key that they gave.
    """

    document: Document
    verdicts: tuple[Verdict, ...]
    problems: tuple[Problem, ...]
    sources: Mapping[Path, Option] = {}


def _no_matches(pattern: str) -> Sequence[str]:
    return [pattern]


def translate(
    name: str,
    options: Sequence[Option],
    folder: str,
    file: str | None = None,
    glob: applications.Glob = _no_matches,
) -> Translation:
    """Return what `options` mean, in the order in which uWSGI would apply them.

    `folder` is the absolute path of the file's folder, where uWSGI is when it begins;
    `file` is the file's name in the options, by default the first one's. Raises what `glob`
    raises, nothing else.
    """
    own = file if file is not None else options[0].file if options else name
    draft = Draft(options, own)
    _apply_rules(draft, folder, glob)
    verdicts = _verdicts(draft, options)
    problems = _in_order(draft.problems, own)
    return Translation(draft.document(), verdicts, problems, draft.sources)


def rule_names() -> set[str]:
    """Return the names of all options that some rule looks for."""
    draft = Draft((), "")
    _apply_rules(draft, "/", _no_matches)
    return draft.asked


def _apply_rules(draft: Draft, folder: str, glob: applications.Glob) -> None:
    base = applications.working_folder(draft, folder)
    applications.put_application(draft, base)
    applications.put_surroundings(draft, base, folder, glob)
    sockets.put_listeners(draft, base)
    sockets.put_socket_rights(draft)
    processes.put_single(draft)
    processes.put_workers(draft)
    processes.put_harakiri(draft)
    processes.put_memory(draft)
    processes.put_sleep(draft)
    processes.put_touched(draft, base)
    processes.put_name(draft)
    processes.put_pidfile(draft, base, folder)
    processes.put_remote(draft, base)
    hooks.put_hooks(draft)
    caches.put_caches(draft)
    tasks.put_tasks(draft)
    stats.put_stats(draft, base)
    logs.put_log(draft, folder)
    logs.put_access_log(draft)
    logs.put_static(draft, base)
    _judge_plugins(draft)
    draft.is_strict = draft.is_on("strict")


def settle_translation(
    translation: Translation,
    name: str,
    folder: str,
    emperor: EmperorSettings,
    owner: Owner = PROVIDER,
) -> VassalSettings | ConfigError:
    """Return the settings of a translated file, or all that is wrong with it.

    A tenant has no more than its grant; where the file asks for more there is a remark. What is
    said by verdicts is not among the remarks.
    """
    if translation.problems:
        return ConfigError(translation.problems)
    bounded = settle_bounded(name, translation.document, folder, with_defaults(emperor), owner)
    if isinstance(bounded.settings, ConfigError):
        return bounded.settings
    made = emperor.file.endswith(SETTINGS_FILE)
    remarks = tuple(
        _more_than_granted(excess, _by_command_line(excess) if made else grant, translation)
        for excess, grant in bounded.more
    )
    return msgspec.structs.replace(bounded.settings, remarks=remarks[:REMARKS_MAX])


def _more_than_granted(excess: Excess, grant: str, translation: Translation) -> Remark:
    """Return what is said of an option that asks for more than its author may have."""
    option = translation.sources.get(excess.path)
    line = f"line {option.line}: " if option is not None else ""
    has = excess.instead if excess.instead is not None else "what is granted"
    more = f"to grant more, write {grant}" if grant else "ask the provider for more"
    reason = f"{line}{excess.problem}: it has {has}; {more}"
    return Remark(
        key=option.name if option is not None else dotted(excess.path),
        reason=printable(reason[:WORDS_MAX]),
    )


def _by_command_line(excess: Excess) -> str:
    """Return what to write where the emperor's settings are made from uWSGI's options."""
    if excess.path == ("limits", "limit_nofile"):
        hard = excess.asked.strip('"').rpartition(":")[2]
        return f"max-fd = {hard} for the emperor itself"
    return "it in an emperor.toml, for emperor run --config"


def with_defaults(emperor: EmperorSettings) -> EmperorSettings:
    """Return the emperor's settings as uWSGI's files are merged over them."""
    below = dict(DEFAULTS)
    layers = [emperor.defaults, *(plan.values for plan in emperor.plans.values())]
    if any(key in layer for layer in layers for key in ("harakiri_soft", "harakiri_max")):
        below.pop("harakiri")  # these mean nothing without a deadline
    return msgspec.structs.replace(emperor, defaults=merged(emperor.defaults, below))


def native_values(document: Document) -> dict[str, object]:
    """Return the values of a file of ours that does the same without being uWSGI's."""
    return merged(document.values, DEFAULTS)


def _judge_plugins(draft: Draft) -> None:
    for taken in draft.all("plugins", "plugin", "need-plugins", "need-plugin"):
        words = [word for word in re.split(r"[\s,]+", taken.value) if word]
        strange = [word for word in words if _LANGUAGES.fullmatch(word.rpartition(":")[2])]
        if strange:
            text = f"there is nothing here for {quoted(strange[0])}: only WSGI is served"
            draft.remark(taken, Support.UNSUPPORTED, text)
        else:
            draft.remark(taken, Support.IGNORED, "Python and HTTP are built in")


def _verdicts(draft: Draft, options: Sequence[Option]) -> tuple[Verdict, ...]:
    found: list[Verdict] = []
    compared = 0
    for index, option in enumerate(options):
        known = KNOWN.get(option.name)
        said = draft.verdict_of(index)
        if known is None:
            compared += 1
            found.append(_unknown(draft, Taken(index, option), compared <= PROBLEMS_MAX))
        elif said is not None:
            found.append(Verdict(option, *said))
        else:
            found.append(_by_table(option, known))
    return tuple(found)


def _by_table(option: Option, known: Known) -> Verdict:
    """Return the table's verdict; a flag that is off asks for the contrary."""
    is_off = known.is_flag and not truth(option.value)
    if is_off and known.support is Support.SATISFIED:
        return Verdict(option, Support.IGNORED, f"it cannot be turned off: {known.text}")
    if is_off and known.support is Support.UNSUPPORTED:
        return Verdict(option, Support.SATISFIED, "it is off")
    return Verdict(option, known.support, known.text)


def _unknown(draft: Draft, taken: Taken, compare: bool) -> Verdict:
    """Return the verdict on a name that uWSGI does not have: it takes it for a placeholder."""
    meant = meant_by(taken.name, KNOWN) if compare else ""
    question = f"did you mean {meant}?" if meant else "remove it, or write it with set-ph"
    if draft.is_strict:
        draft.wrong(taken, "is no option of uWSGI, and the file is strict", question)
    text = "is no option of uWSGI, which takes it for a placeholder"
    return Verdict(taken.option, Support.UNKNOWN, f"{text}; {question}" if meant else text)


def _in_order(problems: Sequence[Problem], file: str) -> tuple[Problem, ...]:
    found = sorted(problems, key=lambda each: (each.file != file, each.file, each.line))
    return tuple(found[:PROBLEMS_MAX])
