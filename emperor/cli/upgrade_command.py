"""`emperor upgrade`: new code for spawner and brain, and for each vassal's master if asked.

Driven from here, because the brain that is asked is replaced on the way.
"""

import argparse
import sys
import time

from emperor.cli.client_commands import client_of, steer_and_wait
from emperor.cli.errors import DONE, FAILED
from emperor.cli.view import printable_line, printable_lines
from emperor.control.client import ControlClient, ControlError, NotReachable
from emperor.status import EmperorStatus, VassalState

LOOK_S = 0.05
RUNNING = {VassalState.STARTING, VassalState.READY, VassalState.RELOADING}


def upgrade(arguments: argparse.Namespace) -> int:
    """Upgrade; the exit status is 1 if something goes on with the code it had."""
    client = client_of(arguments)
    before = client.status().emperor
    client.upgrade()
    now = _next_brain(client, before.pid, arguments.timeout)
    if now is None:
        print(f"emperor: no new brain within {arguments.timeout:g} s: see its log", file=sys.stderr)
        return FAILED
    print(f"brain {now.pid} steers: version {now.version}, before {before.version}")
    if now.spawner_version != now.version:
        print(
            f"emperor: the spawner goes on with version {now.spawner_version}: see the log",
            file=sys.stderr,
        )
        return FAILED
    return _renew_all(client, arguments.timeout) if arguments.vassals else DONE


def _next_brain(client: ControlClient, pid: int, timeout_s: float) -> EmperorStatus | None:
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at:
        try:
            found = client.status().emperor
        except NotReachable:
            pass  # between two brains
        else:
            if found.pid != pid:
                return found
        time.sleep(LOOK_S)
    return None


def _renew_all(client: ControlClient, timeout_s: float) -> int:
    """Give every vassal that runs a new master, one after the other; go on where one fails."""
    worst = DONE
    for name in [vassal.name for vassal in client.status().vassals]:
        # Those before it took their time: it may have fallen asleep, or have been removed.
        vassal = {one.name: one for one in client.status().vassals}.get(name)
        if vassal is None:
            continue
        if vassal.state not in RUNNING:
            print(printable_line(f"{vassal.name} is {vassal.state}: its next start is of new code"))
            continue
        try:
            worst = max(worst, steer_and_wait(client, vassal.name, "renew", timeout_s))
        except ControlError as error:
            print(f"emperor: {printable_lines(str(error))}", file=sys.stderr)
            worst = FAILED
    return worst
