"""The format of a line about a request: text with variables, `%(name)`, as in uWSGI. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import FrozenSet, List, Tuple

DEFAULT = (
    '%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(rsize)'
    ' "%(referer)" "%(uagent)" %(msecs) ms'
)

UWSGI = "uwsgi"
"""A format that is uWSGI's own line, which it writes where its file has no log-format."""
MICROS, MEMORY = "micros", "memory"
"""What may follow it, each after a "+": as uWSGI's log-micros and memory-report change the line."""

FROM_ENVIRON = {
    "addr": "REMOTE_ADDR",
    "user": "REMOTE_USER",
    "host": "HTTP_HOST",
    "proto": "SERVER_PROTOCOL",
    "uagent": "HTTP_USER_AGENT",
    "referer": "HTTP_REFERER",
}
"""Variables that environ has, as it was before the application got it."""

ZEROS = frozenset(
    ["switches", "werr", "rerr", "ioerr", "modifier1", "modifier2"] + ["rss", "rssM", "vsz", "vszM"]
)
"""Numbers that nothing is counted for: lines in JSON must have one there, as in uWSGI."""

NAMES = frozenset(
    [
        *FROM_ENVIRON,
        *ZEROS,
        *("cl", "vars"),
        *("method", "uri", "status", "size", "hsize", "rsize", "headers"),
        *("secs", "msecs", "micros", "time", "tmsecs", "tmicros", "epoch"),
        *("ctime", "ltime", "ftime", "pid", "wid", "core"),
    ]
)
VARIABLE = "var."
"""%(var.NAME) is a variable of environ by its own name."""
REMEMBERED = "logvar."
"""%(logvar.NAME) is what the application said with uwsgi.set_logvar; uWSGI writes %(NAME)."""
LOGVARS = "emperor.logvars"
"""Where it is in environ, by name."""


def uwsgi_words(text: str) -> FrozenSet[str] | None:
    """Return what follows the name of uWSGI's own line; None = this is another format."""
    first, *others = text.split("+")
    words = frozenset(others)
    return words if first == UWSGI and words <= {MICROS, MEMORY} else None


def is_known(name: str) -> bool:
    """Return whether a variable of this name has a value."""
    prefixes = (VARIABLE, REMEMBERED)
    return name in NAMES or (name.startswith(prefixes) and name not in prefixes)


def split(text: str) -> List[Tuple[str, bool]]:
    """Return the parts of a format: (text, False), or (name of a variable, True)."""
    found: List[Tuple[str, bool]] = []
    at = 0
    while True:
        start = text.find("%(", at)
        end = text.find(")", start)
        if start < 0 or end < 0:
            break
        found += [(text[at:start], False), (text[start + 2 : end], True)]
        at = end + 1
    found.append((text[at:], False))
    return [part for part in found if part[0] or part[1]]
