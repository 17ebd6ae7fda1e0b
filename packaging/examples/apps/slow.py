"""Sleeps as long as it is asked to: /sleep?30. To see harakiri at work."""

import time
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/sleep":
        try:
            time.sleep(float(environ["QUERY_STRING"]))
        except ValueError:
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [b"Say how many seconds: /sleep?30\n"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Awake. Try /sleep?30\n"]
