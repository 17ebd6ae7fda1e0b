"""Asks for statistics as uWSGI's tools do, and shows them with uwsgitop in a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import termios
import time
from pathlib import Path
from typing import Any

from tests.support.need import need

UWSGITOP = Path(__file__).resolve().parents[2] / ".venv-tenant" / "bin" / "uwsgitop"

Address = tuple[str, int] | str


def ask(address: Address) -> Any:
    """Return the object that is told there; an abstract name begins with @."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if isinstance(address, str) and address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(family) as client:
        client.settimeout(10)
        client.connect(address)
        told = b""
        while part := client.recv(65536):
            told += part
    return json.loads(told)


def answers(port: int) -> bool:
    """Return whether statistics are told at a port of this host."""
    try:
        ask(("127.0.0.1", port))
    except OSError:
        return False
    return True


def keys(value: Any) -> Any:
    """Return the shape of an object: its keys at all depths, the first element of a list."""
    if isinstance(value, dict):
        return {name: keys(content) for name, content in value.items()}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return None


def uwsgitop(address: str, seconds: float = 2.5) -> str:
    """Return what uwsgitop has written to its terminal, without the terminal's own orders."""
    need(UWSGITOP.exists(), "needs uwsgitop: packaging/dev/setup.sh tenant")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(UWSGITOP, [str(UWSGITOP), address])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    shown, deadline = b"", time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:
                    break  # it has ended
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-B0]|\x1b[=>]", " ", shown.decode())
