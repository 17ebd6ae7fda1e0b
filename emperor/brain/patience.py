"""Looks at what may not answer, and waits for nothing forever.

Who looks at a dead NFS server, or a FUSE mount whose server hangs, cannot be woken. So what leads
over such a mount is looked at from a thread, and left alone while a look into it hangs: one
thread for each mount and each user in whose name is looked, and a few for all mounts of a tenant,
who may be able to make them.
"""

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from emperor.watch.choose import BlindMounts, Mount, lead
from limits import syscalls

T = TypeVar("T")

TIMEOUT_S = 5.0
"""How long somebody waits who can do other things meanwhile."""

BLOCKING_S = 0.5
"""How long all wait, where nothing else can be done meanwhile."""

HANGING_MAX = 4
"""So many looks in the name of one tenant may hang; until one comes back, none is begun."""

_CLONE_FS = 0x200  # os has it since Python 3.12

Debtor = tuple[int, int]
"""A mount's number, and the user in whose name is looked."""


class Silence(OSError):
    """What was looked at did not answer in time, or still owes an answer."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        names = " or ".join(f"{mount.point} ({mount.filesystem})" for mount in mounts)
        super().__init__(
            errno.ETIMEDOUT, f"{names} does not answer; it is looked at again when it does"
        )

    def __str__(self) -> str:
        return str(self.strerror)


class LookNow(Protocol):
    """What Patience.look_now does."""

    def __call__(self, paths: Iterable[str], uid: int, call: Callable[[], T]) -> T: ...


def without_patience(paths: Iterable[str], uid: int, call: Callable[[], T]) -> T:
    """The same for a process that nobody else waits for."""
    return call()


class Patience:
    """Of one event loop. `on_answer()` is called when something has answered that was silent."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._blind = BlindMounts()
        self._hanging: dict[Debtor, Mount] = {}
        self._turns: WeakValueDictionary[Debtor, asyncio.Lock] = WeakValueDictionary()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything here that may not answer."""
        return bool(self._blind.now())

    def is_foreign(self, path: str) -> bool:
        """Return whether somebody else has to answer for an absolute path. Never waits."""
        return bool(self._mounts_behind((path,)))

    def debtor(self, path: str, uid: int) -> Debtor:
        """Return who has to answer for an absolute path to this user. Never waits."""
        mounts = self._mounts_behind((path,))
        return (mounts.pop().number if mounts else 0), uid

    def without_links(self, path: str) -> str:
        """Return where an absolute path leads, as far as can be seen without waiting."""
        return lead(path, self._blind.now()).path or path

    def mounts_below(self, folder: str) -> list[str]:
        """Return which mounts that may not answer are in a folder, or below it."""
        around = folder.rstrip("/") + "/"
        return [point for point in self._blind.now() if point.startswith(around)]

    async def look(self, paths: Iterable[str], uid: int, call: Callable[[], T]) -> T:
        """Return what `call` returns or raises, which looks at no other `paths` than these.

        Raises Silence if that takes too long. `uid` is whose choice the paths are.
        """
        mounts = self._mounts_behind(paths)
        if not mounts:
            return call()
        async with contextlib.AsyncExitStack() as stack:
            for debtor in sorted((mount.number, uid) for mount in mounts):
                turn = self._turns.setdefault(debtor, asyncio.Lock())
                await stack.enter_async_context(turn)
            self._check(mounts, uid)
            work = _begin(call)
            done = asyncio.wrap_future(work)
            done.add_done_callback(asyncio.Future.exception)  # told of by `work`, if to anybody
            await asyncio.wait([done], timeout=TIMEOUT_S)
            return self._result(work, mounts, uid)

    async def look_at(self, path: str, call: Callable[[], T]) -> T:
        """The same for one path, which is the provider's choice."""
        return await self.look((path,), 0, call)

    def look_now(self, paths: Iterable[str], uid: int, call: Callable[[], T]) -> T:
        """The same as `look` where nobody can wait for it: all others wait with the caller,
        though not long."""
        mounts = self._mounts_behind(paths)
        if not mounts:
            return call()
        self._check(mounts, uid)
        work = _begin(call)
        with contextlib.suppress(TimeoutError):
            work.exception(BLOCKING_S)
        return self._result(work, mounts, uid)

    def _mounts_behind(self, paths: Iterable[str]) -> set[Mount]:
        blind = self._blind.now()
        if not blind:
            return set()
        plain: set[str] = set()
        ways = (lead(path, blind, plain) for path in paths)
        return {way.blind for way in ways if way.blind is not None}

    def _check(self, mounts: Iterable[Mount], uid: int) -> None:
        """Raise Silence if something that hangs is in the way."""
        silent = [mount for mount in mounts if (mount.number, uid) in self._hanging]
        if not silent and uid != 0:
            own = [mount for (_, whose), mount in self._hanging.items() if whose == uid]
            silent = own if len(own) >= HANGING_MAX else []
        if silent:
            raise Silence(silent)

    def _result(self, work: Future[T], mounts: Iterable[Mount], uid: int) -> T:
        if work.done():
            return work.result()
        loop = asyncio.get_running_loop()
        debtors = {(mount.number, uid): mount for mount in mounts}
        self._hanging |= debtors

        def come_back(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._answered, debtors)

        work.add_done_callback(come_back)
        raise Silence(mounts)

    def _answered(self, debtors: Iterable[Debtor]) -> None:
        for debtor in debtors:
            self._hanging.pop(debtor, None)
        self._on_answer()


def _begin(call: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own."""
    work: Future[T] = Future()
    work.set_running_or_notify_cancel()  # who waits for it may go; it cannot be called off

    def run() -> None:
        try:
            # What hangs while it has set another umask has set it for itself alone, unless a
            # container forbids that.
            with contextlib.suppress(OSError):
                syscalls.unshare(_CLONE_FS)
            work.set_result(call())
        except BaseException as error:
            work.set_exception(error)

    # A daemon: the brain can end while it hangs.
    threading.Thread(target=run, name="emperor-patience", daemon=True).start()
    return work
