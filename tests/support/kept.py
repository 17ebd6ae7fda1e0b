"""The brain's accounts of cgroups and sockets, over names in place of directories and sockets."""

from collections.abc import Mapping

from emperor.brain.cgroups import Cgroups
from emperor.brain.listeners import Listeners
from emperor.core.attempts import Fresh
from limits.cgroups.writes import CgroupPlan


class Tree:
    """Cgroups by their paths, with the masters in them."""

    def __init__(self) -> None:
        self.inside: dict[str, set[str]] = {}
        self.killed: set[str] = set()

    def create(self, path: str, *_: object) -> list[str]:
        self.inside.setdefault(path, set())
        return []

    def has_app(self, path: str) -> bool:
        return path in self.inside

    def apps(self) -> list[str]:
        return list(self.inside)

    def kill(self, path: str) -> None:
        self.killed |= self.inside.get(path, set())

    def is_populated(self, path: str) -> bool:
        return bool(self.inside.get(path))

    def remove(self, path: str) -> bool:
        return self.inside.pop(path, None) is not None

    def orphans(self, wanted: set[str]) -> list[str]:
        return [path for path in self.inside if path not in wanted]


class Kept(Cgroups):
    """One brain's account of the cgroups, over a tree that outlives it."""

    def __init__(self, tree: Tree) -> None:
        self._tree, self._watch = tree, None  # type: ignore[assignment]
        self._slices, self._problem = {}, lambda *_: None
        self._paths, self._of_masters, self._failed, self._leaving = {}, {}, {}, set()
        self._filters = {}

    def plan(self, limits: object) -> CgroupPlan:
        return CgroupPlan(writes=(), unsupported=())

    def _filter_egress(self, *_: object) -> list[str]:
        return []

    def _set_quota(self, *_: object) -> None:
        pass

    def _open(self, path: str) -> tuple[tuple[str, ...], list[int]]:
        return (), []


class Socket:
    """As much of a bound socket as is asked of one."""

    def listen(self, backlog: int) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


class Ports(Listeners):
    """One brain's account of the sockets; `held` is the spawner's, by key whose they are, and
    `attempts` is what it keeps of them: both outlive it."""

    def __init__(
        self, held: dict[str, str], attempts: dict[str, Mapping[str, frozenset[str]]]
    ) -> None:
        def keep(current: Fresh) -> None:
            attempts.clear()
            attempts.update(current)

        super().__init__(
            hold=lambda key, vassal, fd: held.update({key: vassal}),
            drop=lambda key: held.pop(key, None),
            keep=keep,
            is_wanted=lambda vassal: True,
            is_known=lambda vassal: True,
            asks=lambda vassal, key: False,
            leaves=lambda vassal, key: False,
            freed=lambda vassal: None,
            lives=lambda token: True,
            wanting=lambda key, uid, refused: (),
        )
        for key, holder in tuple(held.items()):
            self.adopt(key, holder, -1)
        self.restore(attempts)
