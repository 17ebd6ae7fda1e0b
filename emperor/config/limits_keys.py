"""The rows of [limits]: what the processes of a vassal may use. Pure.

Names and meanings are those of systemd.resource-control(5) and systemd.exec(5).
"""

from functools import partial

from emperor.config import directives, values
from emperor.config import tightness as tight
from emperor.config.key import Key
from emperor.config.schemas import (
    BOOLEAN,
    COUNT,
    DURATION,
    MEMORY,
    MODE,
    NUMBERS,
    PERCENT,
    RLIMIT,
    SIZE,
    WORD,
    choice,
    integer,
    table_of,
)
from limits.rlimits import RLIMITS

IO_CLASSES = ("realtime", "best-effort", "idle")
WEIGHT_DEFAULT = 100  # the kernel's, of cpu.weight and io.weight
PRIORITY_DEFAULT = 4

_MEMORY = tuple(
    Key(f"limits.{name}", directives.memory, MEMORY, text, "", example, rule, directives.size_words)
    for name, text, example, rule in (
        (
            "memory_max",
            'Memory of all processes together; above it one is killed. "50%" is of the machine\'s.',
            '"512M"',
            tight.AT_MOST,
        ),
        (
            "memory_high",
            "Above this much memory processes are slowed down, and never killed.",
            '"400M"',
            tight.AT_MOST,
        ),
        (
            "memory_low",
            "So much memory is taken from others first when the machine runs short.",
            '"64M"',
            tight.PROVIDERS,
        ),
        ("memory_min", "So much memory is never taken away.", '"32M"', tight.PROVIDERS),
        (
            "memory_swap_max",
            "Swap of all processes together. Default: 0 where memory_max is given.",
            "0",
            tight.AT_MOST,
        ),
    )
)

_CPU = (
    Key(
        "limits.memory_oom_group",
        values.boolean,
        BOOLEAN,
        "Out of memory kills all processes of the vassal at once, not one of them.",
        "false",
        "true",
    ),
    Key(
        "limits.cpu_quota",
        directives.quota,
        PERCENT,
        'CPU time of all processes together, in percent of one CPU: "150%" is one and a half.',
        "",
        '"150%"',
        tight.AT_MOST,
        directives.quota_text,
    ),
    Key(
        "limits.cpu_quota_period_sec",
        partial(values.duration, minimum=0.001, maximum=1.0),
        DURATION,
        "The time in which cpu_quota may be used up, before the processes wait for the next.",
        '"100ms"',
        '"10ms"',
        tight.AT_MOST,
    ),
    Key(
        "limits.cpu_burst",
        partial(values.duration, maximum=1.0),
        DURATION,
        "CPU time left over from earlier periods that one period may use beyond cpu_quota.",
        "",
        '"50ms"',
        tight.at_most_or(0),
    ),
    Key(
        "limits.cpu_weight",
        partial(values.whole, minimum=1, maximum=10_000),
        integer(1, 10_000),
        "Share of the CPUs when they are all busy; 100 is everybody's.",
        "",
        "50",
        tight.at_most_or(WEIGHT_DEFAULT),
    ),
    Key(
        "limits.allowed_cpus",
        directives.numbers,
        NUMBERS,
        "The CPUs that the processes run on, held by their cgroup.",
        "",
        '"0-3,8"',
        tight.SUBSET,
        directives.numbers_text,
    ),
    Key(
        "limits.allowed_memory_nodes",
        directives.numbers,
        NUMBERS,
        "The NUMA nodes that memory comes from.",
        "",
        '"0"',
        tight.SUBSET,
        directives.numbers_text,
    ),
)


def _io(name: str, help_text: str, bandwidth: bool) -> Key:
    return Key(
        f"limits.{name}",
        directives.bandwidths if bandwidth else directives.rates,
        table_of(SIZE if bandwidth else integer(1, values.SIZE_MAX)),
        help_text,
        "{}",
        '{ "/srv" = "20M" }' if bandwidth else '{ "/srv" = 500 }',
        tight.BOUNDED_TABLE,
        directives.table_text(directives.size_words if bandwidth else directives.amount_text),
    )


_IO = (
    _io(
        "io_read_bandwidth_max", "Bytes read per second, by a path on the disk that is meant.", True
    ),
    _io("io_write_bandwidth_max", "Bytes written per second, by a path on the disk.", True),
    _io("io_read_iops_max", "Reads per second, by a path on the disk that is meant.", False),
    _io("io_write_iops_max", "Writes per second, by a path on the disk that is meant.", False),
    Key(
        "limits.io_weight",
        partial(values.whole, minimum=1, maximum=10_000),
        integer(1, 10_000),
        "Share of the disks when they are busy; 100 is everybody's.",
        "",
        "50",
        tight.at_most_or(WEIGHT_DEFAULT),
    ),
    Key(
        "limits.io_device_latency_target_sec",
        directives.latencies,
        table_of(DURATION),
        "Others' disk access is slowed down while this vassal's takes longer than so.",
        "{}",
        '{ "/srv" = "25ms" }',
        tight.PROVIDERS,
        directives.table_text(lambda seconds: seconds),
    ),
)

_REST = (
    Key(
        "limits.tasks_max",
        directives.tasks,
        COUNT,
        'Processes and threads of the vassal together. "10%" is of what the machine can have.',
        "128",
        "64",
        tight.AT_MOST,
        directives.amount_text,
    ),
    Key(
        "limits.hugetlb_max",
        directives.hugetlb,
        table_of(MEMORY),
        "Memory in huge pages, by their size.",
        "{}",
        '{ "2MB" = "64M" }',
        tight.BOUNDED_TABLE,
        directives.table_text(directives.size_words),
    ),
    Key(
        "limits.slice",
        directives.word,
        WORD,
        "The customer whose budget [customer.NAME.limits] the vassal shares.",
        "",
        '"acme"',
        tight.PROVIDERS,
    ),
    Key(
        "limits.nice",
        partial(values.whole, minimum=-20, maximum=19),
        integer(-20, 19),
        "Priority on the CPU: -20 comes first, 19 last.",
        "",
        "5",
        tight.at_least_or(0),
    ),
    Key(
        "limits.io_scheduling_class",
        partial(values.one_of, choices=IO_CLASSES),
        choice(*IO_CLASSES),
        "Class of disk access: realtime goes before all others, idle waits for all others.",
        "",
        '"idle"',
        # Without a class the kernel takes best-effort.
        tight.Rule(
            lambda asked, granted: (
                IO_CLASSES.index(asked or "best-effort")
                >= IO_CLASSES.index(granted or "best-effort")
            ),
            "write {}",
        ),
    ),
    Key(
        "limits.io_scheduling_priority",
        partial(values.whole, minimum=0, maximum=7),
        integer(0, 7),
        "Priority within the class: 0 comes first, 7 last.",
        "",
        "7",
        tight.at_least_or(PRIORITY_DEFAULT),
    ),
    Key(
        "limits.cpu_affinity",
        directives.numbers,
        NUMBERS,
        "The CPUs that the processes start on; they may choose others themselves.",
        "",
        '"0-1"',
        tight.SUBSET,
        directives.numbers_text,
    ),
    Key(
        "limits.oom_score_adjust",
        # -1000 would make the tenant unkillable for the kernel.
        partial(values.whole, minimum=-999, maximum=1000),
        integer(-999, 1000),
        "How soon the kernel kills the vassal when the machine runs out of memory: 1000 is first.",
        "300",
        "500",
        tight.at_least_or(0),
    ),
    Key(
        "limits.umask",
        values.file_mode,
        MODE,
        "Permission bits that new files do not get.",
        '"027"',
        '"077"',
        write=lambda mode: f"{mode:03o}",
    ),
    Key(
        "limits.disk_quota",
        directives.size_or_infinity,
        MEMORY,
        "Bytes on disk of all files of the user together.",
        "",
        '"5G"',
        tight.PROVIDERS,
        directives.size_words,
    ),
    Key(
        "limits.inode_quota",
        directives.count,
        COUNT,
        "Files of the user together.",
        "",
        "100000",
        tight.PROVIDERS,
        directives.amount_text,
    ),
)

_RLIMITS = tuple(
    Key(
        f"limits.limit_{row.name}",
        partial(values.rlimit, unit=row.unit),
        RLIMIT,
        f"RLIMIT_{row.name.upper()} of every process, SOFT:HARD, in {row.unit}.",
        "",
        '"1024:4096"' if row.unit == "count" else "0",
        tight.RLIMIT,
        directives.pair_text,
    )
    for row in RLIMITS.values()
)

LIMITS_KEYS = (*_RLIMITS, *_MEMORY, *_CPU, *_IO, *_REST)

BUDGET_KEYS = tuple(
    key
    for key in LIMITS_KEYS
    if key.name.partition(".")[2].partition("_")[0]
    in ("memory", "cpu", "allowed", "io", "tasks", "hugetlb")
    and key.name.partition(".")[2]
    not in ("cpu_affinity", "io_scheduling_class", "io_scheduling_priority", "memory_oom_group")
)
"""What a cgroup above several vassals can hold: the keys of [customer.NAME.limits]."""
