"""The bound listening sockets, by the keys of their addresses, and the files that they have."""

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from emperor.brain.binding import bind
from emperor.brain.patience import LookNow, Silence
from emperor.brain.socket_files import UNSEEN, FileId, give, identify, remove
from emperor.config.identity import Identity
from emperor.config.settings import ListenAddress, VassalSettings


class NotBoundError(Exception):
    """One of several addresses could not be bound, because of `error`; none was."""

    def __init__(self, address: ListenAddress, error: OSError) -> None:
        super().__init__(f"{address.url}: {error}")
        self.address = address
        self.error = error


class Sockets(Mapping[str, socket.socket]):
    """Owns them. `look` looks at their files; what does not answer is left as it is."""

    def __init__(self, look: LookNow) -> None:
        self._look = look
        self._sockets: dict[str, socket.socket] = {}
        self._files: dict[str, FileId] = {}

    def __getitem__(self, key: str) -> socket.socket:
        return self._sockets[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sockets)

    def __len__(self) -> int:
        return len(self._sockets)

    def adopt(self, key: str, fd: int) -> bool:
        """Take over a socket that an earlier emperor bound.

        One whose file is gone nobody could connect to: it is closed, and False is returned.
        """
        held = socket.socket(fileno=fd)
        if key.startswith("unix:/"):
            path = key.removeprefix("unix:")
            try:
                file = self._look((path,), 0, lambda: identify(path))
            except Silence:
                file = UNSEEN
            if file is None:
                held.close()
                return False
            self._files[key] = file
        self._sockets[key] = held
        return True

    def take_over(self, key: str, fd: int) -> None:
        """Use a socket that somebody else bound: its file is theirs, and stays."""
        self._sockets[key] = socket.socket(fileno=fd)
        self._sockets[key].setblocking(False)

    def bind_all(
        self, addresses: Sequence[ListenAddress], settings: VassalSettings, identity: Identity
    ) -> list[str]:
        """Bind what is not bound yet, as a vassal wants it, and return the keys of that.

        All or nothing. Raises NotBoundError.
        """
        bound: list[str] = []
        for address in addresses:
            if address.key in self._sockets:
                continue
            try:
                self._bind(address, settings, identity)
            except OSError as error:
                for key in bound:
                    self.close(key)
                raise NotBoundError(address, error) from error
            bound.append(address.key)
        return bound

    def _bind(self, address: ListenAddress, settings: VassalSettings, identity: Identity) -> None:
        uid, gid = identity.uid, identity.gid
        paths = (address.file,) if address.file is not None else ()
        act = partial(bind, address, settings.backlog, settings.socket, uid, gid)
        one = self._look(paths, uid, act)
        self._sockets[address.key] = one.listener
        if one.file is not None:
            self._files[address.key] = one.file

    def give_file(
        self, address: ListenAddress, settings: VassalSettings, identity: Identity
    ) -> None:
        """Let a socket's file, if it has one, belong to whom a vassal wants."""
        file = self._files.get(address.key)
        if address.file is not None and file is not None:
            uid, gid = identity.uid, identity.gid
            act = partial(give, address.file, file, settings.socket, uid, gid)
            with contextlib.suppress(Silence):
                self._look((address.file,), uid, act)

    def close(self, key: str) -> None:
        """Close a socket, and remove its file."""
        held = self._sockets.pop(key)
        file = self._files.pop(key, None)
        if file is not None:
            path = key.removeprefix("unix:")
            with contextlib.suppress(Silence):
                self._look((path,), 0, partial(remove, path, file))
        held.close()
