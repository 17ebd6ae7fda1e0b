"""Requests that take a while, and vassals that they are sent to."""

import threading

from tests.support.emperor import Emperor, get
from tests.support.wait import wait_until


class Slow:
    """Requests that take a while, one to each port, all of them under way."""

    def __init__(self, emperor: Emperor, ports: dict[str, int], seconds: float) -> None:
        self.answers: list[int] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(port, seconds)) for port in ports.values()
        ]
        for thread in self._threads:
            thread.start()
        for name in ports:
            wait_until(
                lambda name=name: (
                    [row["state"] for row in emperor.vassal(name)["workers"]] == ["busy"]
                ),
                what=f"{name} is at it",
            )

    def _ask(self, port: int, seconds: float) -> None:
        try:
            self.answers.append(get(port, f"/sleep/{seconds}", 60)[0])
        except OSError:
            self.answers.append(0)

    def all_answers(self) -> list[int]:
        """Wait for all; return their statuses, 0 for one that was cut."""
        for thread in self._threads:
            thread.join(60)
        return self.answers


def serve(emperor: Emperor, *names: str, **keys: object) -> dict[str, int]:
    emperor.app("hello")
    ports = {name: emperor.drop(name, **keys) for name in names}
    if emperor.process is None:
        emperor.start()
    for name in names:
        emperor.wait_state(name, "ready")
    return ports
