"""Answers with the number it is asked for, as tests.support.load wants it."""

import os

VERSION = os.environ.get("VERSION", "")
WHOLE = 12_000


def application(environ, start_response):
    number = environ["PATH_INFO"].rpartition("/")[2]
    body = (number + " ") * (WHOLE // (len(number) + 1))
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*headers, ("X-Version", VERSION)])
    return [body.encode()]
