"""Hears what a vassal asks for itself, through its master, and grants what is its to ask."""

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.masters import Masters
from emperor.brain.roll import Roll
from emperor.core.registry import RUNNING, Vassal
from emperor.status import VassalState
from vassal.messages import AskForReload, AskForRestart, AskForWorkers, GrantWorkers, Told

TOLD_MAX = 80
"""Characters of a master's word on what it was told."""

Petition = AskForReload | AskForRestart | AskForWorkers | Told


class Petitions:
    """Turns petitions into wishes; the next look does the rest."""

    def __init__(self, roll: Roll, masters: Masters, allotments: Allotments) -> None:
        self._roll = roll
        self._masters = masters
        self._allotments = allotments

    def hear(self, vassal: Vassal, token: str, petition: Petition) -> None:
        """Take in what the present master of `vassal` asks for, or tells."""
        match petition:
            case AskForWorkers(workers=workers):
                self._on_workers(vassal, token, workers)
            case AskForReload(by=by):
                self._on_reload(vassal, by[:TOLD_MAX])
            case AskForRestart(by=by):
                self._on_restart(vassal, by[:TOLD_MAX])
            case Told(what=what, by=by):
                told = {"what": what[:TOLD_MAX], "by": by[:TOLD_MAX]}
                self._roll.publish("info", "master_told", vassal.name, told)

    def _on_workers(self, vassal: Vassal, token: str, workers: int) -> None:
        wish = self._roll.wishes.get(vassal.name)
        if wish is not None and wish.spec is not None:
            grant = self._allotments.on_asked(wish.spec, workers)
            self._masters.send(token, GrantWorkers(workers=grant.workers, why=grant.why))

    def _on_reload(self, vassal: Vassal, by: str) -> None:
        """An application is not heard while it is being replaced; who changed the code is."""
        wish = self._roll.wishes.get(vassal.name)
        heard = {VassalState.READY, VassalState.RELOADING} if by else {VassalState.READY}
        if wish is not None and vassal.state in heard:
            fields = {"by": by or "the application"}
            self._roll.publish("info", "reload_asked_for", vassal.name, fields)
            serial = wish.reload_serial + 1
            self._roll.wish(vassal.name, msgspec.structs.replace(wish, reload_serial=serial))

    def _on_restart(self, vassal: Vassal, by: str) -> None:
        wish = self._roll.wishes.get(vassal.name)
        if wish is not None and wish.run and vassal.state in RUNNING:
            self._roll.publish("info", "restart_asked_for", vassal.name, {"by": by})
            renewed = msgspec.structs.replace(
                wish,
                restart_serial=wish.restart_serial + 1,
                reload_serial=wish.reload_serial + 1,
            )
            self._roll.wish(vassal.name, renewed)
