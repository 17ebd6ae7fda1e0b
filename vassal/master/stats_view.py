"""Gathers from the master's books what is told as statistics."""

import os
import time

from vassal.master.crew import WorkerState
from vassal.master.ledger import Ledger
from vassal.master.stats import About, CacheFacts, SocketFacts, WorkerFacts, vassal_stats
from vassal.master.workforce import caches_of
from vassal.runtime.app_counts import names_of
from vassal.runtime.lock_count import lock_count
from vassal.runtime.process_memory import memory_of


def statistics(ledger: Ledger) -> bytes:
    """Return the object of the generation that serves now, and of its workers alone."""
    serving = ledger.serving()
    if serving is None:
        return vassal_stats(_about(0, "", (), False), (), (), 0.0)
    force = ledger.forces[serving.number]
    generation = force.generation
    sockets = [
        SocketFacts(listener.url, listener.protocol, queue.waiting, queue.max)
        for listener, queue in zip(generation.listeners, force.queues(), strict=True)
    ]
    now, unix_now = time.monotonic(), time.time()
    workers = []
    for worker in sorted(ledger.workers_of(serving.number), key=lambda one: one.number):
        pid = force.processes[worker.number].pid
        rss, vsz = memory_of(pid)
        workers.append(
            WorkerFacts(
                number=worker.number,
                pid=pid,
                accepts=worker.state in (WorkerState.READY, WorkerState.RETIRING),
                born_at=unix_now - (now - worker.since),
                births=ledger.births[worker.number],
                harakiris=ledger.harakiris.get(worker.number, 0),
                rss_bytes=rss,
                vsz_bytes=vsz,
                slots=force.readings([worker.number]),
                by_app=force.app_counts(worker.number),
            )
        )
    mounts = names_of(generation.app, generation.mounts)
    about = _about(generation.master_pid, generation.directory, mounts, generation.stats_requests)
    about = about._replace(
        load_s=force.load_s,
        locks=lock_count(generation.uwsgi_options) if generation.uwsgi_api else 0,
        caches=[
            CacheFacts(wish.name, wish.items, wish.block_bytes, wish.key_bytes, *counts)
            for wish, counts in zip(caches_of(generation), force.cache_counts(), strict=True)
        ],
    )
    return vassal_stats(about, sockets, workers, unix_now - now)


def _about(pid: int, cwd: str, mounts: "list[str] | tuple[str, ...]", knows: bool) -> About:
    return About(pid or os.getpid(), os.getuid(), os.getgid(), cwd, mounts, knows)
