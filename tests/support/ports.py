"""Ports for servers under test."""

import itertools
import os
import random
import socket

# Below those that the kernel gives to connections (net.ipv4.ip_local_port_range): a port
# that was free a moment ago must still be free when its server starts. Each process of a
# parallel run has ports of its own.
_FIRST, _EACH = 10_000, 2_500
_PROCESSES_MAX = 8


def _candidates_of(worker: str) -> "itertools.cycle[int]":
    number = int(worker.removeprefix("gw")) if worker else 0
    assert number < _PROCESSES_MAX, "more processes than there are ports for"
    first = _FIRST + number * _EACH
    ports = list(range(first, first + _EACH))
    begin = random.randrange(_EACH)
    return itertools.cycle(ports[begin:] + ports[:begin])


_candidates = _candidates_of(os.environ.get("PYTEST_XDIST_WORKER", ""))


def free_port() -> int:
    """Return a port that nobody listens on, and that this process has not been given yet."""
    for port in _candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there are always candidates")


def is_bound(port: int) -> bool:
    """Return whether somebody holds a port open, though nobody may answer there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
