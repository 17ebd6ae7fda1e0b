"""A vassal with all its masters in a world where anything may happen between two decisions."""

import itertools

import msgspec

from emperor.core.reconcile import (
    Action,
    Desired,
    FallBack,
    ForgetVassal,
    GiveUpSuccessor,
    KillRetired,
    KillVassal,
    LimitVassal,
    ReloadVassal,
    SettleVassal,
    SleepVassal,
    StartVassal,
    StopVassal,
    SucceedVassal,
    decide,
    next_look,
)
from emperor.core.registry import (
    RUNNING,
    Fact,
    Successor,
    Vassal,
    advance,
    become_ready,
    can_stand_by,
    fail,
    fall_back,
    renamed,
    settle_until,
    succeed,
    take_place,
    without_retired,
    without_standby,
    without_successor,
)
from emperor.core.restarts import RestartPolicy
from emperor.status import VassalState
from vassal.failure import Failure

S = VassalState
CRASH = Failure(kind="crash", message="x")
BROKEN = Failure(kind="load", message="x")


class World:
    """The record of one vassal, and the masters that are really there.

    The hands of the emperor (`brain.deeds`) and what it hears (`brain.facts`), without the
    processes: what is done here to the record is what is done there.
    """

    def __init__(self) -> None:
        self.name = "x"
        self.vassal = Vassal(name=self.name)
        self.alive: set[str] = set()
        self.now = 0.0
        self.wanted: Desired | None = Desired(fingerprint="v0", birth="b0", limits="l0")
        self._tokens = (f"t{number}" for number in itertools.count())

    # ── what the emperor does ────────────────────────────────────────────────────────

    def obey(self) -> Action | None:
        action = decide(self.wanted, self.vassal, self.now)
        if action is None:
            return None
        wanted, vassal = self.wanted, self.vassal
        match action:
            case StartVassal():
                assert wanted is not None
                assert not self.alive - {one.token for one in vassal.retiring}
                self.vassal = advance(
                    vassal,
                    Fact.START_BEGAN,
                    self.now,
                    token=self._spawn(),
                    pid=1,
                    deadline=self.now + 40,
                    attempted=wanted.fingerprint,
                    attempted_birth=wanted.birth,
                    birth=wanted.birth,
                    limits=wanted.limits,
                    restart_serial=wanted.restart_serial,
                    outdated=False,
                )
                self.build(self.vassal.token)
            case SucceedVassal():
                assert wanted is not None
                self._drop_successor()
                successor = Successor(
                    token=self._spawn(),
                    birth=wanted.birth,
                    limits=wanted.limits,
                    deadline=self.now + 40,
                )
                self.vassal = advance(
                    self.vassal,
                    Fact.RELOAD_BEGAN,
                    self.now,
                    attempted=wanted.fingerprint,
                    attempted_birth=wanted.birth,
                    successor=successor,
                )
                self.build(successor.token)
            case ReloadVassal():
                assert wanted is not None
                self.vassal = advance(
                    vassal, Fact.RELOAD_BEGAN, self.now, attempted=wanted.fingerprint
                )
                self.build(vassal.token)
            case GiveUpSuccessor():
                self._give_up_successor()
            case FallBack():
                self._fall_back()
            case KillRetired(token=token):
                self.alive.discard(token)
                self.vassal = without_retired(vassal, token)
            case LimitVassal():
                assert wanted is not None
                self.vassal = msgspec.structs.replace(vassal, limits=wanted.limits)
            case StopVassal():
                self._drop_successor()
                if vassal.standby is not None:
                    self.say(vassal.standby.token, "stop")
                self.say(vassal.token, "stop")
                self.vassal = without_standby(self.vassal, self.now + 35)
                self.vassal = advance(
                    self.vassal, Fact.STOP_BEGAN, self.now, deadline=self.now + 35
                )
            case KillVassal():
                if vassal.state in RUNNING:
                    self.vassal = fail(vassal, CRASH, self.now, RestartPolicy(), 0.5)
                self._exit_of_master()
            case SleepVassal():
                assert wanted is not None
                assert not self.alive
                self.vassal = advance(
                    vassal,
                    Fact.FELL_ASLEEP,
                    self.now,
                    attempted=wanted.fingerprint,
                    restart_serial=wanted.restart_serial,
                )
            case SettleVassal():
                self.vassal = advance(vassal, Fact.SETTLED, self.now)
            case ForgetVassal():
                assert not self.alive
                self.forgotten()
                self.vassal = Vassal(name=self.name)
        return action

    def is_content(self) -> bool:
        """Whether nothing is to be done now, after all that has happened since."""
        return decide(self.wanted, self.vassal, self.now) is None

    def _spawn(self) -> str:
        token = next(self._tokens)
        self.alive.add(token)
        return token

    def say(self, token: str | None, order: str) -> None:
        """Tell a master something. Here only the record counts."""

    def build(self, token: str | None) -> None:
        """Tell a master to build what is wanted."""

    def forgotten(self) -> None:
        """Its file is gone, and so is all of it."""

    def _drop_successor(self) -> None:
        successor = self.vassal.successor
        if successor is not None:
            self.say(successor.token, "stop")
            self.vassal = without_successor(self.vassal, self.now + 10)

    def _give_up_successor(self) -> None:
        self._drop_successor()
        if self.vassal.replace_at is not None:
            self.vassal = msgspec.structs.replace(self.vassal, replace_at=self.now + 60)
        self.vassal = advance(self.vassal, Fact.RELOAD_FAILED, self.now, last_failure=CRASH)

    def _fall_back(self) -> None:
        assert self.vassal.standby is not None
        self.say(self.vassal.token, "stop")
        self.say(self.vassal.standby.token, "resume")
        self.vassal = fall_back(self.vassal, CRASH, self.now, self.now + 35)

    def _exit_of_master(self) -> None:
        vassal = self.vassal
        if vassal.token is None:
            return
        self.alive.discard(vassal.token)
        if vassal.standby is not None:
            self.vassal = msgspec.structs.replace(vassal, token=None)
            self._fall_back()
            return
        if vassal.state in RUNNING:
            record = fail(vassal, CRASH, self.now, RestartPolicy(), 0.5)
        else:
            record = advance(vassal, Fact.MASTER_GONE, self.now, serving=None)
            if record.state is S.STOPPED:
                record = msgspec.structs.replace(record, attempted=None)
        self.vassal = msgspec.structs.replace(record, token=None, pid=0, deadline=None)

    # ── what happens ─────────────────────────────────────────────────────────────────

    def happen(self, what: str) -> None:
        vassal, wanted = self.vassal, self.wanted
        if what == "obey":
            self.obey()
        elif what == "wait":
            self.now += 7.0
        elif what == "long wait":
            self.now += 200.0
        elif what == "the master dies":
            self._exit_of_master()
        elif what == "the successor dies" and vassal.successor is not None:
            token = vassal.successor.token
            self.alive.discard(token)
            self._give_up_successor()
            self.vassal = without_retired(self.vassal, token)
        elif what == "one that was replaced goes" and vassal.retiring:
            token = vassal.retiring[0].token
            self.alive.discard(token)
            self.vassal = without_retired(vassal, token)
        elif what == "ready":
            self._ready()
        elif what == "the successor serves" and vassal.successor is not None:
            self._second_serves()
        elif what == "the one that stands by dies" and vassal.standby is not None:
            self.alive.discard(vassal.standby.token)
            self.vassal = msgspec.structs.replace(vassal, standby=None)
        elif what == "it does not load" and vassal.state in {S.STARTING, S.RELOADING, S.READY}:
            self._does_not_load()
        elif what == "idle" and vassal.state is S.READY:
            self.vassal = msgspec.structs.replace(vassal, idle_at=self.now)
        elif what == "somebody connects" and vassal.state is S.DORMANT:
            self.vassal = msgspec.structs.replace(vassal, retry_at=self.now)
        elif what == "silence" and vassal.state in RUNNING and vassal.serving is not None:
            if vassal.replace_at is None:
                self.vassal = msgspec.structs.replace(vassal, replace_at=self.now)
        elif what == "our code is newer" and vassal.token is not None:
            self.vassal = msgspec.structs.replace(vassal, outdated=True)
        elif what == "it speaks" and vassal.successor is None:
            self.vassal = msgspec.structs.replace(vassal, replace_at=None)
        elif what == "the file goes":
            self.wanted = None
        elif what == "the file is renamed" and wanted is not None and wanted.run:
            if vassal.state in RUNNING and vassal.serving is not None:
                self._rename("y" if self.name == "x" else "x")
        elif what in EDITS:
            before = wanted or Desired(fingerprint="v0", birth="b0", limits="l0")
            self.wanted = msgspec.structs.replace(before, **EDITS[what](before))

    def _rename(self, new: str) -> None:
        assert self.wanted is not None
        serial = self.vassal.restart_serial
        self.name, self.vassal = new, renamed(self.vassal, new)
        self.wanted = msgspec.structs.replace(self.wanted, restart_serial=serial)

    def _ready(self) -> None:
        vassal = self.vassal
        if vassal.token is None or vassal.state not in RUNNING or vassal.successor is not None:
            return
        record = without_standby(vassal, self.now + 35)
        self.vassal = become_ready(record, self.what_serves(), self.now)

    def what_serves(self) -> str | None:
        """Return what the master says that it serves."""
        return self.vassal.attempted

    def _second_serves(self) -> None:
        vassal = self.vassal
        if can_stand_by(vassal):
            until = settle_until(self.now, 3.0)
            self.vassal = take_place(vassal, self.now, until, self.now + 35)
        else:
            self.vassal = succeed(vassal, vassal.attempted or "", self.now, self.now + 35)

    def _does_not_load(self) -> None:
        if self.vassal.successor is not None:
            self._give_up_successor()
        elif self.vassal.standby is not None:
            self._fall_back()
        elif self.vassal.serving is not None:
            self.vassal = advance(self.vassal, Fact.RELOAD_FAILED, self.now, last_failure=BROKEN)
        else:
            lost = fail(self.vassal, BROKEN, self.now, RestartPolicy(), 0.5)
            self.vassal = msgspec.structs.replace(lost, deadline=self.now + 5)

    def come_to_rest(self) -> None:
        """Let nothing go wrong any more, with a file that has not been tried yet."""
        self.happen("new code")
        self.happen("start")
        self.settle()

    def settle(self) -> None:
        """Let time pass until nothing is to be done any more."""
        for _ in range(40):
            action = self.obey()
            self.check()
            for what in ("the successor serves", "ready", "one that was replaced goes"):
                self.happen(what)
                self.check()
            if self.vassal.token is not None and self.vassal.state not in RUNNING:
                self.happen("the master dies")  # it was told to, or has said why it fails
            elif action is None and self.is_content():
                # Time passes to the next moment that matters, as the emperor's loop has it.
                at = next_look(self.vassal)
                if at is None:
                    break
                self.now = max(self.now, at)

    def check(self) -> None:
        """Every master that is there is known by one name, and no other is."""
        vassal = self.vassal
        known = [one.token for one in vassal.retiring]
        known += [vassal.token] if vassal.token is not None else []
        known += [one.token for one in (vassal.successor, vassal.standby) if one is not None]
        assert len(known) == len(set(known))
        assert set(known) == self.alive
        if vassal.state in RUNNING:
            assert vassal.token is not None


EDITS = {
    "edit": lambda wanted: {"fingerprint": f"v{int(wanted.fingerprint[1:]) + 1}"},
    "new code": lambda wanted: {"fingerprint": "v1000"},
    "back": lambda wanted: {"fingerprint": "v0"},
    "rebirth": lambda wanted: {"birth": f"b{int(wanted.birth[1:]) + 1}"},
    "limits": lambda wanted: {"limits": f"l{int(wanted.limits[1:]) + 1}"},
    "restart": lambda wanted: {"restart_serial": wanted.restart_serial + 1},
    "stop": lambda wanted: {"run": False},
    "start": lambda wanted: {"run": True},
    "on demand": lambda wanted: {"on_demand": True},
    "always": lambda wanted: {"on_demand": False},
}

HAPPENINGS = (
    "obey",
    "wait",
    "long wait",
    "the master dies",
    "the successor dies",
    "one that was replaced goes",
    "ready",
    "the successor serves",
    "the one that stands by dies",
    "it does not load",
    "idle",
    "somebody connects",
    "silence",
    "it speaks",
    "our code is newer",
    "the file goes",
    "the file is renamed",
    *(what for what in EDITS if what != "new code"),
)
