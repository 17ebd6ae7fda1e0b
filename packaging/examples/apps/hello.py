"""Shows what a WSGI application is given: a page of its environment."""

import os
import sys
from collections.abc import Iterable
from html import escape
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    about = {
        "interpreter": f"{sys.executable} ({sys.version.split()[0]})",
        "process": f"{os.getpid()}, user {os.getuid()}",
        "directory": os.getcwd(),
    }
    rows = [*about.items(), *sorted(environ.items())]
    body = (
        "<!doctype html><title>It serves</title><h1>It serves.</h1><table>"
        + "".join(f"<tr><th>{escape(k)}<td>{escape(str(v))}" for k, v in rows)
        + "</table>\n"
    ).encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
