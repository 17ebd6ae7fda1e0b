"""Notices that a limit was hit, takes a snapshot, and tells the tenant in plain words.

What is one incident and what are two is decided in `core.incidents`.
"""

import asyncio
import time

from emperor.brain.cgroups import Cgroups
from emperor.brain.fleet import Fleet
from emperor.brain.host import processes_below
from emperor.brain.roll import Publish
from emperor.brain.views import HostProcess
from emperor.core.incidents import Counters, hits, plain, record
from emperor.status import Incident, Snapshot, SnapshotProcess
from limits.cgroups.counters import Usage
from limits.directives import Limits
from limits.rlimits import as_text
from vassal.master.oom import as_size
from vassal.messages import Description

DESCRIBE_PATIENCE_S = 0.5
PROCESSES_MAX = 64


class Incidents:
    """All vassals' incidents since this brain started. One event loop's."""

    def __init__(self, cgroups: Cgroups, fleet: Fleet, publish: Publish) -> None:
        self._cgroups = cgroups
        self._fleet = fleet
        self._publish = publish
        self._counters: dict[str, Counters] = {}
        self._incidents: dict[str, tuple[Incident, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        if cgroups.fileno() >= 0:
            asyncio.get_running_loop().add_reader(cgroups.fileno(), self._on_changed)

    def of(self, name: str) -> tuple[Incident, ...]:
        """Return the vassal's incidents, oldest first."""
        return self._incidents.get(name, ())

    def begin(self, name: str) -> None:
        """Count from now on: what an earlier brain saw is not news."""
        usage = self._cgroups.usage(name)
        if usage is not None:
            self._counters[name] = _counters(usage)

    def rename(self, old: str, new: str) -> None:
        """A vassal has another name, and the cgroup that it had."""
        self._incidents[new] = self._incidents.pop(old, ())
        self.begin(new)

    def forget(self, name: str) -> None:
        """The vassal is gone."""
        self._counters.pop(name, None)
        self._incidents.pop(name, None)

    def close(self) -> None:
        """Notice nothing any more."""
        if self._cgroups.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._cgroups.fileno())
        for task in self._tasks:
            task.cancel()

    def _on_changed(self) -> None:
        for name in self._cgroups.changed():
            usage = self._cgroups.usage(name)
            if usage is None:
                continue
            before, after = self._counters.get(name, Counters()), _counters(usage)
            self._counters[name] = after
            found = hits(before, after)
            if found:
                task = asyncio.create_task(self._record(name, found, usage))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _record(self, name: str, found: dict[str, int], usage: Usage) -> None:
        described = await self._fleet.describe(name, DESCRIBE_PATIENCE_S)
        vassal, wish = self._fleet.vassals.get(name), self._fleet.wishes.get(name)
        if vassal is None or wish is None or wish.spec is None:
            return
        processes = processes_below(vassal.pid) if vassal.pid else {}
        snapshot = _snapshot(described, processes, usage)
        for key, count in found.items():
            value = _value(wish.spec.settings.limits, key)
            self._incidents[name] = record(self.of(name), key, value, count, snapshot, time.time())
            self._fleet.note(name, f"event=limit_hit {plain(key, value, count)}")
            fields = {"limit": f"{key}={value}", "times": self.of(name)[-1].count}
            self._publish("warning", "limit_hit", name, fields)


def _counters(usage: Usage) -> Counters:
    return Counters(oom_kills=usage.oom_kill_events, tasks_refused=usage.tasks_max_events)


def _value(limits: Limits, key: str) -> str:
    if key == "memory_max":
        return as_size(limits.memory_max) if limits.memory_max else "its customer's"
    return as_text(limits.tasks_max) if limits.tasks_max is not None else "its customer's"


def _snapshot(
    described: Description | None, processes: dict[int, HostProcess], usage: Usage
) -> Snapshot:
    requests = {
        row.ns_pid: f"{row.method} {row.uri}"[:300]
        for row in (described.workers if described else ())
        if row.state == "busy"
    }
    rows = [
        SnapshotProcess(
            pid=process.pid, rss_bytes=process.rss_bytes, request=requests.get(ns_pid, "")
        )
        for ns_pid, process in sorted(processes.items())
    ]
    return Snapshot(
        processes=tuple(rows[:PROCESSES_MAX]),
        memory_bytes=usage.memory_bytes or 0,
        tasks=usage.tasks or 0,
    )
