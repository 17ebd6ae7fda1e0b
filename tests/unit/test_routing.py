"""Links of hosts that an earlier emperor made, for vassals whose files may be unread."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain import routing
from emperor.brain.routing import Routing
from emperor.hosts import plan_hosts

SITE = SimpleNamespace(settings=SimpleNamespace(hosts=()))


class Scene:
    """A new brain's fleet: blog is known and unread, whose link, like one of nobody knows whom, is
    there."""

    def __init__(self, runtime_dir: Path) -> None:
        self.hosts = runtime_dir / "hosts"
        self.hosts.mkdir()
        for name in ("blog", "lost"):
            (self.hosts / f"{name}.example.sock").symlink_to(f"/run/{name}.sock")
        self.wishes: dict[str, Any] = {"blog": SimpleNamespace(spec=None)}
        held = {"unix:/run/blog.sock": "blog"}
        self.listeners = SimpleNamespace(unclaimed=1, holder_of=lambda key: held.get(key, ""))
        self.plans = 0
        fleet: Any = SimpleNamespace(wishes=self.wishes, listeners=self.listeners)
        self.routing = Routing(str(runtime_dir), fleet, lambda *_: None)

    def plan(self, *arguments: Any) -> Any:
        self.plans += 1
        return plan_hosts(*arguments)

    @property
    def links(self) -> list[str]:
        return sorted(name.partition(".")[0] for name in os.listdir(self.hosts))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    monkeypatch.setattr(routing, "plan_hosts", scene.plan)
    scene.routing.update(["blog", "shop"])
    assert scene.links == ["blog", "lost"]
    yield scene
    scene.routing.close()


def test_links_of_unread_vassals_are_not_gone_through_at_each_look(scene: Scene) -> None:
    for names in (["shop"], ["blog"], ["blog", "shop"], []):
        scene.routing.update(names)
    assert scene.plans == 1


@pytest.mark.parametrize("how", ["it was read", "it is gone"])
def test_link_that_its_vassal_does_not_want_goes_when_that_is_known(scene: Scene, how: str) -> None:
    if how == "it was read":
        scene.wishes["blog"] = SimpleNamespace(spec=SITE)
    else:
        del scene.wishes["blog"]
    scene.routing.update(["shop"])
    assert scene.links == ["blog", "lost"]  # this look was not at it
    scene.routing.update(["blog"])
    assert scene.links == ["lost"]


def test_link_goes_when_the_last_socket_has_a_vassal(scene: Scene) -> None:
    scene.listeners.unclaimed = 0
    scene.routing.update(["shop"])
    assert scene.links == ["blog"]
    scene.routing.update(["shop"])
    assert scene.plans == 2
