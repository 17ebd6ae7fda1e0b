"""Finds directives that are right alone and contradict one another. Pure."""

from typing import Any

from emperor.config.directives import Share, numbers_text, resolve, size_words
from emperor.config.problems import Invalid, quoted
from emperor.config.settings import Machine
from emperor.config.table import Reading
from limits.directives import Limits, is_unlimited

_LIMITS = Limits()


def resolve_shares(reading: Reading, machine: Machine) -> None:
    """Turn percentages of the machine into numbers."""
    for name, value in list(reading.values.items()):
        if not isinstance(value, Share):
            continue
        try:
            reading.values[name] = resolve(value, machine)
        except Invalid as error:
            del reading.values[name]
            reading.failed.add(name)
            for fault in error.faults:
                reading.report(tuple(name.split(".")), fault.problem, fault.remedy)


def check_directives(reading: Reading, machine: Machine) -> None:
    """Report what [limits] and [sandbox] cannot both mean. Shares are resolved."""
    _check_memory(reading)
    _check_cpu(reading, machine)
    _check_paths(reading)
    _check_network(reading)
    _check_capabilities(reading)


def _check_memory(reading: Reading) -> None:
    limit: Any = reading.values.get("limits.memory_max")
    if is_unlimited(limit):
        return
    for name in ("memory_high", "memory_low", "memory_min"):
        value: Any = reading.values.get(f"limits.{name}")
        if value is None or (name == "memory_high" and is_unlimited(value)):
            continue
        if is_unlimited(value) or value > limit:
            reading.report(
                reading.blamed(f"limits.{name}", "limits.memory_max"),
                f"{name} = {size_words(value)} is more than memory_max = {size_words(limit)}",
                f"write {name} and memory_max so that it is not",
            )


def _check_cpu(reading: Reading, machine: Machine) -> None:
    values: dict[str, Any] = reading.values
    quota, burst = values.get("limits.cpu_quota"), values.get("limits.cpu_burst")
    period = values.get("limits.cpu_quota_period_sec", _LIMITS.cpu_quota_period_sec)
    blamed = reading.blamed("limits.cpu_burst", "limits.cpu_quota", "limits.cpu_quota_period_sec")
    if burst and quota is None and "limits.cpu_quota" not in reading.failed:
        reading.report(blamed, "cpu_burst does nothing without cpu_quota", "write cpu_burst = 0")
    elif burst and quota is not None and burst > quota * period:
        reading.report(
            blamed,
            f"cpu_burst = {burst:g} is more than the quota of one period, {quota * period:g} s",
            f"write cpu_burst = {quota * period:g} or less",
        )
    allowed, affinity = values.get("limits.allowed_cpus"), values.get("limits.cpu_affinity")
    for name, cpus in (("allowed_cpus", allowed), ("cpu_affinity", affinity)):
        if cpus and machine.cpus and min(cpus) >= machine.cpus:
            last = machine.cpus - 1
            reading.report(
                ("limits", name),
                f"this machine has none of the CPUs {numbers_text(cpus)[:60]}",
                f"write some of 0-{last}" if last else "write 0, or remove the line",
            )
    if allowed and affinity and not set(allowed) & set(affinity):
        reading.report(
            reading.blamed("limits.cpu_affinity", "limits.allowed_cpus"),
            "no CPU is in both allowed_cpus and cpu_affinity",
            "write some of allowed_cpus for cpu_affinity, or remove it",
        )


_EXCLUDING = (
    ("read_only_paths", "inaccessible_paths"),
    ("read_write_paths", "inaccessible_paths"),
    ("read_write_paths", "read_only_paths"),
)


def _check_paths(reading: Reading) -> None:
    values: dict[str, Any] = reading.values
    for one, other in _EXCLUDING:
        both = set(values.get(f"sandbox.{one}", ())) & set(values.get(f"sandbox.{other}", ()))
        for path in sorted(both):
            reading.report(
                reading.blamed(f"sandbox.{one}", f"sandbox.{other}"),
                f"{quoted(path)} is in {one} and in {other}",
                "remove it from one of them",
            )
    writable = {bind.target for bind in values.get("sandbox.bind_paths", ())}
    for bind in values.get("sandbox.bind_read_only_paths", ()):
        if bind.target in writable:
            reading.report(
                reading.blamed("sandbox.bind_read_only_paths", "sandbox.bind_paths"),
                f"{quoted(bind.target)} is the target of bind_paths too",
                "remove it from one of them",
            )


def _check_network(reading: Reading) -> None:
    values: dict[str, Any] = reading.values
    network = values.get("sandbox.network", "host")
    private = values.get("sandbox.private_network")
    if private is not None and private != (network == "none"):
        reading.report(
            reading.blamed("sandbox.private_network", "sandbox.network"),
            f"private_network contradicts network = {quoted(network)}",
            "remove private_network",
        )
    own = reading.layers.own.values.get("sandbox")
    if network != "none" or not isinstance(own, dict) or "network" not in own:
        return
    for name in ("ip_address_allow", "ip_address_deny"):
        if own.get(name):
            reading.report(
                ("sandbox", name),
                'does nothing with network = "none"',
                'remove it, or write network = "egress-filter"',
            )


def _check_capabilities(reading: Reading) -> None:
    values: dict[str, Any] = reading.values
    ambient = values.get("sandbox.ambient_capabilities", ())
    missing = [
        name for name in ambient if name not in values.get("sandbox.capability_bounding_set", ())
    ]
    if missing and "sandbox.capability_bounding_set" not in reading.failed:
        reading.report(
            reading.blamed("sandbox.ambient_capabilities", "sandbox.capability_bounding_set"),
            f"{missing[0]} is not in capability_bounding_set",
            "write it there too, or remove it here",
        )
    if ambient and values.get("sandbox.private_users"):
        reading.report(
            reading.blamed("sandbox.private_users", "sandbox.ambient_capabilities"),
            "capabilities mean nothing outside of private_users",
            "remove private_users or ambient_capabilities",
        )
