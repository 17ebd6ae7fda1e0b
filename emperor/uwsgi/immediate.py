"""Which options act while uWSGI reads a file, before anything is replaced in values. Pure."""

from emperor.config.file_names import UWSGI_SUFFIXES

LOADERS = {
    "ini": "ini",
    "xml": "xml",
    "xmlconfig": "xml",
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
    "js": "json",
}
"""Which dialect an option loads."""

PLACEHOLDERS = frozenset({"set", "set-ph", "set-placeholder"})

ENDS = frozenset({"end", "endfor", "endif", "end-if", "end-for"})

_OTHERS = """
autoload binary-append-data blacklist build-plugin cflags command-mode config config-py
connect-and-read declare-option dlopen dot-h early-envdir end-blacklist end-whitelist
exit extract flock flock-wait flock-wait2 flock2 help immediate-gid immediate-uid
include ini-paste ini-paste-logged inject-after inject-before iprint listen need-plugin
need-plugins pause pcre-jit plugin plugin-dir plugins plugins-dir print-sym print-symbol
python-version reload resolve resume signal spooler-processes stop strict suspend umask
usage whitelist
"""

IMMEDIATE = frozenset(_OTHERS.split()) | PLACEHOLDERS | LOADERS.keys() | ENDS
"""No reference in the value of any of these is ever replaced. See UWSGI_OPT_IMMEDIATE."""


def dialect_of(path: str) -> str | None:
    """Return the dialect that the suffix of a path tells; None = it tells none."""
    for suffix in UWSGI_SUFFIXES:
        if path.endswith(suffix):
            return LOADERS[suffix.removeprefix(".")]
    return None
