"""What the spawner keeps while emperors come and go: listeners and masters."""

import os
import socket
from collections.abc import Mapping

from emperor.spawner.fdstore import FdStore
from emperor.spawner.handover import Handover, Master
from limits.pidfd import send_signal
from vassal import packets
from vassal.messages import HeldListener, HeldMaster, MasterExited, Message

SIGKILL = 9


class MasterChild:
    """A master that runs. Owns its pidfd and a copy of the emperor's end of its channel."""

    def __init__(
        self, token: str, vassal: str, memo: str, pid: int, channel: socket.socket
    ) -> None:
        self.token = token
        self.vassal = vassal
        self.memo = memo
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel
        self.was_killed = False  # because an emperor said so

    def kill(self) -> None:
        """SIGKILL; in a PID namespace the kernel kills everything below it too."""
        self.was_killed = True
        send_signal(self.pidfd, SIGKILL)

    def close(self) -> None:
        self.channel.close()
        os.close(self.pidfd)


class Store:
    """The inventory that outlives every emperor. Owns all descriptors in it.

    `inherited` is what an earlier spawner had left with systemd, `beyond` the way to it;
    `holders` tells which vassal a key is for, as far as it is known.
    """

    def __init__(
        self, beyond: FdStore, inherited: Mapping[str, int], holders: Mapping[str, str]
    ) -> None:
        self._beyond = beyond
        self._listeners = dict(inherited)
        self._holders = dict(holders)
        self._masters: dict[str, MasterChild] = {}

    @property
    def masters(self) -> tuple[MasterChild, ...]:
        return tuple(self._masters.values())

    def hold(self, key: str, holder: str, fds: list[int]) -> None:
        """Keep the first descriptor under `key` for `holder`; one held before is closed."""
        self.drop(key)
        if fds:
            self._listeners[key] = fds[0]
            if holder:
                self._holders[key] = holder
            self._beyond.put(key, fds[0])
        packets.close_all(fds[1:])

    def drop(self, key: str) -> None:
        """Close what is held under `key`; unknown keys are ignored."""
        fd = self._listeners.pop(key, None)
        self._holders.pop(key, None)
        if fd is not None:
            self._beyond.remove(key)
            os.close(fd)

    def add(self, master: MasterChild) -> None:
        self._masters[master.token] = master

    def adopt(self, master: Master) -> None:
        """Take over a master of an earlier image; raise OSError if it has been reaped."""
        channel = socket.socket(fileno=master.channel)
        self._masters[master.token] = MasterChild(
            master.token, master.vassal, master.memo, master.pid, channel
        )

    def handover(self, starts: int, nofile_soft: int, deaths: tuple[MasterExited, ...]) -> Handover:
        """Return all of it for the next image of this process."""
        masters = tuple(
            Master(
                token=one.token,
                vassal=one.vassal,
                memo=one.memo,
                pid=one.pid,
                channel=one.channel.fileno(),
            )
            for one in self._masters.values()
        )
        return Handover(
            starts=starts,
            nofile_soft=nofile_soft,
            held=dict(self._listeners),
            holders=dict(self._holders),
            masters=masters,
            deaths=deaths,
        )

    def find_by_pid(self, pid: int) -> MasterChild | None:
        return next((one for one in self._masters.values() if one.pid == pid), None)

    def find(self, token: str) -> MasterChild | None:
        return self._masters.get(token)

    def remove_by_pid(self, pid: int) -> MasterChild | None:
        """Take out the master with this pid, which was just reaped; the caller closes it."""
        master = self.find_by_pid(pid)
        return None if master is None else self._masters.pop(master.token)

    def inventory(self) -> list[tuple[Message, int]]:
        """Return one message for every listener and master, with the descriptor beside it."""
        found: list[tuple[Message, int]] = [
            (HeldListener(key=key, holder=self._holders.get(key, "")), fd)
            for key, fd in self._listeners.items()
        ]
        for master in self._masters.values():
            held = HeldMaster(
                token=master.token, vassal=master.vassal, pid=master.pid, memo=master.memo
            )
            found.append((held, master.channel.fileno()))
        return found

    def close(self) -> None:
        """Close every listener and every master's channel."""
        for key in list(self._listeners):
            self.drop(key)
        for master in self._masters.values():
            master.close()
        self._masters.clear()
        self._beyond.close()
