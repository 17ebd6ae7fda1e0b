"""Decides what is written into a cgroup's files for some Limits. Pure.

Every file that the cgroup has is named, with the kernel's default where nothing is asked:
so the same list sets limits, changes them on the living, and takes them away.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from limits.directives import Limits, is_unlimited
from limits.plan import Unsupported
from limits.rlimits import INFINITY

_MICROSECONDS = 1_000_000

# kernel/sched/core.c: neither quota nor period may be shorter, no period longer.
_CPU_TIME_MIN_US = 1_000
_CPU_PERIOD_MAX_US = 1_000_000

_WEIGHT = 100  # the kernel's default of cpu.weight, io.weight and io.bfq.weight
_IO_RATES = {
    "rbps": "io_read_bandwidth_max",
    "wbps": "io_write_bandwidth_max",
    "riops": "io_read_iops_max",
    "wiops": "io_write_iops_max",
}
_IO_LATENCY = "io_device_latency_target_sec"


class CgroupHost(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload cgroup can limit here.

    `files` are the names of its interface files. `devices` maps the paths of the io_*
    tables to "MAJOR:MINOR", `no_device` to why a path has none. `unprotected` names those of
    memory.low and memory.min that are 0 in the root, and so without effect below. `advice`
    ends the sentence "the memory controller is not available here".
    """

    files: frozenset[str] = frozenset()
    devices: dict[str, str] = {}
    no_device: dict[str, str] = {}
    unprotected: frozenset[str] = frozenset()
    advice: str = ""


@dataclass(frozen=True)
class Write:
    """`text` goes to `file`. `device`: the part of the file that it is about, "" = all of it."""

    file: str
    text: str
    keys: tuple[str, ...]
    device: str = ""

    @property
    def controller(self) -> str:
        return self.file.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}: {self.text.strip() or '(everything)'}"


@dataclass(frozen=True)
class CgroupPlan:
    """What to write, in this order, and what this host cannot limit."""

    writes: tuple[Write, ...]
    unsupported: tuple[Unsupported, ...]

    def __str__(self) -> str:
        lines = [str(item) for item in self.writes]
        lines += [f"not {item.key}: {item.reason}" for item in self.unsupported]
        return "\n".join(lines)


Item = Write | Unsupported


def cgroup_writes(limits: Limits, host: CgroupHost) -> CgroupPlan:
    """Return what to write for `limits`, whole: defaults included."""
    parts = (_memory, _cpu, _cpuset, _io, _pids, _hugetlb)
    items = [item for part in parts for item in part(limits, host)]
    return CgroupPlan(
        writes=tuple(item for item in items if isinstance(item, Write)),
        unsupported=tuple(item for item in items if isinstance(item, Unsupported)),
    )


def changes(before: CgroupPlan, after: CgroupPlan) -> tuple[Write, ...]:
    """Return the writes that lead from one plan to the other.

    All of a controller in which something changed: some of its files depend on another.
    """
    changed = {write.controller for write in set(before.writes) ^ set(after.writes)}
    gone = {(write.file, write.device): write for write in before.writes if write.device}
    for write in after.writes:
        gone.pop((write.file, write.device), None)
    resets = tuple(device_reset(write.file, write.device) for write in gone.values())
    return resets + tuple(write for write in after.writes if write.controller in changed)


def device_reset(file: str, device: str) -> Write:
    """Return the write that takes a device's limits in io.max or io.latency away."""
    if file == "io.latency":
        return Write(file, f"{device} target=0", (_IO_LATENCY,), device)
    nothing = " ".join(f"{rate}=max" for rate in _IO_RATES)
    return Write(file, f"{device} {nothing}", tuple(_IO_RATES.values()), device)


def io_paths(limits: Limits) -> frozenset[str]:
    """Return the paths whose devices the limits are about."""
    tables = [getattr(limits, key) for key in (*_IO_RATES.values(), _IO_LATENCY)]
    return frozenset(path for table in tables for path in table)


def _memory(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    for file, amount, key, setting in (
        ("memory.min", limits.memory_min, "memory_min", "MemoryMin="),
        ("memory.low", limits.memory_low, "memory_low", "MemoryLow="),
    ):
        yield from _one(host, file, _amount(amount, "0"), key, "0")
        if amount and file in host.unprotected:
            yield Unsupported(
                key,
                "a cgroup is protected only as far as those above it; give emperord's unit "
                f"a {setting} of at least what all vassals are promised",
            )
    yield from _one(host, "memory.high", _amount(limits.memory_high), "memory_high")
    swap = limits.memory_swap_max
    if swap is None and not is_unlimited(limits.memory_max):
        swap = 0  # or the limit would only move the memory to the disk
    yield from _one(host, "memory.swap.max", _amount(swap), "memory_swap_max")
    yield from _one(host, "memory.max", _amount(limits.memory_max), "memory_max")
    group = "1" if limits.memory_oom_group else "0"
    yield from _one(host, "memory.oom.group", group, "memory_oom_group", "0")


def _cpu(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    weight = _WEIGHT if limits.cpu_weight is None else limits.cpu_weight
    yield from _one(host, "cpu.weight", str(weight), "cpu_weight", str(_WEIGHT))
    quota_us, period_us = cpu_bandwidth(limits.cpu_quota, limits.cpu_quota_period_sec)
    burst_us = round((limits.cpu_burst or 0) * _MICROSECONDS)
    if "cpu.max.burst" in host.files:
        # The kernel refuses a quota below the burst, so that goes first and comes last.
        yield Write("cpu.max.burst", "0", ("cpu_burst",))
    unlimited = f"max {period_us}"
    text = unlimited if quota_us is None else f"{quota_us} {period_us}"
    yield from _one(host, "cpu.max", text, "cpu_quota", unlimited)
    if not burst_us:
        return
    if quota_us is None:
        yield Unsupported("cpu_burst", "there is nothing to exceed without cpu_quota; set that too")
        return
    if burst_us > quota_us:
        yield Unsupported(
            "cpu_burst",
            f"the kernel allows no more than the quota of {quota_us} µs per period; that is set",
        )
    yield from _one(host, "cpu.max.burst", str(min(burst_us, quota_us)), "cpu_burst", "0")


def cpu_bandwidth(cpus: float | None, period_s: float) -> tuple[int | None, int]:
    """Return quota and period in µs; quota None = no limit.

    The period grows until a small quota is one that the kernel accepts.
    """
    period_us = _between(_CPU_TIME_MIN_US, round(period_s * _MICROSECONDS), _CPU_PERIOD_MAX_US)
    if cpus is None or cpus == INFINITY:
        return None, period_us
    if cpus * period_us < _CPU_TIME_MIN_US:
        enough = round(_CPU_TIME_MIN_US / cpus) if cpus > 0 else _CPU_PERIOD_MAX_US
        period_us = _between(period_us, enough, _CPU_PERIOD_MAX_US)
    return max(round(cpus * period_us), _CPU_TIME_MIN_US), period_us


def _cpuset(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    for file, numbers, key in (
        ("cpuset.cpus", limits.allowed_cpus, "allowed_cpus"),
        ("cpuset.mems", limits.allowed_memory_nodes, "allowed_memory_nodes"),
    ):
        text = ",".join(map(str, sorted(set(numbers or ()))))
        yield from _one(host, file, text or "\n", key, "\n")


def _io(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    yield from _io_weight(limits, host)
    rates: dict[str, dict[str, int]] = {}
    keys: dict[str, list[str]] = {}
    for rate, key in _IO_RATES.items():
        for path, value in getattr(limits, key).items():
            device = host.devices.get(path)
            if "io.max" not in host.files:
                yield Unsupported(key, _lack("io.max", host))
            elif device is None:
                yield Unsupported(key, host.no_device.get(path, f"{path}: no device was found"))
            elif value != INFINITY:
                # Two paths on one device: both promises hold with the smaller.
                of_device = rates.setdefault(device, {})
                of_device[rate] = min(value, of_device.get(rate, value))
                keys.setdefault(device, []).append(key)
    for device, asked in sorted(rates.items()):
        text = " ".join(f"{rate}={asked.get(rate, 'max')}" for rate in _IO_RATES)
        yield Write("io.max", f"{device} {text}", tuple(dict.fromkeys(keys[device])), device)
    yield from _io_latency(limits, host)


def _io_weight(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    weight = _WEIGHT if limits.io_weight is None else limits.io_weight
    both = [name for name in ("io.weight", "io.bfq.weight") if name in host.files]
    for name in both:
        # Which of the two counts depends on each device's scheduler.
        value = weight if name == "io.weight" else bfq_weight(weight)
        yield Write(name, f"default {value}" if name == "io.weight" else str(value), ("io_weight",))
    if not both and weight != _WEIGHT:
        yield Unsupported("io_weight", _lack("io.weight", host))


def bfq_weight(weight: int) -> int:
    """Return io_weight's 1 to 10000 in BFQ's 1 to 1000, 100 staying 100, as systemd does."""
    if weight <= _WEIGHT:
        return weight
    return _WEIGHT + (weight - _WEIGHT) * (1_000 - _WEIGHT) // (10_000 - _WEIGHT)


def _io_latency(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    targets: dict[str, float] = {}
    for path, seconds in limits.io_device_latency_target_sec.items():
        device = host.devices.get(path)
        if "io.latency" not in host.files:
            yield Unsupported(_IO_LATENCY, _lack("io.latency", host))
        elif device is None:
            reason = host.no_device.get(path, f"{path}: no device was found")
            yield Unsupported(_IO_LATENCY, reason)
        else:
            targets[device] = min(seconds, targets.get(device, seconds))
    for device, seconds in sorted(targets.items()):
        text = f"{device} target={round(seconds * _MICROSECONDS)}"
        yield Write("io.latency", text, (_IO_LATENCY,), device)


def _pids(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    yield from _one(host, "pids.max", _amount(limits.tasks_max), "tasks_max")


def _hugetlb(limits: Limits, host: CgroupHost) -> Iterator[Item]:
    sizes = {name.split(".")[1] for name in host.files if _is_hugetlb_max(name)}
    for size in sorted(sizes | limits.hugetlb_max.keys()):
        asked = limits.hugetlb_max.get(size)
        if size in sizes:
            yield Write(f"hugetlb.{size}.max", _amount(asked), ("hugetlb_max",))
        elif sizes:
            has = ", ".join(sorted(sizes))
            yield Unsupported("hugetlb_max", f"there are no pages of {size} here, but of {has}")
        else:
            yield Unsupported("hugetlb_max", _lack(f"hugetlb.{size}.max", host))


def _is_hugetlb_max(name: str) -> bool:
    pieces = name.split(".")
    return len(pieces) == 3 and pieces[0] == "hugetlb" and pieces[2] == "max"


def _one(host: CgroupHost, file: str, text: str, key: str, default: str = "max") -> Iterator[Item]:
    """Yield the write, or why not if something else than the kernel's default is asked."""
    if file in host.files:
        yield Write(file, text, (key,))
    elif text != default:
        yield Unsupported(key, _lack(file, host))


def _lack(file: str, host: CgroupHost) -> str:
    controller = file.partition(".")[0]
    if controller == "hugetlb":
        return (
            f"{_NOT_HERE.format(controller)}: systemd delegates cpu, cpuset, io, memory, pids only"
        )
    if any(name.startswith(f"{controller}.") for name in _LIMITING & host.files):
        return f"this kernel has no {file}"
    return f"{_NOT_HERE.format(controller)}: {host.advice}"


_NOT_HERE = "the {} controller is not available here"

# A file of each controller that no cgroup has without it; cpu.stat and *.pressure are in all.
_LIMITING = frozenset({"memory.max", "cpu.max", "cpu.weight", "cpuset.cpus", "io.max", "pids.max"})


def _amount(value: int | None, nothing: str = "max") -> str:
    if value is None:
        return nothing
    return "max" if value == INFINITY else str(value)


def _between(lowest: int, value: int, highest: int) -> int:
    return max(lowest, min(value, highest))
