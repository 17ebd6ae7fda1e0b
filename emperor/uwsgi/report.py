"""What people read of a translated file: a line for each option, and a file of ours. Pure."""

from collections.abc import Iterator

from emperor.config.problems import printable, quoted
from emperor.uwsgi.draft import Verdict
from emperor.uwsgi.native import native_text
from emperor.uwsgi.rows import Support
from emperor.uwsgi.translate import Translation, native_values

NEEDS_A_PERSON = (Support.UNSUPPORTED, Support.UNKNOWN)
_SHOWN_MAX = 60


def verdict_line(verdict: Verdict) -> str:
    """Return the line of one option: where it stands, what it says, what becomes of it."""
    option = verdict.option
    said = f"{printable(option.file)}:{option.line}: {_shown(verdict)}"
    return f"{said}: {verdict.verdict}: {printable(verdict.text)}"


def summary_line(translation: Translation) -> str:
    """Return how many options have which verdict."""
    verdicts = [each.verdict for each in translation.verdicts]
    parts = [f"{verdicts.count(each)} {each}" for each in Support if each in verdicts]
    return f"{len(verdicts)} options: {', '.join(parts)}" if parts else "no options"


def migrated_text(translation: Translation, source: str) -> str:
    """Return a file of ours that does what the file `source` does, and says what it does not."""
    return native_text(native_values(translation.document), _comments(translation, source))


def _comments(translation: Translation, source: str) -> Iterator[str]:
    yield f"Made from {source} by: emperor migrate"
    for verdict in translation.verdicts:
        if verdict.verdict in NEEDS_A_PERSON:
            where = "" if verdict.option.file == source else f"{verdict.option.file}, "
            place = f"{where}line {verdict.option.line}"
            yield f"uwsgi: {place}: {_shown(verdict)}: {verdict.verdict}: {verdict.text}"
    for problem in translation.problems:
        yield f"uwsgi: {problem}"


def _shown(verdict: Verdict) -> str:
    name, value = verdict.option.name, verdict.option.value
    name = printable(name) if len(name) <= _SHOWN_MAX else quoted(name)
    value = value if len(value) <= _SHOWN_MAX else f"{value[:_SHOWN_MAX]}…"
    return f"{name} = {printable(value)}" if value else name
