"""Load: wrk, and nginx in front of a server."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.client import wait_for_answer
from tests.support.ports import free_port

CONNECTIONS = 8

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            include /etc/nginx/uwsgi_params;
            uwsgi_pass unix:{socket};
        }}
    }}
}}
"""


class Load(NamedTuple):
    """What wrk saw."""

    requests: int
    seconds: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def wrk(port: int, seconds: float, *, keepalive: bool) -> Load:
    """Ask 127.0.0.1:`port` for `seconds`, with or without a new connection for each request."""
    close = [] if keepalive else ["-H", "Connection: close"]
    shape = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s"]
    command = ["wrk", *shape, *close, f"http://127.0.0.1:{port}/"]
    began = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return parse_wrk(done.stdout, time.monotonic() - began)


def parse_wrk(text: str, seconds: float) -> Load:
    """Read wrk's report; `seconds` is how long it ran, if it does not say."""
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    if total is None:
        raise ValueError(f"not a report of wrk:\n{text}")
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}[total[3]]
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text)))
    return Load(int(total[1]), float(total[2]) * unit or seconds, errors)


@contextmanager
def nginx(uwsgi_socket: str, *, as_root: bool) -> Iterator[int]:
    """Run nginx in front of a uwsgi socket; yield its port."""
    folder = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
    port = free_port()
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    config = folder / "nginx.conf"
    # As root, so that whoever owns the socket, nginx may connect.
    user = "user root;" if as_root else ""
    config.write_text(NGINX.format(folder=folder, port=port, socket=uwsgi_socket, user=user))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config)])
    try:
        wait_for_answer(("127.0.0.1", port), timeout=30)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
