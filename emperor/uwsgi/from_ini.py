"""Reads options from INI text, as uwsgi_ini_config does. Pure."""

from emperor.uwsgi.option import Written

BLANKS = " \t\r"


def read_ini(text: str, section: str) -> list[Written] | None:
    """Return the options of one section, None if it is not there."""
    found: list[Written] = []
    inside = False
    seen = False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.split("\0")[0].strip(BLANKS)
        if not line or line[0] in ";#":
            continue
        if line[0] == "[":
            inside = line[1:-1] == section
            continue
        if inside:
            seen = True
            key, _, value = line.partition("=")
            found.append(Written(key.rstrip(BLANKS), value.strip(BLANKS), number))
    return found if seen else None


def is_empty_ini(text: str) -> bool:
    """Return whether there is no option in any section."""
    lines = (line.strip(BLANKS) for line in text.split("\n"))
    return all(not line or line[0] in ";#[" for line in lines)
