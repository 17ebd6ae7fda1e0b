"""Takes over what an earlier emperor left running, and closes what of it is nobody's by now."""

import asyncio
import time

from emperor.brain.catalog import Catalog
from emperor.brain.cgroups import Cgroups
from emperor.brain.fleet import DESCRIBE_PATIENCE_S, Fleet
from emperor.brain.homes import Homes
from emperor.brain.inventory import HOMES, Inventory, Keeper
from emperor.brain.memo import path_in_memo
from vassal.messages import FromSpawner, HeldListener, HeldMaster


class Takeover:
    """Of one brain, from the inventory that the spawner handed it."""

    def __init__(
        self,
        inventory: Inventory,
        fleet: Fleet,
        catalog: Catalog,
        cgroups: Cgroups,
        homes: Homes,
        keeper: Keeper,
    ) -> None:
        self._inventory = inventory
        self._fleet = fleet
        self._catalog = catalog
        self._cgroups = cgroups
        self._homes = homes
        self._kept_homes = homes.to_keep()
        self._keeper = keeper
        self._is_taken_over = False

    def hear(self, message: FromSpawner, fds: list[int]) -> None:
        """Take in one fact from the spawner; the descriptors become the fleet's.

        What is heard before the inventory was taken over stands behind it: an end that is told of
        before its master was heard of would be nobody's.
        """
        if self._is_taken_over:
            self._fleet.on_spawner_message(message, fds)
        else:
            self._inventory.rest.append((message, fds))

    def paths_of_masters(self) -> list[str]:
        """Return the files of what was left running."""
        # The newest first: that is what was wanted last.
        return [path_in_memo(held.memo) for held in reversed(self._masters())]

    async def take_over(self) -> None:
        """Adopt what was left running, and ask every master what it is; all files were read."""
        keys: dict[str, set[str]] = {}
        for message, _ in self._inventory.rest:
            if isinstance(message, HeldListener):
                keys.setdefault(message.holder, set()).add(message.key)
        await self._catalog.absences.presume_all(self._masters(), keys)
        for message, fds in self._inventory.rest:
            self._fleet.on_spawner_message(message, fds)
        self._is_taken_over = True

    async def until_described(self) -> None:
        """Wait for the masters' answers, and drop what belongs to nobody."""
        deadline = time.monotonic() + DESCRIBE_PATIENCE_S
        while self._fleet.is_adopting and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self._drop_what_is_nobodys()
        self._keep_homes()

    def on_scanned(self) -> None:
        """A directory was read again: it may be the one that was missing at the start."""
        if self._fleet.listeners.unclaimed:
            self._drop_what_is_nobodys()
        self._keep_homes()

    def _masters(self) -> list[HeldMaster]:
        messages = [message for message, _ in self._inventory.rest]
        return [message for message in messages if isinstance(message, HeldMaster)]

    def _drop_what_is_nobodys(self) -> None:
        """Close sockets and remove cgroups of vassals that have no file, when that is known."""
        self._fleet.claim_all()
        if not self._catalog.has_all_files:
            return
        wishes = self._fleet.wishes
        unread = {name for name, wish in wishes.items() if wish.spec is None}
        self._fleet.listeners.close_unclaimed(all_known=not unread)
        specs = [wish.spec for wish in wishes.values() if wish.spec is not None]
        self._cgroups.remove_orphans(specs, unread)

    def _keep_homes(self) -> None:
        """Tell the next brain where files were found: an empty directory may be another one."""
        if self._fleet.listeners.unclaimed and not self._catalog.has_all_files:
            return  # whose they are nobody would know any more
        homes = self._homes.to_keep()
        if homes != self._kept_homes:
            self._kept_homes = homes
            self._keeper.keep(HOMES, homes)
