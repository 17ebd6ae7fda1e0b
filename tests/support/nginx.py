"""A real nginx in a prefix of its own, as whoever runs the tests."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.need import need_program
from tests.support.ports import free_port
from tests.support.wait import wait_until

REPOSITORY = Path(__file__).parents[2]
SNIPPET = REPOSITORY / "packaging" / "nginx" / "emperor-hosts.conf"

_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log info;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {prefix}/t1;
    proxy_temp_path {prefix}/t2;
    fastcgi_temp_path {prefix}/t3;
    uwsgi_temp_path {prefix}/t4;
    scgi_temp_path {prefix}/t5;
{servers}
}}
"""


class Nginx:
    """A running nginx. `port` is its first server's."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.port = free_port()

    def error_log(self) -> str:
        path = self.prefix / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def nginx(prefix: Path, servers: str, port: int | None = None) -> Iterator[Nginx]:
    """Run nginx over `servers` for the time of a with block; PORT in them is its port."""
    program = need_program("nginx")
    one = Nginx(prefix)
    one.port = port or one.port
    prefix.mkdir(exist_ok=True)
    config = prefix / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    text = _CONFIG.format(prefix=prefix, user=user, servers=servers.replace("PORT", str(one.port)))
    config.write_text(text)
    with (prefix / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "-p", str(prefix), "-c", str(config), "-e", str(prefix / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:

        def up() -> bool:
            assert process.poll() is None, (prefix / "output").read_text()
            return "start worker process " in one.error_log()

        wait_until(up, what="nginx is up")
        yield one
    finally:
        process.terminate()
        process.wait(10)


def snippet(hosts: Path) -> str:
    """Return emperor-hosts.conf as it is installed, for a port and a runtime dir of our own."""
    text = SNIPPET.read_text()
    text = re.sub(r"listen \[::\]:80 [^;]*;", "", text)
    assert "listen 80 default_server;" in text
    assert "/run/emperor/hosts" in text
    text = text.replace("listen 80 ", "listen 127.0.0.1:PORT ")
    text = text.replace("include uwsgi_params;", "include /etc/nginx/uwsgi_params;")
    return text.replace("/run/emperor/hosts", str(hosts))
