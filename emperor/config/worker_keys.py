"""The keys of workers: how many, how long, when they are replaced. Pure."""

from functools import partial

from emperor.config import tightness as tight
from emperor.config import values
from emperor.config.key import Key
from emperor.config.problems import Invalid, quoted
from emperor.config.schemas import BOOLEAN, DURATION, SIZE, WORKERS, integer
from emperor.config.settings import Workers

WORKERS_MAX = 1024
THREADS_MAX = 1024
CPUS_MAX = 1024


def number_of_workers(value: object) -> Workers:
    """Return the bounds from a number, or from a table of min, max, initial and step."""
    if not isinstance(value, dict):
        count = values.whole(value, minimum=1, maximum=WORKERS_MAX)
        return Workers(count, count)
    remedy = "write a number, or { min = 1, max = 8 }"
    unknown = [name for name in value if name not in Workers._fields]
    if unknown or "max" not in value:
        problem = f"{quoted(str(unknown[0]))} is no bound" if unknown else "max is missing"
        raise Invalid(problem, remedy)
    most = values.whole(value["max"], minimum=1, maximum=WORKERS_MAX)
    least = values.whole(value.get("min", 1), minimum=1, maximum=WORKERS_MAX)
    if least > most:
        raise Invalid(f"min = {least} is more than max = {most}", remedy)
    step = values.whole(value.get("step", 0), minimum=0, maximum=WORKERS_MAX)
    initial = values.whole(value.get("initial", 0), minimum=0, maximum=WORKERS_MAX)
    if initial and not least <= initial <= most:
        raise Invalid(
            f"initial = {initial} is not between min = {least} and max = {most}",
            f"write a number from {least} to {most}, or remove it",
        )
    return Workers(least, most, initial, step) if least < most else Workers(least, most)


def write_workers(bounds: Workers) -> object:
    """Return the bounds as a TOML value."""
    if bounds.min == bounds.max:
        return bounds.max
    return {name: value for name, value in bounds._asdict().items() if value}


def size_to_go_at(value: object) -> int:
    """Return bytes at which a worker goes, 0 = never; no interpreter is smaller than 1 MiB."""
    return values.size(value, 0 if value == 0 else 1024 * 1024)


WORKER_KEYS = (
    Key(
        "workers",
        number_of_workers,
        WORKERS,
        "Processes: a number, or bounds between which it follows the load; it begins with initial,"
        " and grows by step at a time.",
        "1",
        "{ min = 1, max = 8 }",
        rule=tight.WORKERS,
        write=write_workers,
    ),
    Key(
        "threads",
        partial(values.whole, minimum=1, maximum=THREADS_MAX),
        integer(1, THREADS_MAX),
        "Per worker.",
        "1",
        "2",
        rule=tight.AT_MOST,
    ),
    Key(
        "worker_cpus",
        partial(values.whole, minimum=0, maximum=CPUS_MAX),
        integer(0, CPUS_MAX),
        "CPUs that each worker is bound to, in turn, of those that the vassal has. 0 = all.",
        "0",
        "1",
    ),
    Key(
        "harakiri",
        values.duration,
        DURATION,
        "A request that runs longer is killed with its worker. 0 = never.",
        "30",
        '"2m"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "harakiri_max",
        values.duration,
        DURATION,
        "The longest limit that the application may ask for. 0 = it may only shorten.",
        "0",
        '"10m"',
        rule=tight.AT_MOST,
    ),
    Key(
        "harakiri_soft",
        values.duration,
        DURATION,
        "After this time an exception is raised in the request. 0 = never.",
        "0",
        "25",
    ),
    Key(
        "spawn_timeout",
        partial(values.duration, minimum=values.SHORTEST_DURATION),
        DURATION,
        "Longest time for loading the application, and the commands before and behind that.",
        "60",
        '"2m"',
        rule=tight.AT_MOST,
    ),
    Key(
        "lazy_apps",
        values.boolean,
        BOOLEAN,
        "Each worker loads the application itself: no memory is shared, and no connection.",
        "false",
        "true",
    ),
    Key(
        "stop_timeout",
        values.duration,
        DURATION,
        "Time for running requests to finish before a stop kills them.",
        "30",
        "5",
        rule=tight.AT_MOST,
    ),
    Key(
        "on_demand",
        values.boolean,
        BOOLEAN,
        "No process runs before the first connection.",
        "false",
        "true",
    ),
    Key(
        "idle_stop",
        values.duration,
        DURATION,
        "With on_demand: after so long without a request, all of it stops again. 0 = never.",
        "0",
        '"10m"',
    ),
    Key(
        "max_unavailable",
        partial(values.whole, minimum=0, maximum=WORKERS_MAX),
        integer(0, WORKERS_MAX),
        "So many workers may be missing while new ones take over; more need less memory.",
        "0",
        "1",
    ),
    Key(
        "max_requests",
        partial(values.whole, minimum=0, maximum=2**31 - 1),
        integer(0, 2**31 - 1),
        "A worker is replaced after this many requests. 0 = never.",
        "0",
        "5000",
    ),
    Key(
        "max_requests_jitter",
        partial(values.whole, minimum=0, maximum=2**31 - 1),
        integer(0, 2**31 - 1),
        "At most this many requests later, by chance. Default: a tenth of max_requests.",
        "",
        "500",
    ),
    Key(
        "max_worker_lifetime",
        values.duration,
        DURATION,
        "A worker is replaced after this time. 0 = never.",
        "0",
        '"6h"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "reload_on_rss",
        size_to_go_at,
        SIZE,
        "A worker larger than this is replaced after its request. 0 = never.",
        "0",
        '"300M"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "reload_on_as",
        size_to_go_at,
        SIZE,
        "A worker with more address space than this is replaced after its request. 0 = never.",
        "0",
        '"2G"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "autoreload",
        lambda value: values.duration(value, minimum=0 if value == 0 else 1),
        DURATION,
        "Every so often look for changed files of loaded modules, and reload then. 0 = never.",
        "0",
        "2",
    ),
)
