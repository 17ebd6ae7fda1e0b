"""The brain's process: gets its inventory, its settings and the lock, and runs the brain."""

import argparse
import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial

import prctl

from emperor.brain.brain import Brain
from emperor.brain.inventory import LOCK, SETTINGS, Inventory, Keeper, receive_inventory
from emperor.brain.startup import CannotStart, prepare_directories, read_settings, take_lock
from emperor.config.settings import EmperorSettings
from emperor.logfmt import Log
from limits.process_title import set_title
from vassal import packets
from vassal.encoding import encode
from vassal.messages import Exit

SPAWNER_FD = 3
EX_CONFIG = 78


def main() -> int:
    """Run the brain until the spawner goes or everything is stopped."""
    arguments = _parse()
    read = partial(read_settings, arguments.config, arguments.runtime_dir, arguments.directories)
    prctl.set_name("emperor")
    set_title("emperor: brain")
    # Started by a spawner that had run out of descriptors, it must not run out as well.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    channel = socket.socket(fileno=SPAWNER_FD)
    os.set_inheritable(SPAWNER_FD, False)
    log = Log()
    inventory = receive_inventory(channel)
    keeper = Keeper(channel)
    try:
        settings = _settings(read, inventory, log)
        prepare_directories(settings)
        if LOCK in inventory.ours:
            os.close(inventory.ours[LOCK])
        else:
            lock = take_lock(settings)
            keeper.keep_fd(LOCK, lock)
            os.close(lock)
    except CannotStart as error:
        for line in str(error).splitlines():
            print(f"emperor: {line}", file=sys.stderr)
        packets.send(channel, encode(Exit(status=EX_CONFIG)))
        return EX_CONFIG
    keeper.keep(SETTINGS, settings)
    asyncio.run(Brain(settings, read, channel, inventory, keeper, log).run())
    return 0


def _settings(
    read: Callable[[], EmperorSettings], inventory: Inventory, log: Log
) -> EmperorSettings:
    try:
        return read()
    except CannotStart as error:
        kept = inventory.kept(SETTINGS, EmperorSettings)
        if kept is None:
            raise
        # Vassals run: a file that was broken since must not take them down.
        log.error("settings_unusable", error=error, action="the last good ones are used")
        return kept


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="emperor.brain")
    parser.add_argument("--config")
    parser.add_argument("--runtime-dir")
    parser.add_argument("directories", nargs="*")
    return parser.parse_args()
