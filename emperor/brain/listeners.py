"""Knows which vassal holds which address, and who may have one after whom.

What is bound goes to the spawner at once and outlives every other process.
"""

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from errno import EADDRINUSE

from emperor.brain.binding import explain
from emperor.brain.birth import Spec
from emperor.brain.patience import LookNow, without_patience
from emperor.brain.sleepers import Bell
from emperor.brain.sockets import NotBoundError, Sockets
from emperor.brain.users import Users
from emperor.config.identity import UNKNOWN_UID, Identity
from emperor.config.network import overlaps
from emperor.config.settings import ListenAddress, VassalSettings
from emperor.core.attempts import TO_COME, Attempts, Fresh, is_over, token_of


class ListenError(Exception):
    """A socket could not be bound; str() names the URL, the reason and what to do."""


class Listeners:
    """All addresses by key. Owns their sockets; `hold` and `drop` tell the spawner, and `keep` has
    it keep the attempts for the next emperor.

    `is_wanted` tells whether a vassal has a file, `is_known` whether it has one or runs, `asks`
    whether it wants the socket of a key, `leaves` whether it will serve there no more, if
    all goes well; `freed` gets the name of each that was refused an address, when it may have it.
    `lives` tells by its token whether a master runs, `wanting` who is about to serve at a key as a
    user, those first that were refused it. `look` looks at the sockets' files.
    """

    def __init__(
        self,
        hold: Callable[[str, str, int], None],
        drop: Callable[[str], None],
        keep: Callable[[Fresh], None],
        is_wanted: Callable[[str], bool],
        is_known: Callable[[str], bool],
        asks: Callable[[str, str], bool],
        leaves: Callable[[str, str], bool],
        freed: Callable[[str], None],
        lives: Callable[[str], bool],
        wanting: Callable[[str, int, Set[str]], Sequence[str]],
        look: LookNow = without_patience,
    ) -> None:
        self._hold = hold
        self._drop = drop
        self._is_wanted = is_wanted
        self._is_known = is_known
        self._asks = asks
        self._leaves = leaves
        self._freed = freed
        self._wanting = wanting
        self._sockets = Sockets(look)
        self._holders: dict[str, str] = {}
        self._keys: dict[str, set[str]] = {}  # the same by vassal
        self._told: dict[str, str] = {}  # what the spawner knows of holders
        self._earlier: dict[str, set[str]] = {}  # by vassal, of an earlier emperor
        self._users = Users(lives)
        self._attempts = Attempts(keep)
        self._refused: dict[str, set[str]] = {}  # by key, who wants it too
        self._former: dict[str, str] = {}

    def remember(self, holders: Mapping[str, str]) -> None:
        """Keep addresses for the vassals that had them at an earlier time, if they want them."""
        self._former = dict(holders)

    def restore(self, attempts: Fresh) -> None:
        """Know again what was under way under an earlier emperor, as it was kept."""
        self._attempts.restore(attempts)

    @property
    def holders(self) -> dict[str, str]:
        """Which vassal has which address, or had it and wants it: for `remember`."""
        former = {key: name for key, name in self._former.items() if self._asks(name, key)}
        return {**former, **self._holders}

    def holder_of(self, key: str, asker: str = "") -> str:
        """Return which vassal has an address, or had it and wants it; else `asker`."""
        former = self._former.get(key, asker)
        if former != asker and not self._asks(former, key):
            former = asker
        return self._holders.get(key, former)

    def adopt(self, key: str, holder: str, fd: int) -> None:
        """Take over a socket that an earlier emperor bound for `holder`; "" = nobody knows whom.

        One whose file is gone nobody could connect to: it is closed, to be bound anew.
        """
        if not self._sockets.adopt(key, fd):
            self._drop(key)
            return
        if holder:
            self._told[key] = holder
            self._earlier.setdefault(holder, set()).add(key)

    def run_as(self, vassal: str, token: str, uid: int) -> None:
        """Note as whom the processes of a master run, which may have its vassal's sockets."""
        self._users.note(vassal, token, uid)

    def take_over(self, key: str, fd: int) -> None:
        """Use a socket that systemd bound: its file is systemd's, and stays."""
        self._sockets.take_over(key, fd)

    def prepare(
        self,
        settings: VassalSettings,
        identity: Identity,
        addresses: Sequence[ListenAddress],
        attempt: str,
        beside: bool = False,
    ) -> list[socket.socket]:
        """Return the bound sockets of a vassal at these of its addresses, in their order.

        Binds what is not bound yet; all or nothing. `attempt` names what is to serve there, for
        `give_back`. `beside` what serves: whose the sockets' files are it changes only with
        `serves`. Raises ListenError.
        """
        self._want_no_more(settings.name)
        self.run_as(settings.name, token_of(attempt), identity.uid)
        for address in addresses:
            holder = self.holder_of(address.key, settings.name)
            if holder == settings.name or self._gives_way(holder, identity):
                continue
            if not beside or not self._lends(address.key, settings.name, identity):
                self.refuse(settings.name, address.key)
                why = f"vassal {holder} listens there already"
                if self._is_refused(holder, settings.name):
                    why += f", and wants an address of this one: emperor restart {holder}"
                raise ListenError(f"{address.url}: {why}")
        try:
            bound = self._sockets.bind_all(addresses, settings, identity)
        except NotBoundError as failed:
            error, why = failed.error, ""
            if error.errno == EADDRINUSE:
                why = self._in_the_way(settings.name, failed.address)
            raise ListenError(f"{failed.address.url}: {why or explain(error)}") from error
        lent = {one.key for one in addresses if self._lends(one.key, settings.name, identity)}
        self._note_attempt(settings.name, attempt, {*bound, *lent}, addresses)
        for address in addresses:
            # Again for those bound earlier: what was edited takes effect.
            self._sockets[address.key].listen(settings.backlog)
            if address.key not in lent:
                self._hold_for(settings.name, address.key)
        if not beside:
            self._give_files(settings, identity, but=bound)
        return [self._sockets[address.key] for address in addresses]

    def serves(self, settings: VassalSettings, identity: Identity) -> None:
        """Just what is wanted of a vassal serves, for good: it holds its addresses and no others,
        and the sockets' files are as it says."""
        self.keep_only(settings.name, {address.key for address in settings.addresses})
        self._give_files(settings, identity)

    def has_fresh(self, vassal: str) -> bool:
        """Return whether something is under way for which an address of its own was bound."""
        return self._attempts.has(vassal)

    def _give_files(
        self, settings: VassalSettings, identity: Identity, but: Sequence[str] = ()
    ) -> None:
        for address in settings.addresses:
            if address.key not in but and self._holders.get(address.key) == settings.name:
                self._sockets.give_file(address, settings, identity)

    def _in_the_way(self, vassal: str, address: ListenAddress) -> str:
        """Return which of our sockets keeps an address from being bound, "" = none of ours."""
        for key, holder in self._holders.items():
            host, _, port = key.removeprefix("tcp:").rpartition(":")
            if key.startswith("unix:") or not overlaps(
                address, ListenAddress(url="", protocol="", host=host, port=int(port))
            ):
                continue
            if holder == vassal:
                return (
                    f"it has {host or '*'}:{port}, and not both at once: emperor restart {vassal}"
                )
            self.refuse(vassal, key)
            return f"vassal {holder} listens at {host or '*'}:{port} already"
        return ""

    def bells(self, settings: VassalSettings) -> tuple[Bell, ...]:
        """Return a vassal's own sockets, as far as they are bound, with their protocols.

        What its file names may be another's, whose clients are none of its business.
        """
        return tuple(
            Bell(self._sockets[address.key], address.protocol)
            for address in settings.listen
            if self._holders.get(address.key) == settings.name
        )

    def bound(self, settings: VassalSettings) -> tuple[tuple[str, socket.socket], ...]:
        """Return a vassal's sockets with their URLs, as far as they are bound."""
        return tuple(
            (address.url, self._sockets[address.key])
            for address in settings.listen
            if self._holders.get(address.key) == settings.name
        )

    def claim(self, vassal: str, spec: Spec | None) -> None:
        """Let a vassal that is known at the start hold what it held before, since what runs may
        serve there still, and the addresses of its file that are nobody else's."""
        if not self._users.knows(vassal):
            self.run_as(vassal, "", spec.identity.uid if spec is not None else UNKNOWN_UID)
        asked = {address.key for address in spec.settings.addresses} if spec is not None else set()
        for key in asked | self._earlier.get(vassal, set()):
            holder = self._told.get(key, vassal)
            is_anothers = holder != vassal and self._is_known(holder)
            if key in self._sockets and key not in self._holders and not is_anothers:
                self._hold_for(vassal, key)

    def _gives_way(self, holder: str, heir: Identity) -> bool:
        """Return whether a vassal without a file, as if that was renamed, leaves its sockets to
        another while it finishes: no client is refused.

        Not to one of another user: processes of the first still have them.
        """
        return not self._is_wanted(holder) and self._users.of(holder) == {heir.uid}

    def borrows(self, settings: VassalSettings, identity: Identity) -> bool:
        """Return whether a vassal is to serve where another does that is about to leave."""
        return any(self._lends(one.key, settings.name, identity) for one in settings.addresses)

    def _lends(self, key: str, borrower: str, identity: Identity) -> bool:
        """Return whether another vassal lets this one serve beside it where it leaves.

        Of the same user, as above; to one at a time.
        """
        holder = self._holders.get(key, borrower)
        if holder == borrower or not self._is_wanted(holder) or not self._leaves(holder, key):
            return False
        others = {name for name, one, _ in self.loans() if one == key} - {borrower}
        return not others and self._users.of(holder) == {identity.uid}

    def loans(self) -> list[tuple[str, str, str]]:
        """Return each vassal that is to serve at an address of another, its key, and the other."""
        return [
            (name, key, self._holders[key])
            for name, key in self._attempts
            if self._holders.get(key, name) != name
        ]

    def refuse(self, vassal: str, key: str) -> None:
        """Note that a vassal wants an address too that another has."""
        self._refused.setdefault(key, set()).add(vassal)

    def _is_refused(self, vassal: str, holder: str) -> bool:
        """Return whether a vassal was refused an address that another holds."""
        return any(vassal in self._refused.get(key, ()) for key in self._keys.get(holder, ()))

    def offer(self, vassal: str) -> None:
        """It may want less than before: what it was to serve at is closed, and who was refused what
        it holds may try again."""
        self._want_less(vassal)
        held = self._keys.get(vassal, ())
        self._tell_freed([key for key in held if not self._asks(vassal, key)])

    def uids_of(self, vassal: str) -> frozenset[int]:
        """Return as whom processes of a vassal run that may have its sockets."""
        return self._users.of(vassal)

    def keys_of(self, vassal: str) -> frozenset[str]:
        """Return the keys of the addresses that a vassal holds."""
        return frozenset(self._keys.get(vassal, ()))

    def rename(self, old: str, new: str) -> None:
        """`old` is called `new` from now on: all that it holds, or held with an earlier emperor,
        is that one's."""
        self._want_no_more(new)
        self._want_no_more(old)
        self._users.rename(old, new)
        self._attempts.rename(old, new)
        # What it held with an earlier emperor may be closed by now, or have become another's.
        earlier = {
            key
            for key in self._earlier.pop(old, set())
            if key in self._sockets and self._holders.get(key, old) == old
        }
        for key in self._keys.get(old, set()) | earlier:
            self._hold_for(new, key)

    def forget(self, vassal: str) -> None:
        """Close what it holds, and remove the sockets' files: nothing runs of it any more."""
        self._want_no_more(vassal)
        self.keep_only(vassal, set())
        self._users.forget(vassal)

    def _want_no_more(self, vassal: str) -> None:
        for refused in self._refused.values():
            refused.discard(vassal)

    def keep_only(self, vassal: str, keys: set[str]) -> None:
        """Close what `vassal` holds besides `keys`, and remove the sockets' files."""
        self._close_of(vassal, self._keys.get(vassal, set()) - keys)
        self._attempts.forget(vassal)

    def _close_of(self, vassal: str, keys: set[str]) -> None:
        borrowers = {key: name for name, key, _ in self.loans()}
        for key in keys:
            if key in borrowers:
                self._hold_for(borrowers[key], key)
            elif heir := self._heir(vassal, key):
                if heir in self._keys:
                    self._attempts.begin(heir, TO_COME, {key}, {key})
                self._hold_for(heir, key)
            else:
                self._release(key)
                self._drop_key(key)
        self._tell_freed(keys)

    def _heir(self, vassal: str, key: str) -> str | None:
        """Return who of the same user wants what a vassal leaves, or was refused it: clients wait
        for that one instead of being refused."""
        users = self._users.of(vassal)
        if len(users) != 1 or UNKNOWN_UID in users:
            return None
        # Nor to one that still runs as somebody else: its next user could be a third one.
        wanting = self._wanting(key, min(users), self._refused.get(key, set()))
        heirs = (one for one in wanting if one != vassal and self._users.of(one) <= users)
        return next(heirs, None)

    def _tell_freed(self, keys: Iterable[str]) -> None:
        for key in tuple(keys):
            for vassal in self._refused.pop(key, ()):
                self._freed(vassal)

    def give_back(self, vassal: str, attempt: str, but: Set[str] = frozenset()) -> None:
        """What was to serve did not come to it, or has not settled: close what was bound for it,
        and what nothing else serves at or is to serve at; `but` for these attempts."""
        self._retain(vassal, lambda one: one in but or not is_over(one, attempt))

    def retain(self, vassal: str, living: Set[str]) -> None:
        """Of all attempts that an earlier emperor made these are under way."""
        self._retain(vassal, {TO_COME, *living}.__contains__)
        self._want_less(vassal)

    def _want_less(self, vassal: str) -> None:
        held = self._keys.get(vassal, set())
        unasked = {key for key in held if not self._asks(vassal, key)}
        self._close_of(vassal, self._attempts.without_next(vassal, unasked))

    def _retain(self, vassal: str, lives: Callable[[str], bool]) -> None:
        over = self._attempts.only(vassal, lives)
        self._close_of(vassal, over & self._keys.get(vassal, set()))

    def settled(self, vassal: str, attempt: str) -> None:
        """This attempt serves for good: what it serves at is its vassal's, and is not closed if
        another one fails."""
        keys = self._attempts.needed(vassal, attempt)
        for key in keys:
            if key in self._sockets:
                self._hold_for(vassal, key)
        self._attempts.forget(vassal, keys)

    def _note_attempt(
        self, vassal: str, attempt: str, new: Set[str], addresses: Sequence[ListenAddress]
    ) -> None:
        if vassal not in self._keys:
            new = frozenset()  # nothing has served yet, and clients wait for the next try
        # Before the spawner holds what was bound: an emperor that dies now leaves nothing behind.
        self._attempts.begin(vassal, attempt, new, [address.key for address in addresses])

    @property
    def unclaimed(self) -> int:
        """How many adopted sockets are nobody's yet."""
        return len(self._sockets) - len(self._holders)

    def close_unclaimed(self, all_known: bool) -> None:
        """Close adopted sockets that no vassal claimed; `all_known` false: some file could not
        be read, and its vassal may be the one whose socket nobody claims."""
        for key in set(self._sockets) - set(self._holders):
            if all_known or key in self._told:
                self._drop_key(key)
        self._earlier.clear()
        for vassal in self._attempts.vassals:
            if not self._is_known(vassal):
                self._attempts.forget(vassal)

    def close_all(self) -> None:
        """Close everything and remove the files: the emperor stops for good."""
        for key in list(self._sockets):
            self._sockets.close(key)
        self._holders.clear()
        self._keys.clear()
        self._users.clear()

    def _drop_key(self, key: str) -> None:
        self._drop(key)
        self._told.pop(key, None)
        self._sockets.close(key)

    def _hold_for(self, vassal: str, key: str) -> None:
        if self._holders.get(key, vassal) != vassal:
            self._release(key)
        self._former.pop(key, None)
        self._holders[key] = vassal
        self._keys.setdefault(vassal, set()).add(key)
        if self._told.get(key) != vassal:
            self._told[key] = vassal
            self._hold(key, vassal, self._sockets[key].fileno())

    def _release(self, key: str) -> None:
        vassal = self._holders.pop(key)
        self._attempts.forget(vassal, [key])  # it is not the vassal's to give back any more
        self._keys[vassal].discard(key)
        if not self._keys[vassal]:
            del self._keys[vassal]
