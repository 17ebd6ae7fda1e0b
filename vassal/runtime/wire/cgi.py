"""From the variables of a web server (uwsgi, FastCGI, SCGI) to a WSGI environ. Pure.

What nginx's uwsgi_params, fastcgi_params and scgi_params send by default must become a
right environ; they differ in how they tell the path.
"""

from __future__ import annotations

from .request import Base, ProtocolError, Request
from .text import parse_length, split_target, unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .request import Environ


# httpoxy; and the two names that PEP 3333 keeps apart from other fields.
_REFUSED = ("HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE")


def make_request(
    environ: Environ, base: Base, consumed: int, body_bytes_max: int, stream_id: int = 0
) -> Request:
    """Return the request that these variables describe; `environ` began as base.defaults.

    Raises ProtocolError when they describe none.
    """
    for name in _REFUSED:
        if name in environ:
            del environ[name]
    method = environ.get("REQUEST_METHOD")
    if not method:
        raise ProtocolError(400, "Missing REQUEST_METHOD", stream_id)
    if not environ.get("CONTENT_TYPE", "-"):
        del environ["CONTENT_TYPE"]
    body_length = 0
    length = environ.get("CONTENT_LENGTH")
    if length:
        number = parse_length(length)
        if number is None:
            raise ProtocolError(400, "Malformed CONTENT_LENGTH", stream_id)
        if body_bytes_max and number > body_bytes_max:
            raise ProtocolError(413, "Body too large", stream_id)
        body_length = number
    elif length is not None:
        del environ["CONTENT_LENGTH"]
    _set_path(environ)
    if not environ.get("SERVER_NAME"):
        environ["SERVER_NAME"] = base.defaults["SERVER_NAME"]
    https = environ.get("REQUEST_SCHEME") == "https" or environ.get("HTTPS") in ("on", "1")
    environ.update(base.forced)
    if https:
        environ["wsgi.url_scheme"] = "https"
    uri = environ["REQUEST_URI"]
    return Request(
        environ,
        method.encode("latin-1"),
        uri.encode("latin-1"),
        consumed,
        body_length,
    )


def _set_path(environ: Environ) -> None:
    """Complete SCRIPT_NAME, PATH_INFO, QUERY_STRING and REQUEST_URI from one another."""
    get = environ.get
    script: str = get("SCRIPT_NAME", "")
    path = get("PATH_INFO")
    uri = get("REQUEST_URI")
    if path is None:
        path = get("DOCUMENT_URI")
        if path is None and script:
            path = script  # fastcgi_params: SCRIPT_NAME is the whole path
        elif path is None:
            path = unquote(split_target(uri or "/")[0].encode("latin-1"))
        if script == path:
            script = ""
    if script:
        script = script.rstrip("/")
        # PATH_INFO is still the whole path, unless the client did ask for /app/app/….
        inside = path == script or path.startswith(script + "/")
        if inside and not (uri or "").startswith(script + script + "/"):
            path = path[len(script) :]
    environ["SCRIPT_NAME"] = script
    environ["PATH_INFO"] = path
    if uri is None:
        query = get("QUERY_STRING")
        environ["REQUEST_URI"] = script + path + ("?" + query if query else "")
    if "QUERY_STRING" not in environ:
        environ["QUERY_STRING"] = split_target(environ["REQUEST_URI"])[1]
