"""The keys about which requests go where, and the names of what serves them. Pure."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from emperor.config import directives, values
from emperor.config.application import application
from emperor.config.key import Key
from emperor.config.problems import Invalid, quoted
from emperor.config.schemas import BOOLEAN, PATH, PATHS, TEXT, TEXTS, choice, table_of
from vassal.master.commands import SIGNALS_OFF, SIGNALS_UWSGI, SIGNALS_WORDS

NAME_MAX = 64
FIFOS_MAX = 10


def prefix(value: object, example: str) -> str:
    """Return the beginning of a URL's path, decoded, without a slash at its end."""
    text = values.text(value, "a path", example)
    found = text.rstrip("/")
    if not text.startswith("/") or "?" in text or "#" in text:
        raise Invalid(f"{quoted(text)} is not the path of a URL", f"write {example}")
    if any(part in ("", ".", "..") for part in found.split("/")[1:]):
        raise Invalid(f"{quoted(text)} has a part that no request has", f"write {example}")
    return found


def mounts(value: object) -> dict[str, str]:
    """Return the applications by the prefix that leads to them."""
    example = '{ "/shop" = "shop.wsgi:application" }'
    return directives.table_of(value, _below_root, application, example)


def _below_root(value: object) -> str:
    start = prefix(value, '"/shop"')
    if not start:
        raise Invalid('"/" is the place of app', "write it as app = …")
    return start


def static(value: object) -> dict[str, str]:
    """Return the folders, or single files, by the prefix that leads to them."""
    example = '{ "/static" = "/srv/blog/static" }'
    return directives.table_of(
        value, lambda start: prefix(start, '"/static"'), values.path_text, example
    )


def file_names(value: object) -> tuple[str, ...]:
    """Return names of files in a folder."""
    return values.list_of(value, _file_name, '["index.html"]')


def _file_name(value: object) -> str:
    name = values.text(value, "a file's name", '"index.html"')
    if "/" in name or name in (".", ".."):
        raise Invalid(f"{quoted(name)} is not a name in a folder", 'write one like "index.html"')
    return name


def folders(value: object) -> tuple[str, ...]:
    """Return paths as written; a single string is an array of one."""
    return values.list_of(value, values.path_text, '["/srv/blog/public"]')


def process_name(value: object) -> str:
    """Return a name for processes."""
    name = values.text(value, "a name", '"blog"')
    if len(name) > NAME_MAX or not name.isprintable() or not name.strip():
        raise Invalid(
            f"{quoted(name[:80])} is not a name", f"write up to {NAME_MAX} printable characters"
        )
    return name


def file_path(value: object) -> str:
    """Return the path of a file as written."""
    path = values.path_text(value)
    if path.endswith("/"):
        raise Invalid(f"{quoted(path)} is a folder", f"write {quoted(path + 'blog.pid')}")
    return path


def fifos(value: object) -> tuple[str, ...]:
    """Return paths of named pipes, as many as there are digits."""
    found = values.list_of(value, file_path, '["/srv/blog/blog.fifo"]')
    if len(found) > FIFOS_MAX:
        raise Invalid(f"{len(found)} are too many", f"write at most {FIFOS_MAX}")
    return found


def write_prefixes(found: Mapping[str, str]) -> dict[str, Any]:
    """Return a table by prefixes as TOML values."""
    return {start or "/": content for start, content in found.items()}


SERVING_KEYS = (
    Key(
        "mounts",
        mounts,
        table_of(TEXT),
        "Applications by the beginning of the path; the longest counts, and app has the rest.",
        "{}",
        '{ "/shop" = "shop.wsgi:application" }',
        write=write_prefixes,
    ),
    Key(
        "static",
        static,
        table_of(PATH),
        "Folders by the beginning of the path: workers send their files without the application.",
        "{}",
        '{ "/static" = "/srv/blog/static" }',
        write=write_prefixes,
    ),
    Key(
        "static_index",
        file_names,
        TEXTS,
        "Files that are sent for a folder, the first that is there; none = the application's.",
        "[]",
        '["index.html"]',
    ),
    Key(
        "check_static",
        folders,
        PATHS,
        "Folders whose files, where there is one for the path, are sent without the application.",
        "[]",
        '["/srv/blog/public"]',
    ),
    Key(
        "uwsgi_api",
        values.boolean,
        BOOLEAN,
        "The application can import uwsgi and uwsgidecorators.",
        "false",
        "true",
    ),
    Key(
        "procname",
        process_name,
        TEXT,
        "What ps and top call mold and workers. Default: mold or worker, and the vassal's name.",
        example='"blog"',
    ),
    Key(
        "pidfile",
        file_path,
        PATH,
        "A file that the master writes its pid into, as the vassal's user.",
        example='"/srv/blog/blog.pid"',
    ),
    Key(
        "fifo",
        fifos,
        PATHS,
        "A named pipe of the vassal's user: letters in it are told to the master, as to uWSGI's"
        " master-fifo. A number from 0 takes the pipe of that place in this list instead.",
        "[]",
        '["/srv/blog/blog.fifo"]',
    ),
    Key(
        "signals",
        partial(values.one_of, choices=SIGNALS_WORDS),
        choice(*SIGNALS_WORDS),
        'What signals to the master do: nothing, or what they do to uWSGI\'s, "-die-on-term"'
        " with that option.",
        f'"{SIGNALS_OFF}"',
        f'"{SIGNALS_UWSGI}"',
    ),
)
