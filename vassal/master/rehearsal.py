"""Plays a master's birth and first steps through, in the spawner, before any is forked.

CPython writes into code it runs: inline caches fill, and tables are built at first use.
What was written before the fork stays shared between all masters; without this, each of
them has a megabyte more of its own.
"""

import os
import time

import msgspec

from limits.confinement import Confinement
from limits.facts import HostFacts, probe
from limits.landlock import ABI_MIN, LandlockRules
from limits.landlock_steps import EnterLandlock
from limits.mount_steps import PlaceMount
from limits.mounts import (
    Cover,
    FileSystem,
    Hide,
    HideElsewhere,
    PrivateRoot,
    Restrict,
    Scratch,
    Seal,
    Show,
    SystemLog,
)
from limits.plan import plan
from vassal import packets
from vassal.encoding import decode_to_master, encode
from vassal.generation import Generation
from vassal.master.crew import MoldState
from vassal.master.mold_hands import Means
from vassal.master.service import Service
from vassal.messages import StartGeneration

TIMES = 40
"""The interpreter is done with specialising code after a few dozen runs."""

_CONFINEMENT = Confinement(
    uid=65534,
    gid=65534,
    groups=(65534,),
    umask=0o27,
    new_session=True,
    no_new_privs=True,
    drop_capabilities=True,
    pid_namespace=True,
    dumpable=False,
    oom_score_adjust=300,
    keyring="private",
    namespaces=("mnt", "ipc", "uts", "cgroup"),
    root=PrivateRoot(
        mounts=(
            Restrict(path="/", read_only=True, no_suid=True, no_dev=True),
            HideElsewhere(path="/", types=("proc",)),
            FileSystem(path="/proc", type="proc", options={"hidepid": "invisible"}),
            Cover(path="/dev", size=65536, inodes=256, mode=0o755, links={"fd": "/proc/self/fd"}),
            Scratch(path="/tmp", size=1 << 20, inodes=1024, folder="tmp"),
            Hide(path="/proc/kcore", optional=True),
            Show(path="/dev/null", source="/dev/null", below="/dev"),
            Show(path="/srv/blog", source="/srv/blog"),
            SystemLog(path="/dev/log"),
            Seal(path="/dev"),
        )
        * 8,
        directives=("private_tmp",),
    ),
)
_HARMLESS = (
    PlaceMount(Restrict(path="/")),
    PlaceMount(HideElsewhere(path="/", types=("none",))),
)
"""What looks at the file system as all of them do, and changes nothing."""

_LANDLOCK = LandlockRules(
    writable=("/tmp", "/var/tmp", "/dev/shm", "/srv/blog"),
    writable_files=("/proc", "/dev/null", "/dev/zero", "/dev/ptmx"),
)
_WORKLOAD = Confinement(
    rlimits={"nofile": (1024, 4096), "core": (0, 0)},
    oom_score_adjust=500,
    landlock=_LANDLOCK,
    system_call_filter=bytes(8 * 130),
)
_GENERATION = Generation(
    vassal="rehearsal",
    number=1,
    fingerprint="rehearsal",
    app="module:application",
    directory="/",
    python="/usr/bin/python3",
    harakiri_s=30.0,
    confinement=_WORKLOAD,
)


def rehearse(means: Means, facts: HostFacts) -> None:
    """Run what every master runs, without forking, confining or executing anything."""
    order = encode(StartGeneration(generation=_GENERATION))
    confinement = msgspec.json.encode(_CONFINEMENT)
    for _ in range(TIMES):
        probe()
        for step in _HARMLESS:
            step.execute()
        if facts.landlock_abi >= ABI_MIN:
            os.close(EnterLandlock(_LANDLOCK, facts.landlock_abi).ruleset())
        plan(msgspec.json.decode(confinement, type=Confinement), facts)
        plan(_WORKLOAD, facts)
        _play(order, means)


def _play(order: bytes, means: Means) -> None:
    ours, theirs = packets.pair()
    service = Service(theirs, "rehearsal", means)
    master = service.master
    master.act()
    packets.send(ours, order)
    found = decode_to_master(packets.receive(theirs).data)
    if isinstance(found, StartGeneration):
        master.start_generation(found.generation, [])
        # As if the mold were loading: the one step that would fork.
        late = time.monotonic() + 60.0
        master.ledger.set_crew(1, mold=MoldState.LOADING, mold_at=late)
    master.act()
    encode(master.describe())
    master.stop(0.0)
    master.act()
    service.close()
    ours.close()
