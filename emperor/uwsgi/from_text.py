"""From the text of one file to the options written in it, whatever its format. Pure."""

from emperor.uwsgi.from_ini import read_ini
from emperor.uwsgi.from_json import read_json
from emperor.uwsgi.from_xml import read_xml
from emperor.uwsgi.from_yaml import read_yaml
from emperor.uwsgi.octets import inner, outer
from emperor.uwsgi.option import Written

SECTION = "uwsgi"

BEGIN_WITH = {
    "ini": "begin the options with a line [uwsgi]",
    "xml": "put the options between <uwsgi> and </uwsgi>",
    "yaml": "indent the options below a line uwsgi:",
    "json": 'write {"uwsgi": { … }}',
}
"""What a file that has no options lacks, by its format."""


def read_text(text: str, dialect: str, section: str) -> list[Written] | None:
    """Return the options of a section, "" = the usual one, byte by byte as `text` is.

    None: there is no such section. Raises Unreadable.
    """
    if dialect == "ini":
        return read_ini(text, section or SECTION)
    if dialect == "xml":
        found = read_xml(outer(text), section or None)
    elif dialect == "yaml":
        found = read_yaml(outer(text), section or SECTION)
    else:
        found = read_json(outer(text), section or SECTION)
    if found is None:
        return None
    return [Written(inner(one.name), inner(one.value), one.line) for one in found]
