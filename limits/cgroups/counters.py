"""What a cgroup used and counted: parsers of its files, and the reader of all of them.

The parsers are pure, ignore what they do not know, and take a missing file for zero: a
new kernel adds keys, an old one lacks files, and a cgroup may go while it is read.
"""

import msgspec

from limits.cgroups import files


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """Percent of the last 10 and 60 s in which some, or all, tasks waited; totals in µs."""

    some_avg10: float = 0.0
    some_avg60: float = 0.0
    some_total_us: int = 0
    full_avg10: float = 0.0
    full_avg60: float = 0.0
    full_total_us: int = 0


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What was read from and written to one device, or all of them."""

    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a cgroup. Counters only grow, while the cgroup lives.

    None = this host does not say. The `*_events` count how often a limit was met:
    `memory_max_events` reclaims at memory_max, `oom_kill_events` killed processes,
    `tasks_max_events` forks that failed.
    """

    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    swap_bytes: int | None = None
    memory_low_events: int = 0
    memory_high_events: int = 0
    memory_max_events: int = 0
    oom_events: int = 0
    oom_kill_events: int = 0
    oom_group_kill_events: int = 0
    tasks: int | None = None
    tasks_peak: int | None = None
    tasks_max_events: int = 0
    cpu_us: int = 0
    cpu_user_us: int = 0
    cpu_system_us: int = 0
    cpu_periods: int = 0
    cpu_throttled_periods: int = 0
    cpu_throttled_us: int = 0
    traffic: dict[str, Traffic] = {}  # by "MAJOR:MINOR"
    cpu_pressure: Pressure | None = None
    memory_pressure: Pressure | None = None
    io_pressure: Pressure | None = None

    def total_traffic(self) -> Traffic:
        """Return the sum over all devices; stacked devices (dm, md) count once more."""
        return Traffic(
            read_bytes=sum(one.read_bytes for one in self.traffic.values()),
            write_bytes=sum(one.write_bytes for one in self.traffic.values()),
            reads=sum(one.reads for one in self.traffic.values()),
            writes=sum(one.writes for one in self.traffic.values()),
        )


def parse_flat(text: str | None) -> dict[str, int]:
    """Return the numbers of a flat keyed file ("key value" lines): memory.events, cpu.stat."""
    found = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if _is_number(value):
            found[key] = int(value)
    return found


def parse_nested(text: str | None) -> dict[str, dict[str, int]]:
    """Return the numbers of a nested keyed file ("8:0 rbytes=1 wbytes=2" lines): io.stat."""
    found: dict[str, dict[str, int]] = {}
    for line in (text or "").splitlines():
        name, *pairs = line.split() or [""]
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if name:
            found[name] = {key: int(value) for key, value in values.items() if _is_number(value)}
    return found


def parse_number(text: str | None) -> int | None:
    """Return the number of a file with one; None if it is missing or says "max"."""
    value = (text or "").strip()
    return int(value) if _is_number(value) else None


def parse_pressure(text: str | None) -> Pressure | None:
    """Return a *.pressure file; None if it is missing, or pressure is not accounted."""
    averages: dict[str, float] = {}
    totals: dict[str, int] = {}
    for line in (text or "").splitlines():
        kind, *pairs = line.split() or [""]
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key == "total" and _is_number(value):
                totals[kind] = int(value)
            elif _is_number(value.replace(".", "", 1)):
                averages[f"{kind}_{key}"] = float(value)
    if not totals:
        return None
    return Pressure(
        some_avg10=averages.get("some_avg10", 0.0),
        some_avg60=averages.get("some_avg60", 0.0),
        some_total_us=totals.get("some", 0),
        full_avg10=averages.get("full_avg10", 0.0),
        full_avg60=averages.get("full_avg60", 0.0),
        full_total_us=totals.get("full", 0),
    )


def parse_traffic(text: str | None) -> dict[str, Traffic]:
    """Return io.stat by device."""
    return {
        device: Traffic(
            read_bytes=values.get("rbytes", 0),
            write_bytes=values.get("wbytes", 0),
            reads=values.get("rios", 0),
            writes=values.get("wios", 0),
        )
        for device, values in parse_nested(text).items()
        if values
    }


def parse_usage(texts: dict[str, str | None]) -> Usage:
    """Return the usage that the files, by name, tell."""
    memory = parse_flat(texts.get("memory.events"))
    cpu = parse_flat(texts.get("cpu.stat"))
    return Usage(
        memory_bytes=parse_number(texts.get("memory.current")),
        memory_peak_bytes=parse_number(texts.get("memory.peak")),
        swap_bytes=parse_number(texts.get("memory.swap.current")),
        memory_low_events=memory.get("low", 0),
        memory_high_events=memory.get("high", 0),
        memory_max_events=memory.get("max", 0),
        oom_events=memory.get("oom", 0),
        oom_kill_events=memory.get("oom_kill", 0),
        oom_group_kill_events=memory.get("oom_group_kill", 0),
        tasks=parse_number(texts.get("pids.current")),
        tasks_peak=parse_number(texts.get("pids.peak")),
        tasks_max_events=parse_flat(texts.get("pids.events")).get("max", 0),
        cpu_us=cpu.get("usage_usec", 0),
        cpu_user_us=cpu.get("user_usec", 0),
        cpu_system_us=cpu.get("system_usec", 0),
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled_us=cpu.get("throttled_usec", 0),
        traffic=parse_traffic(texts.get("io.stat")),
        cpu_pressure=parse_pressure(texts.get("cpu.pressure")),
        memory_pressure=parse_pressure(texts.get("memory.pressure")),
        io_pressure=parse_pressure(texts.get("io.pressure")),
    )


FILES = (
    "memory.current",
    "memory.peak",
    "memory.swap.current",
    "memory.events",
    "pids.current",
    "pids.peak",
    "pids.events",
    "cpu.stat",
    "io.stat",
    "cpu.pressure",
    "memory.pressure",
    "io.pressure",
)


def usage_of(directory: str) -> Usage:
    """Read all of a cgroup's counters; zeros if it has gone."""
    return parse_usage({name: files.read(f"{directory}/{name}") for name in FILES})


def held_bytes_of(directory: str) -> int | None:
    """Return the memory that a cgroup uses and the kernel cannot just take back: all but its files'
    pages. None if it is not counted, or has gone."""
    used = parse_number(files.read(f"{directory}/memory.current"))
    if used is None:
        return None
    parts = parse_flat(files.read(f"{directory}/memory.stat"))
    return max(0, used - parts.get("active_file", 0) - parts.get("inactive_file", 0))


def memory_max_of(directory: str) -> int | None:
    """Return the limit of a cgroup's memory; None = it has none."""
    return parse_number(files.read(f"{directory}/memory.max"))


def cpu_us_of(directory: str) -> int | None:
    """Return the CPU time in µs that a cgroup has used; None if it is not counted, or has gone."""
    return parse_flat(files.read(f"{directory}/cpu.stat")).get("usage_usec")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
