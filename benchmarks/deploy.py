"""A file is dropped into the directory: how long until its application answers?"""

import random
import time

from benchmarks.client import wait_for_answer, wait_for_silence
from benchmarks.report import Row, Target, medians
from benchmarks.servers import Application, Ours, Server, Uwsgi
from tests.support.ports import free_port


def run(quick: bool) -> list[Row]:
    rounds = 3 if quick else 15
    samples: dict[str, list[float]] = {}
    with Ours() as ours, Uwsgi() as uwsgi:
        servers: list[Server] = [ours, uwsgi]
        for server in servers:
            server.start()
        for _ in range(rounds):
            for server in servers:
                # uWSGI looks every three seconds; the moment must not depend on its clock.
                time.sleep(random.uniform(0, 3))
                samples.setdefault(server.name, []).append(drop_and_time(server))
            servers.reverse()
    return [
        Row(
            what=f"file dropped → first 200, median of {rounds}",
            unit="s",
            values=medians(samples),
            samples=samples,
            targets=[Target(bound=0.15)],
            digits=3,
        )
    ]


def drop_and_time(server: Server) -> float:
    """Return the seconds from a dropped file to the first 200; leave nothing served."""
    app = Application(name="dropped", module="hello", http=("127.0.0.1", free_port()))
    began = time.monotonic()
    server.drop(app)
    seconds = wait_for_answer(app.http) - began
    server.remove(app)
    wait_for_silence(app.http)
    return seconds
