"""A vassal that listens in every way, with a load that asks in every way."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.emperor import UNCONFINED, Emperor
from tests.support.load import Load, Way, application, load
from tests.support.nginx import nginx
from tests.support.ports import free_port
from tests.support.processes import pid_tree
from tests.support.wait import wait_until

RATE = 60.0
WORKERS = 2

SERVERS = """
    upstream kept {{ server unix:{http}; keepalive 8; }}
    server {{
        listen 127.0.0.1:PORT;
        server_name http;
        location / {{ proxy_pass http://kept; proxy_http_version 1.1;
                      proxy_set_header Connection ""; }}
    }}
    server {{
        listen 127.0.0.1:PORT;
        server_name uwsgi;
        location / {{ uwsgi_pass unix:{uwsgi};
            uwsgi_param REQUEST_METHOD $request_method; uwsgi_param REQUEST_URI $request_uri;
            uwsgi_param PATH_INFO $document_uri; uwsgi_param QUERY_STRING $query_string;
            uwsgi_param SERVER_PROTOCOL $server_protocol; uwsgi_param SERVER_NAME $server_name;
            uwsgi_param SERVER_PORT $server_port; }}
    }}
"""


class Site:
    """A vassal that listens in every way, with a load that asks in every way."""

    def __init__(self, emperor: Emperor) -> None:
        self.emperor = emperor
        self.served = emperor.base / "served"
        self.served.touch()
        self.served.chmod(0o666)
        self.port = free_port()
        self.sockets = {name: emperor.base / f"{name}.sock" for name in ("http", "uwsgi")}
        self.code("one")

    def code(self, version: str, more: str = "") -> None:
        source = application(self.served).replace('"one"', f'"{version}"')
        self.emperor.app("asked", source + more)

    def drop(self, text: str = "", **keys: object) -> None:
        """Write the vassal's file anew."""
        listen = [
            f"http://127.0.0.1:{self.port}",
            f"http+unix://{self.sockets['http']}",
            f"uwsgi+unix://{self.sockets['uwsgi']}",
        ]
        # A generation settles soon: the next event comes as soon as it may.
        quick = {"health": {"settle": 0.1}, "socket": {"mode": "666"}}
        values = {"workers": WORKERS, **quick, **keys}
        lines = "".join(f"{name} = {toml(value)}\n" for name, value in values.items())
        self.emperor.drop(
            "blog", app="asked:application", listen=listen, text=lines + text + UNCONFINED
        )

    @contextlib.contextmanager
    def ways(self) -> Iterator[tuple[Way, ...]]:
        """Yield every way to ask; through nginx it is a unix socket at last."""
        servers = SERVERS.format(**self.sockets)
        with nginx(self.emperor.base / "nginx", servers) as web:
            yield (
                Way("direct", self.port),
                Way("kept", self.port, keeps=True),
                Way("nginx-http", web.port, "http", keeps=True),
                Way("nginx-uwsgi", web.port, "uwsgi"),
            )

    @contextlib.contextmanager
    def asked(self) -> Iterator[Load]:
        """Ask in every way for the time of a with block."""
        with self.ways() as ways, load(ways, RATE) as one:
            time.sleep(0.3)
            yield one
            time.sleep(0.3)

    @property
    def status(self) -> dict:
        return self.emperor.vassal("blog")

    def wait_generation(self, number: int) -> None:
        def there() -> bool:
            found = self.emperor.vassal("blog")
            return found["state"] == "ready" and found["generation"] >= number

        wait_until(there, 15, f"generation {number}; {self.status}")


def toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def mold_of(site: Site) -> int:
    """Return the pid of the mold; 0 = there is none."""
    workers = {row["pid"] for row in site.status["workers"]}
    below = set(pid_tree(site.status["pid"])) - workers - {site.status["pid"]}
    for pid in below:
        with contextlib.suppress(OSError):
            if b"mold" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return 0
