"""Keeps the links RUNTIME_DIR/hosts/HOST.sock true to what the fleet serves."""

from collections.abc import Iterable
from pathlib import Path

from emperor.brain.fleet import Fleet
from emperor.brain.roll import Publish
from emperor.config.settings import VassalSettings
from emperor.hosts import Claim, HostLinks, RemoveLink, SetLink, plan_hosts


class Routing:
    """Owns the folder of links while the emperor runs."""

    def __init__(self, runtime_dir: str, fleet: Fleet, publish: Publish) -> None:
        self._links = HostLinks(str(Path(runtime_dir) / "hosts"))
        self._fleet = fleet
        self._publish = publish
        self._existing = self._links.read()
        self._holders: dict[str, str] = {}
        self._claims: dict[str, list[Claim]] = {}  # of those that have any
        self._refused: dict[tuple[str, str], str] = {}  # why, by host and vassal
        # Links of an earlier emperor's that stay for now, by who may want them; "" = nobody knows.
        self._spared: dict[str, list[str]] = {"": []}
        self._unclaimed = -1

    def update(self, names: Iterable[str]) -> None:
        """Bring the links up to date with what these vassals want now."""
        names = tuple(names)
        changed = [name for name in names if self._claims.get(name, []) != self._claims_of(name)]
        if not changed and not self._may_go(names):
            return
        for name in changed:
            self._claims[name] = self._claims_of(name)
            if not self._claims[name]:
                del self._claims[name]
        claims = [claim for name in sorted(self._claims) for claim in self._claims[name]]
        plan = plan_hosts(claims, self._existing, self._holders)
        due = self._without_unread_ones(plan.actions)
        for problem in self._links.apply(due):
            self._publish("error", "host_not_linked", None, {"error": problem})
        self._existing = self._links.read()
        self._holders = dict(plan.holders)
        refused = {(one.host, one.vassal): str(one) for one in plan.conflicts}
        for conflict in plan.conflicts:
            if (conflict.host, conflict.vassal) not in self._refused:
                self._publish("error", "host_refused", conflict.vassal, {"error": str(conflict)})
        self._refused = refused

    def _without_unread_ones(
        self, actions: Iterable[SetLink | RemoveLink]
    ) -> list[SetLink | RemoveLink]:
        """Leave out the links that are to go, were made by an earlier emperor, and may be wanted by
        a vassal whose file could not be read yet."""
        due = []
        self._spared, self._unclaimed = {}, self._fleet.listeners.unclaimed
        for action in actions:
            is_ours = isinstance(action, SetLink) or action.host in self._holders
            holder = None if is_ours else self._may_be_unread_ones(action.host)
            if holder is None:
                due.append(action)
            else:
                self._spared.setdefault(holder, []).append(action.host)
        return due

    def _may_be_unread_ones(self, host: str) -> str | None:
        """Return whose a link may be whose file could not be read yet, "" = it is not known; None =
        nobody's."""
        listeners = self._fleet.listeners
        holder = listeners.holder_of(f"unix:{self._existing.get(host)}")
        if not holder:
            return "" if listeners.unclaimed else None
        wish = self._fleet.wishes.get(holder)
        return holder if wish is not None and wish.spec is None else None

    def _may_go(self, names: Iterable[str]) -> bool:
        """Return whether a link that was spared may be nobody's now, after a look at these vassals.

        Asked at every look, it looks at no others.
        """
        if self._spared.get("") is not None and self._unclaimed != self._fleet.listeners.unclaimed:
            return True
        spared = (host for name in names for host in self._spared.get(name, ()))
        return any(self._may_be_unread_ones(host) is None for host in spared)

    def _claims_of(self, name: str) -> list[Claim]:
        wish = self._fleet.wishes.get(name)
        return claims_of(wish.spec.settings) if wish is not None and wish.spec is not None else []

    def refusals_of(self, vassal: str) -> dict[str, str]:
        """Return why which hosts were refused to `vassal`."""
        return {host: why for (host, name), why in self._refused.items() if name == vassal}

    def close(self) -> None:
        self._links.close()


def claims_of(settings: VassalSettings) -> list[Claim]:
    """Return a vassal's claims: its hosts, all to one unix socket, a uwsgi one if it has it."""
    if not settings.hosts:
        return []
    sockets = [address for address in settings.listen if address.file is not None]
    sockets.sort(key=lambda address: address.protocol != "uwsgi")
    if not sockets:
        return []
    path = sockets[0].file or ""
    return [Claim(host, settings.name, path) for host in settings.hosts]
