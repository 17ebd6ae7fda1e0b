"""Serves files in front of the application: what it has no file for is the application's."""

from __future__ import annotations

import os

from .beneath import Refused, open_beneath
from .content_types import content_type
from .mounts import is_below
from .output import http_date
from .ranges import is_unchanged, part_of
from .wsgi import STATIC, FileWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Tuple

    from .wsgi import App

_FORMAT, _REGULAR, _FOLDER = 0o170000, 0o100000, 0o040000
_SEPARATORS = "\0\\"
_BLOCK_BYTES = 64 * 1024


class StaticFiles:
    """An application around another: GET and HEAD of what is a file are answered here.

    `mapped` are folders, or single files, by prefix; the longest prefix counts, then
    `checked`, in which the whole path is looked for. What is refused is not answered here
    either: an application that never was asked for it could not say 404 in its own words.
    """

    def __init__(
        self,
        app: App,
        mapped: Mapping[str, str],
        index: Sequence[str],
        checked: Sequence[str],
    ):
        self._app = app
        places: List[Tuple[str, str]] = [
            (prefix.encode().decode("latin-1"), mapped[prefix])
            for prefix in sorted(mapped, key=len, reverse=True)
        ]
        self._places = places
        self._checked = list(checked)
        self._index = [name.encode() for name in index]

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer with a file, or call the application."""
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            for folder, rest in self._candidates(environ["PATH_INFO"]):
                answer = self._serve(folder, rest, environ, start_response)
                if answer is not None:
                    environ[STATIC] = True
                    return answer
        return self._app(environ, start_response)

    def _candidates(self, path: str) -> Iterable[Tuple[str, str]]:
        """Yield where a file for `path` may be: a folder and the path in it."""
        if any(char in path for char in _SEPARATORS):
            return
        for prefix, folder in self._places:
            if is_below(path, prefix):
                yield folder, path[len(prefix) :]
                break
        for folder in self._checked:
            yield folder, path

    def _serve(
        self, folder: str, rest: str, environ: Dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        """Return the answer, or None where there is no such file."""
        parts = rest.encode("latin-1").split(b"/")[1:]
        wants_folder = not parts or not parts[-1]
        names = parts[:-1] if parts and wants_folder else parts
        if rest[:1] not in ("", "/") or any(name in (b"", b".", b"..") for name in names):
            return None
        try:
            fd = open_beneath(folder, names)
        except (OSError, Refused):
            return None
        name = names[-1] if names else os.fsencode(folder)
        try:
            status = os.fstat(fd)
            kind = status.st_mode & _FORMAT
            if kind == _FOLDER:
                return self._serve_folder(fd, rest, environ, start_response)
            # A file has no slash behind it: "/static/a.css/" is not a.css.
            if kind != _REGULAR or rest.endswith("/"):
                return None
            fd, taken = -1, fd
            return _answer(taken, name, status, environ, start_response)
        finally:
            if fd >= 0:
                os.close(fd)

    def _serve_folder(
        self, fd: int, rest: str, environ: Dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        for name in self._index:
            try:
                found = open_beneath(fd, [name])
            except (OSError, Refused):
                continue
            status = os.fstat(found)
            if status.st_mode & _FORMAT != _REGULAR:
                os.close(found)
            elif rest.endswith("/"):
                return _answer(found, name, status, environ, start_response)
            else:
                os.close(found)
                return _to_folder(environ, start_response)
        return None


def _to_folder(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Send the client to the path with a slash, which links in the index are relative to."""
    path, mark, query = environ["REQUEST_URI"].partition("?")
    # "//host" would send it to another site.
    if not path.startswith("/") or path.startswith("//"):
        return None
    start_response(
        "301 Moved Permanently", [("Location", path + "/" + mark + query), ("Content-Length", "0")]
    )
    return []


def _answer(
    fd: int,
    name: bytes,
    status: os.stat_result,
    environ: Dict[str, Any],
    start_response: Callable[..., Any],
) -> Any:
    """Answer with this file, which is ours to close."""
    size = status.st_size
    changed = http_date(int(status.st_mtime))
    headers = [("Last-Modified", changed)]
    if is_unchanged(environ, status.st_mtime):
        os.close(fd)
        start_response("304 Not Modified", headers)
        return []
    headers += [("Content-Type", content_type(name)), ("Accept-Ranges", "bytes")]
    part = part_of(environ, size, changed)
    if part is None:
        start, count, code = 0, size, "200 OK"
    elif part == (0, 0):
        os.close(fd)
        headers += [("Content-Range", "bytes */%d" % size), ("Content-Length", "0")]
        start_response("416 Range Not Satisfiable", headers)
        return []
    else:
        (start, count), code = part, "206 Partial Content"
        headers.append(("Content-Range", "bytes %d-%d/%d" % (start, start + count - 1, size)))
    headers.append(("Content-Length", str(count)))
    start_response(code, headers)
    return FileWrapper(_Part(fd, start, count), _BLOCK_BYTES)


class _Part:
    """What FileWrapper needs of a file: `count` bytes of it from `start`. Owns `fd`."""

    def __init__(self, fd: int, start: int, count: int):
        self._fd = fd
        self._at = start
        self._end = start + count

    def fileno(self) -> int:
        return self._fd

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        data = os.pread(self._fd, min(size, self._end - self._at), self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
