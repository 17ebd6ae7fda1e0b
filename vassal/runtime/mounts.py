"""Chooses among applications by the beginning of a request's path. Pure."""

from __future__ import annotations

from .app_counts import names_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

    App = Callable[..., Iterable[bytes]]

NUMBER = "emperor.app"
"""In environ the number of the application that has the path, in the order of app_counts."""

_NOBODY = b"404 Not Found\n"


def nobody(environ: Dict[str, Any], start_response: Callable[..., Any]) -> List[bytes]:
    """Answer for a path that no application has."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(_NOBODY)))]
    start_response("404 Not Found", headers)
    return [_NOBODY]


class Mounts:
    """An application made of others: the longest prefix counts, `rest` has what is left."""

    def __init__(self, mounts: Mapping[str, App], rest: App):
        self._rest = rest
        names = names_of("" if rest is nobody else "rest", mounts)
        found: List[Tuple[str, App, int]] = []
        for prefix in sorted(mounts, key=len, reverse=True):
            # PEP 3333: each byte of a path is one character in environ.
            shown = prefix.encode().decode("latin-1")
            found.append((shown, mounts[prefix], names.index(prefix)))
        self._mounts = found

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Call the application that the path belongs to, as if it stood alone."""
        script, path = environ["SCRIPT_NAME"], environ["PATH_INFO"]
        whole = script + path
        for prefix, app, number in self._mounts:
            # A web server that has told SCRIPT_NAME may mean this very prefix by it.
            if script and len(prefix) >= len(script) and is_below(whole, prefix):
                environ["SCRIPT_NAME"] = prefix
                environ["PATH_INFO"] = whole[len(prefix) :]
                environ[NUMBER] = number
                return app(environ, start_response)
            if is_below(path, prefix):
                environ["SCRIPT_NAME"] = script + prefix
                environ["PATH_INFO"] = path[len(prefix) :]
                environ[NUMBER] = number
                return app(environ, start_response)
        if self._rest is not nobody:
            environ[NUMBER] = 0
        return self._rest(environ, start_response)


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix`, or goes on after it with a slash."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
