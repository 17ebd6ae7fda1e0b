"""Tells systemd how the emperor is: readiness, a line of status, and that it is alive.

The states are text, so that the brain can have the spawner send them: only the main
process of the unit may speak for it. Descriptors for systemd's store do not go this way.
"""

import os
from collections.abc import Mapping

from sdnotify import SystemdNotifier

STATUS_CHARS_MAX = 200

WATCHDOG = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def ready(status: str = "") -> str:
    """Return the state for: started, or reloaded, and at work."""
    return _lines("READY=1", _status(status))


def status(text: str) -> str:
    """Return the state that shows `text` in `systemctl status`."""
    return _status(text)


def reloading(monotonic_s: float) -> str:
    """Return the state for: configuration is being read anew; `ready` ends it.

    Type=notify-reload wants the time, to tell this reload from an earlier one.
    """
    return _lines("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_s * 1e6)}")


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return how often to send WATCHDOG: half of what systemd allows; None = never.

    See sd_watchdog_enabled(3). `pid` is that of the process which would send.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID", str(pid))
    if meant_for != str(pid) or not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return int(microseconds) / 2e6 or None


class Notifier:
    """The way to systemd's notification socket; silent where there is none."""

    def __init__(self) -> None:
        self._notifier: SystemdNotifier | None = None
        if os.environ.get("NOTIFY_SOCKET"):
            self._notifier = SystemdNotifier()
            if self._notifier.socket is not None:
                # A systemd that does not read must not stop us with it.
                self._notifier.socket.setblocking(False)

    @property
    def is_heard(self) -> bool:
        """Whether systemd started us and wants to know."""
        return self._notifier is not None and self._notifier.socket is not None

    def send(self, state: str) -> None:
        """Send one state; nothing is raised and nothing waited for."""
        if self._notifier is not None:
            self._notifier.notify(state)

    def close(self) -> None:
        """Close the socket; what is sent later is lost."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()


def _status(text: str) -> str:
    # One line, or the rest would be read as further assignments; and ASCII, because
    # sdnotify encodes as latin-1 and drops the whole message when it cannot.
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:STATUS_CHARS_MAX])
    return f"STATUS={plain}" if plain else ""


def _lines(*assignments: str) -> str:
    return "\n".join(a for a in assignments if a)
