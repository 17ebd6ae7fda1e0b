"""How many processes a uWSGI file asks for, how long they live, what they may use. Pure."""

from collections.abc import Callable

from emperor.config.values import DURATION_MAX, resolved
from emperor.config.worker_keys import CPUS_MAX, THREADS_MAX, WORKERS_MAX
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import NUMBER_MAX, megabytes, truth, umask
from vassal.master.commands import SIGNALS_DIE_ON_TERM, SIGNALS_UWSGI

_NO_LIMIT = "0 is no limit"


_LONGEST = int(DURATION_MAX)
_AUTORELOAD = ("py-auto-reload", "py-autoreload", "python-auto-reload", "python-autoreload")

_SINGLE: tuple[tuple[str, Callable[[str], object], tuple[str, ...]], ...] = (
    ("user", str.strip, ("uid", "immediate-uid")),
    ("group", str.strip, ("gid", "immediate-gid")),
    ("lazy_apps", truth, ("lazy", "lazy-apps")),
)
"""Options whose value is that of a key, by a rule for the value alone."""

_NUMBERS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("max_requests", 0, NUMBER_MAX, ("max-requests",)),
    ("max_worker_lifetime", 0, _LONGEST, ("max-worker-lifetime",)),
    ("stop_timeout", 0, _LONGEST, ("worker-reload-mercy",)),
    ("autoreload", 0, _LONGEST, _AUTORELOAD),
    ("worker_cpus", 0, CPUS_MAX, ("cpu-affinity",)),
    ("limits.nice", -20, 19, ("prio",)),
)
"""Options whose number is that of a key, and its bounds."""

_SIZES = {"reload_on_rss": "reload-on-rss", "reload_on_as": "reload-on-as"}
_SCALING = {"cheaper-initial": "initial", "cheaper-step": "step"}

_LIMITS: tuple[tuple[str, Callable[[int], object], str], ...] = (
    ("limits.limit_as", megabytes, "limit-as"),
    ("limits.limit_nproc", int, "limit-nproc"),
    ("limits.limit_nofile", int, "max-fd"),
)

_TOUCHED = {
    "touch_reload": (
        "touch-reload",
        "touch-workers-reload",
        "touch-chain-reload",
        "fs-reload",
        "fs-brutal-reload",
    ),
    "log.touch_reopen": ("touch-logreopen",),
    "log.touch_rotate": ("touch-logrotate",),
}


def put_single(draft: Draft) -> None:
    """Set the keys that one option gives."""
    for key, parse, names in _SINGLE:
        taken = draft.last(*names)
        value = draft.read(taken, parse)
        if taken is not None and value is not None:
            draft.put(key, value, taken)
    for key, least, most, names in _NUMBERS:
        taken = draft.last(*names)
        number = draft.number(taken, least, most)
        if taken is not None and number is not None:
            draft.put(key, number, taken)
    _put_umask(draft)
    for key, write, name in _LIMITS:
        taken = draft.last(name)
        number = draft.number(taken)
        if taken is not None and number == 0:
            draft.remark(taken, Support.IGNORED, _NO_LIMIT)
        elif taken is not None and number is not None:
            draft.put(key, write(number), taken)


def _put_umask(draft: Draft) -> None:
    taken = draft.last("umask")
    if taken is None:
        return
    digits, doubt = umask(taken.value.strip())
    if digits is not None:
        draft.put("limits.umask", digits, taken)
    if doubt:
        draft.doubt(taken, doubt)


def put_workers(draft: Draft) -> None:
    """Set workers and threads, and what depends on their number."""
    processes, cheaper = draft.last("processes", "workers"), draft.last("cheaper")
    # Without workers uWSGI binds its sockets and answers nobody.
    most = 1 if processes is None else draft.number(processes, 1, WORKERS_MAX)
    least = draft.number(cheaper)
    if most is not None:
        if cheaper is not None and least:
            if least >= most:
                problem = f"{least} is not less than processes, which is {most}"
                draft.wrong(cheaper, problem, f"write processes = {least + 1} or more")
            else:
                sources = [taken for taken in (processes, cheaper) if taken is not None]
                bounds, more = _scaling(draft, least, most)
                draft.put("workers", bounds, *sources, *more)
        elif processes is not None:
            draft.put("workers", most, processes)
    if cheaper is not None and least == 0:
        draft.remark(cheaper, Support.SATISFIED, "the number of workers is fixed")
    if not least:
        for taken in draft.all(*_SCALING):
            draft.remark(taken, Support.IGNORED, "it does nothing without cheaper")
    threads = draft.last("threads")
    count = draft.number(threads, 0, THREADS_MAX)
    if threads is not None and count is not None:
        draft.put("threads", max(count, 1), threads)
    _put_jitter(draft, most or 1)


def _scaling(draft: Draft, least: int, most: int) -> tuple[dict[str, int], list[Taken]]:
    """Return the table of workers, and the options that have a word in it beside the bounds."""
    bounds, sources = {"min": least, "max": most}, list[Taken]()
    for name, key in _SCALING.items():
        taken = draft.last(name)
        value = draft.number(taken)
        if taken is not None and value is not None:
            # uWSGI warns, and takes the nearest that makes sense.
            bounds[key] = min(max(value, least if key == "initial" else 1), most)
            sources.append(taken)
    return bounds, sources


def _put_jitter(draft: Draft, workers: int) -> None:
    """Set by how much the last worker outlives the first."""
    delta, requests = draft.last("max-requests-delta"), draft.all("max-requests")
    step = draft.number(delta)
    if delta is None or step is None:
        return
    most = draft.number(requests[-1]) if requests else 0
    if most:
        draft.put("max_requests_jitter", min(step * (workers - 1), most), delta)
    else:
        draft.remark(delta, Support.IGNORED, "it does nothing without max-requests")


def put_harakiri(draft: Draft) -> None:
    """Set the deadline of requests, and the exception that comes before the kill."""
    limit, graceful = draft.last("harakiri"), draft.last("harakiri-graceful-timeout")
    seconds = draft.number(limit, 0, _LONGEST)
    longer = draft.number(graceful, 0, _LONGEST)
    if limit is None or seconds is None:
        if graceful is not None:
            draft.remark(graceful, Support.IGNORED, "it does nothing without harakiri")
        return
    if seconds and longer and graceful is not None:
        draft.put("harakiri_soft", min(seconds, _LONGEST - 1), limit)
        draft.put("harakiri", min(seconds + longer, _LONGEST), limit, graceful)
    else:
        draft.put("harakiri", seconds, limit)


def put_memory(draft: Draft) -> None:
    """Set the sizes at which a worker goes; the evil kind, which kills in the middle of a
    request, counts second."""
    for key, name in _SIZES.items():
        usual, evil = draft.last(name), draft.last(f"evil-{name}")
        if usual is not None and evil is not None:
            draft.remark(evil, Support.IGNORED, f"{name} counts; a hard limit is memory_max")
        taken = usual or evil
        most = draft.number(taken)
        if taken is not None and most is not None:
            draft.put(key, megabytes(most), taken)


def put_sleep(draft: Draft) -> None:
    """Set whether the vassal goes when nobody asks for it, and comes with the first connection."""
    cheap, idle, dies = draft.last("cheap"), draft.last("idle"), draft.last("die-on-idle")
    sources: list[Taken] = []
    if cheap is not None and truth(cheap.value):
        sources.append(cheap)
    elif cheap is not None:
        draft.remark(cheap, Support.IGNORED, "off")
    seconds = draft.number(idle, 0, _LONGEST)
    if idle is not None and seconds:
        sources.append(idle)
        draft.put("idle_stop", seconds, idle)
    elif idle is not None and seconds == 0:
        draft.remark(idle, Support.IGNORED, "0 is never")
    if dies is not None and seconds:
        draft.remark(dies, Support.SATISFIED, "an idle vassal has no process at all")
    elif dies is not None:
        draft.remark(dies, Support.IGNORED, "it does nothing without idle")
    if sources:
        draft.put("on_demand", True, *sources)


def put_touched(draft: Draft, base: str) -> None:
    """Set the files that are touched to reload the vassal, or to begin a new log."""
    for key, names in _TOUCHED.items():
        found = draft.all(*names)
        if found:
            draft.put(key, [resolved(taken.value, base) for taken in found], *found)


def put_pidfile(draft: Draft, base: str, folder: str) -> None:
    """Set where the pid is written; the first kind is written before uWSGI goes to chdir."""
    taken = draft.last("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2")
    if taken is not None:
        draft.put("pidfile", resolved(taken.value, base if "2" in taken.name else folder), taken)


def put_remote(draft: Draft, base: str) -> None:
    """Set how the master is told things: by letters, and by which signals."""
    found = draft.all("master-fifo")
    if found:
        draft.put("fifo", [resolved(taken.value, base) for taken in found], *found)
    dies = draft.last("die-on-term")
    if dies is not None and truth(dies.value):
        draft.put("signals", SIGNALS_DIE_ON_TERM, dies)
    elif dies is not None:
        draft.put("signals", SIGNALS_UWSGI, dies)


def put_name(draft: Draft) -> None:
    """Set the name of the processes."""
    prefix = draft.last("procname-prefix", "procname-prefix-spaced")
    whole_name = draft.last("procname")
    taken = whole_name or prefix
    if taken is not None:
        draft.put("procname", taken.value.strip(), taken)
    if prefix is not None and whole_name is not None:
        draft.overruled(prefix, whole_name)
