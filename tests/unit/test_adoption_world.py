"""The brain dies between any two steps, and the next one makes what is wanted of what it finds.

The world of test_reconcile_world, in which every master is one with orders that have arrived or
not, in cgroups that are kept by the real `brain.cgroups` and
`brain.listeners`, over names in place of directories and sockets.
"""

import copy
from collections.abc import Mapping
from itertools import chain
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emperor.brain.binding import Bound
from emperor.brain.birth import NO_CGROUP
from emperor.core.adoption import Duty, Found, Patience, adopt, outcome
from emperor.core.attempts import attempt_of
from emperor.core.reconcile import Action, SleepVassal, StartVassal, decide
from emperor.core.registry import Vassal, birth_under, can_stand_by
from emperor.status import VassalState
from limits.cgroups.names import app_path
from tests.support.kept import Kept, Ports, Socket, Tree
from tests.support.world import HAPPENINGS, World

S = VassalState
SERVES = (Duty.SERVING, Duty.SETTLING)


class Master:
    """What a master really does, and what it was told and has not read yet."""

    def __init__(self, token: str, name: str, birth: str, restart_serial: int) -> None:
        self.token, self.birth, self.restart_serial = token, birth, restart_serial
        self.born_as = name
        self.orders: list[tuple[str, ...]] = []
        self.serving: str | None = None
        self.building: str | None = None
        self.newest = self.number = 0
        self.beside = self.settling = self.stands_by = self.ending = self.outdated = False

    def read(self) -> None:
        for order, *words in self.orders:
            if order == "stop":
                self.ending, self.building = True, None
            elif order == "stand by":
                self.building = None
                self.settling = False
                self.stands_by = self.serving is not None
            elif order == "resume":
                self.stands_by = False
            elif not self.ending and int(words[1]) > self.newest:
                self.building, self.newest = words[0], int(words[1])
                self.beside = words[2] == "beside"
        self.orders.clear()

    def accept(self) -> None:
        """What was being built serves."""
        self.serving, self.building, self.settling = self.building, None, self.beside
        self.number = self.newest

    @property
    def duty(self) -> Duty:
        if self.ending:
            return Duty.ENDING
        if self.serving is None:
            return Duty.BUILDING
        if self.stands_by:
            return Duty.STANDING_BY
        return Duty.SETTLING if self.settling else Duty.SERVING

    def describe(self, name: str) -> Found:
        return Found(
            token=self.token,
            pid=1,
            birth=birth_under(name, self.born_as, self.birth) or "",
            duty=self.duty,
            fingerprint=self.serving or self.building or "",
            number=self.number if self.serving else self.newest,
            newest=self.newest,
            building=self.newest if self.building else 0,
            restart_serial=self.restart_serial,
            settle_s=3.0 if self.settling else 0.0,
            outdated=self.outdated,
        )


class TrueWorld(World):
    """A world with masters that do what they are told when they read it."""

    def __init__(self) -> None:
        super().__init__()
        self.masters: dict[str, Master] = {}
        self.tree = Tree()
        self.cgroups = Kept(self.tree)
        self.held: dict[str, str] = {}
        self.attempts: dict[str, Mapping[str, frozenset[str]]] = {}
        self.listeners = Ports(self.held, self.attempts)
        self.asked = ""  # who is to describe itself

    def spec(self):
        assert self.wanted is not None
        key = port_of(self.wanted.fingerprint or "")
        address = SimpleNamespace(key=key, url=key, file=None)
        settings = SimpleNamespace(
            name=self.name, limits=None, sandbox=None, backlog=1, socket=None, addresses=(address,)
        )
        customer = f"c{int(self.wanted.birth[1:]) % 2}"
        subject = SimpleNamespace(customer=customer)
        return SimpleNamespace(settings=settings, subject=subject, identity=ROOT, cgroup=NO_CGROUP)

    def _bind(self, attempt: str) -> None:
        settings = self.spec().settings
        self.listeners.prepare(settings, ROOT, settings.addresses, attempt)

    def obey(self) -> Action | None:
        due = decide(self.wanted, self.vassal, self.now)
        if isinstance(due, StartVassal) and not self.vassal.retiring:
            self._unbind()
        action = super().obey()
        if isinstance(action, SleepVassal):
            self._bind("")
            self._unbind()
        return action

    def _unbind(self) -> None:
        self.listeners.keep_only(self.name, {one.key for one in self.spec().settings.addresses})

    def _spawn(self) -> str:
        token = super()._spawn()
        self._bind(token)
        assert self.wanted is not None
        self.masters[token] = Master(
            token, self.name, self.wanted.birth, self.wanted.restart_serial
        )
        self.cgroups.prepare(self.spec(), token)
        self.tree.inside[self.cgroups.path_of(token)].add(token)
        return token

    def say(self, token: str | None, order: str) -> None:
        if token in self.masters:
            self.masters[token].orders.append((order,))

    def build(self, token: str | None) -> None:
        vassal = self.vassal
        assert self.wanted is not None
        assert self.wanted.fingerprint is not None
        assert token is not None
        self.vassal = msgspec.structs.replace(vassal, generation=vassal.generation + 1)
        is_second = vassal.successor is not None and vassal.successor.token == token
        how = "beside" if is_second and can_stand_by(vassal) else "alone"
        number = str(self.vassal.generation)
        self._bind(attempt_of(token, int(number)))
        self.masters[token].orders.append(("build", self.wanted.fingerprint, number, how))

    def forgotten(self) -> None:
        self.cgroups.forget(self.name)
        self.listeners.forget(self.name)

    def _drop_successor(self) -> None:
        dropped = self.vassal.successor
        super()._drop_successor()
        if dropped is not None:
            self._give_back(dropped.token)

    def _give_back(self, token: str) -> None:
        """It was told to stop before addresses are closed, and what is told it reads, whoever has
        died."""
        if token in self.masters:
            self.masters[token].read()
        self.listeners.give_back(self.name, token)

    def _give_up_successor(self) -> None:
        super()._give_up_successor()
        self.cgroups.serves_on(self.name, self.vassal.token)

    def _exit_of_master(self) -> None:
        if self.vassal.token is not None and self.vassal.standby is not None:
            self.listeners.give_back(self.name, self.vassal.token)
        super()._exit_of_master()

    def _fall_back(self) -> None:
        failed = self.vassal.token
        super()._fall_back()
        if failed is not None:
            self._give_back(failed)
        self.asked = self.vassal.token or ""
        self.cgroups.serves_on(self.name, self.vassal.token)

    def _does_not_load(self) -> None:
        master = None if self.vassal.successor else self.masters.get(self.vassal.token or "")
        super()._does_not_load()
        if master is not None and self.vassal.state is S.READY:
            self.listeners.give_back(self.name, attempt_of(master.token, master.newest))

    def check_doors(self) -> None:
        """Clients of what serves find it: its sockets are not closed, nor their files removed."""
        master = self.masters.get(self.vassal.token or "")
        serves = master is not None and master.duty in SERVES and self.vassal.state in DOORS_OPEN
        if master is not None and serves:
            assert port_of(master.serving or "") in self.held
            if self._is_at_rest(master):
                assert list(self.held) == [port_of(master.serving or "")]

    def _is_at_rest(self, master: Master) -> bool:
        """Whether nothing is on its way, and nothing was left of what has failed."""
        vassal, alone = self.vassal, self.alive == {self.vassal.token}
        tried = self.wanted is not None and self.wanted.fingerprint == vassal.attempted
        said = vassal.serving == master.serving and not master.orders and not master.building
        is_quiet = said and not self.asked and not master.settling
        return alone and tried and is_quiet and vassal.state is S.READY

    def _rename(self, new: str) -> None:
        self.listeners.rename(self.name, new)
        self.cgroups.rename(self.name, new)
        super()._rename(new)

    def _second_serves(self) -> None:
        vassal = self.vassal
        first = vassal.token
        stands_by = vassal.standby.token if vassal.standby is not None else None
        self.say(stands_by, "stop")
        self.say(first, "stand by" if can_stand_by(vassal) else "stop")
        super()._second_serves()

    # ── what happens ─────────────────────────────────────────────────────────────────

    def happen(self, what: str) -> None:
        if what.startswith("the brain dies"):
            self._die(what.removeprefix("the brain dies, and its last orders "))
        elif what == "all is read":
            for master in self.masters.values():
                master.read()
        elif self._is_true(what):
            super().happen(what)
        self._bury()
        self._hear()

    def _hear(self) -> None:
        """Who was asked describes itself when it has read what it was told before."""
        master, vassal = self.masters.get(self.asked), self.vassal
        if master is not None and master.orders:
            return
        if master is not None and master.token == vassal.token and master.duty in SERVES:
            found = outcome(master.describe(self.name))
            if vassal.standby is None and vassal.state in DOORS_OPEN:
                for attempt in found.settled:
                    self.listeners.settled(self.name, attempt)
                newest = attempt_of(master.token, master.newest)
                self.listeners.give_back(self.name, newest, but=found.under_way)
        self.asked = ""

    def _is_true(self, what: str) -> bool:
        """Let masters do what is said of them; return False where it cannot be."""
        vassal = self.vassal
        token = vassal.token
        if what == "the successor serves" and vassal.successor is not None:
            token = vassal.successor.token
        if what not in ("ready", "the successor serves", "it does not load", "our code is newer"):
            return True
        master = self.masters.get(token or "")
        if master is None:
            return False
        if what == "our code is newer":
            master.outdated = True
            return True
        if what == "it does not load":
            # Who serves already serves on; what is told of it ends with what it was told before.
            failing = self.masters[vassal.successor.token] if vassal.successor else master
            failing.read()
            failing.building = None
            has_not_settled = vassal.standby is not None and not vassal.successor
            failing.ending |= failing.serving is None or has_not_settled
            return True
        master.read()
        if master.ending or (vassal.successor is not None and what == "ready"):
            return False
        if master.building is not None:
            master.accept()
            return what == "the successor serves" or not master.settling or self._settled(master)
        return what == "ready" and master.serving is not None and self._settled(master)

    def _settled(self, master: Master) -> bool:
        master.settling = False
        return not master.stands_by

    def _ready(self) -> None:
        standby = self.vassal.standby
        super()._ready()
        if standby is not None and self.vassal.standby is None and standby.token in self.masters:
            # It is told before addresses are closed, and what is told it reads, whoever has died.
            self.say(standby.token, "stop")
            self.masters[standby.token].read()
        master = self.masters.get(self.vassal.token or "")
        if master is not None and self.vassal.state is S.READY:
            self.listeners.settled(self.name, attempt_of(master.token, master.number))
            if self.wanted is not None and self.wanted.fingerprint == master.serving:
                self._unbind()

    def what_serves(self) -> str | None:
        """Return what the master serves, whatever was tried last."""
        return self.masters[self.vassal.token or ""].serving

    def _bury(self) -> None:
        for token in [token for token in self.masters if token not in self.alive]:
            del self.masters[token]
            if token != self.vassal.token:
                self.listeners.give_back(self.name, token)
            for inside in self.tree.inside.values():
                inside.discard(token)
            self.cgroups.released(token)
        # Nobody is killed for the sake of a cgroup who was not to go anyway.
        for token in self.tree.killed & self.alive:
            assert token != self.vassal.token
        self.tree.killed.clear()
        self.cgroups.sweep()

    def _die(self, arrived: str) -> None:
        """The record is lost, and made anew of what the masters do."""
        for at, master in enumerate(self.masters.values()):
            if ARRIVAL[arrived](at, len(self.masters)):
                master.read()
            master.orders.clear()
        self.cgroups, self.listeners = Kept(self.tree), Ports(self.held, self.attempts)
        for master in self.masters.values():
            if master.born_as != self.name and self.wanted is not None:
                self.listeners.rename(master.born_as, self.name)
        paths = {token: path for path, tokens in self.tree.inside.items() for token in tokens}
        for token in self.masters:
            self.cgroups.adopt(self.name, token, paths[token])
        self.vassal, self.asked = Vassal(name=self.name), ""
        if self.masters or self.wanted is not None:
            self.listeners.claim(self.name, self.spec() if self.wanted is not None else None)
        if self.masters:
            self._adopt()
        else:
            self.listeners.retain(self.name, frozenset())
        self.listeners.close_unclaimed(all_known=True)
        self.cgroups.remove_orphans([self.spec()] if self.wanted is not None else [])

    def _adopt(self) -> None:
        found = [master.describe(self.name) for master in self.masters.values()]
        adopted = adopt(self.name, found, self.now, Patience(120.0, 35.0))
        self.vassal = adopted.record
        self.cgroups.serves_on(self.name, adopted.record.token)
        for attempt in adopted.outcome.settled:
            self.listeners.settled(self.name, attempt)
        self.listeners.retain(self.name, adopted.outcome.under_way)
        if self.wanted is not None and adopted.record.standby is None:
            is_wanted = adopted.record.serving == self.wanted.fingerprint
            if is_wanted and not self.listeners.has_fresh(self.name):
                self._unbind()
        for token in (adopted.stand_by, adopted.resume, *adopted.stop):
            order = "stop" if token in adopted.stop else "resume"
            self.say(token, "stand by" if token == adopted.stand_by else order)
        # When all have read what they were told, who could serve does, and nobody beside it.
        after = copy.deepcopy(self.masters)
        for master in after.values():
            master.read()
        serving = [token for token, master in after.items() if master.duty in SERVES]
        could = any(one.duty in (*SERVES, Duty.STANDING_BY) for one in found)
        assert serving == ([self.vassal.token] if could else [])
        if self.wanted is not None:
            serial = adopted.current.restart_serial
            self.wanted = msgspec.structs.replace(self.wanted, restart_serial=serial)


def port_of(fingerprint: str) -> str:
    """Return the key of the socket that a version of the file asks for: others in turn."""
    return f"tcp:{int(fingerprint[1:] or 0) % 2}"


DOORS_OPEN = frozenset({S.READY, S.RELOADING})
ROOT = SimpleNamespace(uid=0, gid=0)
ARRIVAL = {
    "have arrived": lambda at, count: True,
    "are lost": lambda at, count: False,
    "reached the oldest": lambda at, count: at == 0,
    "reached the newest": lambda at, count: at == count - 1,
}
DEATHS = [f"the brain dies, and its last orders {how}" for how in ARRIVAL]

STORIES = (
    ("obey", "ready"),
    ("rebirth", "obey"),
    ("rebirth", "obey", "the successor serves"),
    ("the successor serves", "all is read", "the master dies"),
    ("silence", "obey", "the successor serves"),
    ("edit", "obey", "ready"),
    ("edit", "obey", "it does not load"),
    ("obey", "it does not load"),
    ("the file is renamed", "obey"),
)
"""What leads somewhere; one happening after another by chance seldom does."""


@settings(max_examples=600, deadline=None)
@example([*STORIES[:1], *STORIES[2:4], (DEATHS[1],)])
@example([("obey", "ready", "edit", "obey", DEATHS[0], "obey", "obey", "it does not load")])
@example([*STORIES[:1], *STORIES[6:7], *STORIES[1:2], *STORIES[3:4], ("obey", "ready")])
@example([("obey", "ready", "edit", "obey", "edit", "edit", "obey", "it does not load")])
@example([("obey", "ready", "edit", "obey"), STORIES[2], ("the master dies", "all is read")])
@example([("obey", "edit", "obey", "the successor serves", DEATHS[0])])
@example(
    [("obey", "ready", "edit", "obey", "it does not load")]
    + [STORIES[2], ("long wait", "obey", "ready", DEATHS[1])]
)
@example([*STORIES[:1], STORIES[6], STORIES[2], STORIES[2], (DEATHS[0],), STORIES[3], STORIES[0]])
@example(
    [*STORIES[:1], STORIES[6], (DEATHS[0], "obey", "ready", "obey", "back"), (DEATHS[0], "ready")]
)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(STORIES),
            st.sampled_from([("obey",), ("all is read",)]),
            st.sampled_from([(what,) for what in HAPPENINGS]),
            st.sampled_from([(what,) for what in DEATHS]),
        ),
        max_size=50,
    )
)
def test_brain_that_dies_between_two_steps_loses_no_vassal_and_leaves_none_behind(
    stories: list[tuple[str, ...]],
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("emperor.brain.sockets.bind", lambda *_: Bound(Socket()))
        patched.setattr("socket.socket", lambda fileno: Socket())
        live(stories)


def live(stories: list[tuple[str, ...]]) -> None:
    """Let the stories happen, one behind the other, then let all come to rest."""
    world = TrueWorld()
    for what in chain.from_iterable(stories):
        world.happen(what)
        world.check()
        world.check_doors()
    world.come_to_rest()
    wanted, vassal = world.wanted, world.vassal
    assert wanted is not None
    assert world.is_content()
    assert len(world.tree.inside) <= 1
    if vassal.state is S.DORMANT:
        assert not world.alive
    else:
        assert vassal.state is S.READY, vassal
        assert world.alive == {vassal.token}
        master = world.masters[vassal.token or ""]
        master.read()
        assert (master.born_as, master.duty, master.serving, master.birth) == (
            world.name,
            Duty.SERVING,
            wanted.fingerprint,
            wanted.birth,
        )
        assert list(world.tree.inside) == [app_path(world.spec().subject.customer, world.name)]
    assert world.held == {port_of(wanted.fingerprint or ""): world.name}
    world.happen("the file goes")
    world.settle()
    assert not world.alive
    assert not world.held
    assert not world.tree.inside
