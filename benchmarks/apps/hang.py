"""Hangs at /hang, and lets the benchmark see when that began and when its process ended.

The witness is a unix socket beside this file: we connect, write the monotonic time in
nanoseconds, and the kernel closes the connection when we are killed.
"""

import os
import socket
import time
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/hang":
        began = time.monotonic_ns()
        witness = socket.socket(socket.AF_UNIX)
        witness.connect(os.path.join(os.path.dirname(__file__), "witness.sock"))
        witness.sendall(began.to_bytes(8, "little"))
        time.sleep(1000)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
