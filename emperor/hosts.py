"""Keeps RUNTIME_DIR/hosts/HOST.sock pointing at the socket of the vassal that serves HOST.

One nginx block with `uwsgi_pass unix:RUNTIME_DIR/hosts/$host.sock` then reaches every
vassal without a reload. `plan_hosts` is pure; `HostLinks` does what it says. A link is
replaced by rename, so there is no moment without it, and no link is ever followed.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from emperor.config.network import host_name
from emperor.config.problems import Invalid

_SUFFIX = ".sock"
_NEW = ".new-"


@dataclass(frozen=True)
class Claim:
    """A vassal that wants to serve `host` on the unix socket at `socket_path`."""

    host: str
    vassal: str
    socket_path: str


@dataclass(frozen=True)
class SetLink:
    host: str
    socket_path: str


@dataclass(frozen=True)
class RemoveLink:
    host: str


@dataclass(frozen=True)
class Conflict:
    """`host` was refused to `vassal`; str() is the message for its owner."""

    host: str
    vassal: str
    holder: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        return f'hosts: "{self.host}" is served by vassal {self.holder} already'


@dataclass(frozen=True)
class HostPlan:
    """`holders` maps each host to its vassal, and goes into the next plan."""

    actions: tuple[SetLink | RemoveLink, ...]
    conflicts: tuple[Conflict, ...]
    holders: Mapping[str, str]


def plan_hosts(
    claims: Iterable[Claim], existing: Mapping[str, str], holders: Mapping[str, str]
) -> HostPlan:
    """Return the actions that make the links match the claims, and who was refused what.

    `existing` maps host to the link's present target; `holders` is from the plan before
    ({} at the start). Who held a host keeps it while he claims it; else who the link
    points to, else the first in the order of `claims`.
    """
    conflicts: list[Conflict] = []
    wanted: dict[str, list[Claim]] = {}
    for claim in claims:
        try:
            host = host_name(claim.host)
        except Invalid as error:
            conflicts.append(Conflict(claim.host, claim.vassal, problem=f"hosts: {error}"))
        else:
            wanted.setdefault(host, []).append(claim)
    actions: list[SetLink | RemoveLink] = []
    holding: dict[str, str] = {}
    for host, candidates in wanted.items():
        winner = _winner(candidates, holders.get(host), existing.get(host))
        holding[host] = winner.vassal
        refused = {claim.vassal for claim in candidates} - {winner.vassal}
        conflicts += (Conflict(host, vassal, winner.vassal) for vassal in sorted(refused))
        if existing.get(host) != winner.socket_path:
            actions.append(SetLink(host, winner.socket_path))
    actions += (RemoveLink(host) for host in existing if host not in wanted)
    return HostPlan(tuple(actions), tuple(conflicts), holding)


def _winner(candidates: list[Claim], holder: str | None, target: str | None) -> Claim:
    eligible = [claim for claim in candidates if claim.vassal == holder] or candidates
    for claim in eligible:
        if claim.socket_path == target:
            return claim
    return eligible[0]


class HostLinks:
    """The directory of links. It is ours alone, and stays open: its path is not used again."""

    def __init__(self, directory: str) -> None:
        """Create the directory if it is missing, and open it; raise OSError."""
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            pass
        self._directory = os.open(
            directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        self._numbers = count()
        for name in os.listdir(self._directory):
            if name.startswith(_NEW):  # of an emperor that was killed in mid-change
                os.unlink(name, dir_fd=self._directory)

    def read(self) -> dict[str, str]:
        """Return host → target of every link that is there."""
        links: dict[str, str] = {}
        for name in os.listdir(self._directory):
            if name.endswith(_SUFFIX):
                try:
                    target = os.readlink(name, dir_fd=self._directory)
                except OSError:
                    continue  # no symlink: not ours
                links[name.removesuffix(_SUFFIX)] = target
        return links

    def apply(self, actions: Iterable[SetLink | RemoveLink]) -> list[str]:
        """Do it; return one message for every action that failed. Safe to repeat."""
        problems = []
        for action in actions:
            try:
                self._apply(action)
            except OSError as error:
                problems.append(f"hosts: {action.host}: {error.strerror}")
        return problems

    def close(self) -> None:
        """Close the directory; the links stay."""
        os.close(self._directory)

    def _apply(self, action: SetLink | RemoveLink) -> None:
        name = f"{action.host}{_SUFFIX}"
        if isinstance(action, RemoveLink):
            try:
                os.unlink(name, dir_fd=self._directory)
            except FileNotFoundError:
                pass
            return
        new = f"{_NEW}{os.getpid()}-{next(self._numbers)}"
        os.symlink(action.socket_path, new, dir_fd=self._directory)
        try:
            os.rename(new, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError:
            os.unlink(new, dir_fd=self._directory)
            raise
