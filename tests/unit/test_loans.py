"""An address that one vassal leaves, and at which another is to serve."""

from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain.binding import Bound
from emperor.brain.listeners import ListenError, Listeners
from tests.support.kept import Socket

ONE = SimpleNamespace(uid=7, gid=7)
OTHER = SimpleNamespace(uid=8, gid=8)


class Ports(Listeners):
    """Sockets that are names. `leaving` are those that are left; `freed` is who was told."""

    def __init__(self) -> None:
        self.leaving: set[str] = set()
        self.open: set[str] = set()
        self.freed: list[str] = []
        self.wanting: dict[str, str] = {}  # by key, whose file asks for it as ONE
        super().__init__(
            hold=lambda key, vassal, fd: self.open.add(key),
            drop=self.open.discard,
            keep=lambda attempts: None,
            is_wanted=lambda vassal: True,
            is_known=lambda vassal: True,
            asks=lambda vassal, key: key not in self.leaving,
            leaves=lambda vassal, key: key in self.leaving,
            freed=self.freed.append,
            lives=lambda token: True,
            wanting=lambda key, uid, refused: [self.wanting[key]] if key in self.wanting else [],
        )

    def want(
        self, vassal: str, attempt: str, *keys: str, user: Any = ONE, beside: bool = True
    ) -> None:
        settings = _settings(vassal, *keys)
        self.prepare(settings, user, settings.addresses, attempt, beside)

    def settle(self, vassal: str, attempt: str, *keys: str) -> None:
        self.settled(vassal, attempt)
        self.serves(_settings(vassal, *keys), ONE)  # type: ignore[arg-type]


def _settings(vassal: str, *keys: str) -> Any:
    addresses = tuple(SimpleNamespace(key=key, url=key, file=None) for key in keys)
    return SimpleNamespace(name=vassal, backlog=1, socket=None, addresses=addresses)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    """Let blog serve at one, and shop at two."""
    monkeypatch.setattr("emperor.brain.sockets.bind", lambda *_: Bound(Socket()))
    ports = Ports()
    ports.want("blog", "b1", "one", beside=False)
    ports.want("shop", "s1", "two", beside=False)
    return ports


def test_who_leaves_lets_another_of_its_user_serve_beside_it(ports: Ports) -> None:
    ports.leaving.add("two")
    ports.want("blog", "b2", "two")
    assert ports.loans() == [("blog", "two", "shop")]
    assert ports.holders == {"one": "blog", "two": "shop"}


@pytest.mark.parametrize("how", ["it stays", "another user", "a start", "lent already"])
def test_nobody_else_is_let_in(ports: Ports, how: str) -> None:
    if how != "it stays":
        ports.leaving.add("two")
    if how == "lent already":
        ports.want("third", "t1", "three", beside=False)
        ports.want("third", "t2", "two")
    user = OTHER if how == "another user" else ONE
    with pytest.raises(ListenError, match="vassal shop listens there already"):
        ports.want("blog", "b2", "two", user=user, beside=how != "a start")
    ports.keep_only("shop", set())
    assert ports.freed == ["blog"]


def test_who_has_settled_has_what_was_lent(ports: Ports) -> None:
    ports.leaving |= {"one", "two"}
    ports.want("blog", "b2", "two")
    ports.want("shop", "s2", "one")
    ports.settle("blog", "b2", "two")
    assert ports.holders == {"one": "shop", "two": "blog"}
    ports.settle("shop", "s2", "one")
    assert ports.holders == {"one": "shop", "two": "blog"}
    assert ports.open == {"one", "two"}
    assert ports.loans() == []


def test_what_is_lent_is_not_closed_when_its_holder_has_left(ports: Ports) -> None:
    ports.leaving.add("two")
    ports.want("blog", "b2", "two")
    ports.want("shop", "s2", "three")
    ports.settle("shop", "s2", "three")
    assert ports.holders == {"one": "blog", "two": "blog", "three": "shop"}
    ports.give_back("blog", "b2")  # nobody serves there any more
    assert ports.open == {"one", "three"}


def test_failed_borrower_leaves_it_to_its_holder(ports: Ports) -> None:
    ports.leaving.add("two")
    ports.want("blog", "b2", "two", "four")
    ports.give_back("blog", "b2")
    assert ports.holders == {"one": "blog", "two": "shop"}
    assert ports.open == {"one", "two"}
    assert ports.loans() == []


def test_who_is_about_to_serve_inherits_the_socket_with_its_queue(ports: Ports) -> None:
    ports.wanting["two"] = "blog"
    ports.keep_only("shop", set())
    assert ports.holders["two"] == "blog"
    assert ports.open == {"one", "two"}


def test_heir_that_wants_the_address_no_more_before_it_serves_there_has_it_closed(
    ports: Ports,
) -> None:
    ports.wanting["two"] = "blog"
    ports.keep_only("shop", set())
    ports.offer("blog")
    assert ports.open == {"one", "two"}
    ports.leaving |= {"one", "two"}
    ports.offer("blog")
    assert ports.open == {"one"}  # what it serves at stays until something else serves
    assert not ports.has_fresh("blog")


@pytest.mark.parametrize("is_left", [True, False])
def test_heir_whose_file_has_changed_when_no_brain_ran(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, is_left: bool
) -> None:
    monkeypatch.setattr("emperor.brain.sockets.socket.socket", lambda fileno: Socket())
    ports.wanting["two"] = "blog"
    ports.keep_only("shop", set())
    new = Ports()
    new.restore(ports._attempts._fresh)
    if is_left:
        new.leaving.add("two")
    new.offer("blog")  # its file is read before the brain has what is held
    for key in ("one", "two"):
        new.adopt(key, "blog", -1)
        new.open.add(key)
    new.claim("blog", None)
    new.retain("blog", set())
    assert new.open == ({"one"} if is_left else {"one", "two"})


def test_who_still_runs_as_another_user_inherits_nothing(ports: Ports) -> None:
    ports.want("blog", "b2", "one", user=OTHER)
    ports.wanting["two"] = "blog"
    ports.keep_only("shop", set())
    assert ports.open == {"one"}


def test_what_an_earlier_emperor_held_is_not_taken_from_who_has_it_by_now(ports: Ports) -> None:
    ports._earlier["gone"] = {"one", "closed since"}
    ports.rename("gone", "new")
    assert ports.holders == {"one": "blog", "two": "shop"}
