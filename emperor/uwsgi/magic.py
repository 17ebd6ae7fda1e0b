"""Magic variables: %d, %n, …, replaced in the text of a file before anything else. Pure.

As config_magic_table_fill and magic_sub of uWSGI's core do it. All text is byte by byte.
"""

from collections.abc import Mapping

from emperor.uwsgi.host import Facts
from emperor.uwsgi.octets import inner

VERSION = "2.0.31"
"""The uWSGI whose rules these are: what %V says."""

OF_FIRST = {"O": "o", "D": "d", "S": "s", "P": "p", "C": "c", "E": "e"} | {
    "N": "n",
    "X": "x",
    "I": "i",
    "J": "j",
}
"""Of the first file, whichever file asks."""


def of_machine(facts: Facts) -> dict[str, str]:
    """Return the variables that are the same in every file."""
    return {
        "%": "%",
        "(": "%(",
        "[": "\x1b",
        "v": inner(facts.cwd),
        "V": VERSION,
        "h": inner(facts.hostname),
        "k": str(facts.cpus),
        "t": str(facts.unix_us // 1_000_000),
        "T": str(facts.unix_us),
        "u": str(facts.uid),
        "U": inner(facts.user),
        "g": str(facts.gid),
        "G": inner(facts.group),
    }


def of_file(name: str, path: str, inode: int) -> dict[str, str]:
    """Return the variables of the file that was named `name` and is at `path`."""
    folder, _, own = path.rpartition("/")
    stem, dot, extension = own.rpartition(".")
    parts = [part for part in folder.split("/") if part]
    return {
        "o": name,
        "p": path,
        "s": own,
        "n": stem if dot else own,
        "e": extension if dot else "",
        "d": f"{folder}/",
        "c": folder.rpartition("/")[2],
        "i": str(inode) if inode else "",
        "j": _djb33x(path),
        **{str(place): part for place, part in enumerate(parts[:10])},
    }


def substitute(text: str, table: Mapping[str, str]) -> str:
    """Replace the character behind each % by its variable; one that there is not is empty."""
    head, *tail = text.split("%")
    found = [head]
    pieces = iter(tail)
    for piece in pieces:
        if piece:
            found.append(table.get(piece[0], "") + piece[1:])
            continue
        # "%%", or the last character of the file.
        following = next(pieces, None)
        if following is not None:
            found.append("%" + following)
    return "".join(found)


def _djb33x(text: str) -> str:
    value = 5381
    for byte in text.encode("latin-1"):
        value = (value * 33 ^ byte) & 0xFFFFFFFF
    return value.to_bytes(4, "little").hex().upper()
