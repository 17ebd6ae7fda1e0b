"""The brain's table: one record, one wish a vassal, and whose master a token names."""

import random
import time
from collections.abc import Callable, Mapping

import msgspec

from emperor.brain.wishes import Wish
from emperor.core.registry import Fact, Vassal, advance, fail
from emperor.core.restarts import RestartPolicy
from emperor.status import LimitChange
from vassal.messages import Failure

EXIT_PATIENCE_S = 5.0
"""How long a master that failed has to go by itself."""

Publish = Callable[[str, str, str | None, Mapping[str, object]], None]
"""(level, event, vassal, fields) to log and event stream."""


class Roll:
    """Every vassal's record; nothing here acts."""

    def __init__(self, publish: Publish) -> None:
        self.publish = publish
        self.policy = RestartPolicy()
        self.wishes: dict[str, Wish] = {}
        self.vassals: dict[str, Vassal] = {}
        self.unsupported: dict[str, tuple[str, ...]] = {}
        self.limit_changes: dict[str, LimitChange] = {}
        self._names: dict[str, str] = {}

    def get(self, name: str) -> Vassal:
        """Return the record of `name`, a new one if there is none."""
        return self.vassals.get(name) or Vassal(name=name)

    def set(self, vassal: Vassal) -> None:
        """Replace a record."""
        self.vassals[vassal.name] = vassal

    def name_token(self, token: str, name: str) -> None:
        """Remember that `token` is a master of the vassal `name`."""
        self._names[token] = name

    def forget_token(self, token: str) -> None:
        self._names.pop(token, None)

    def by_token(self, token: str) -> Vassal | None:
        """Return the vassal whose present master is `token`."""
        # Most are asked for by a master's message: a thousand starting ones send thousands.
        vassal = self.vassals.get(self._names.get(token, ""))
        return vassal if vassal is not None and vassal.token == token else None

    def by_successor(self, token: str) -> Vassal | None:
        """Return the vassal that `token` is the second master of."""
        vassal = self.vassals.get(self._names.get(token, ""))
        if vassal is None or vassal.successor is None or vassal.successor.token != token:
            return None
        return vassal

    def by_retiring(self, token: str) -> Vassal | None:
        """Return the vassal that `token` was a master of, and still finishes for."""
        vassal = self.vassals.get(self._names.get(token, ""))
        if vassal is None or all(master.token != token for master in vassal.retiring):
            return None
        return vassal

    def reload_failed(self, vassal: Vassal, failure: Failure) -> None:
        """A new generation was given up; the old one serves on."""
        self.set(advance(vassal, Fact.RELOAD_FAILED, time.monotonic(), last_failure=failure))
        fields = {"reason": failure.kind, "message": failure.message}
        self.publish("error", "reload_failed", vassal.name, fields)

    def lose(self, vassal: Vassal, failure: Failure, token: str | None) -> None:
        """A vassal ended unplanned. `token` None = its master is gone already."""
        now = time.monotonic()
        if not failure.at:
            failure = msgspec.structs.replace(failure, at=time.time())
        record = fail(vassal, failure, now, self.policy, random.random())
        record = msgspec.structs.replace(
            record,
            token=token,
            pid=record.pid if token else 0,
            restarts=record.restarts + 1,
            deadline=now + EXIT_PATIENCE_S if token else None,
        )
        self.set(record)
        fields = {
            "reason": failure.kind,
            "message": failure.message,
            "state": record.state.value,
            "retry_s": record.retry_at - now if record.retry_at is not None else None,
        }
        self.publish("error", "vassal_failed", vassal.name, fields)
