"""Tells what of a vassal's limits is applied, degraded or unsupported, and why. Pure."""

from collections.abc import Iterable

from emperor.brain.birth import Spec
from emperor.config.fields import FIELD_KEYS, shown, value_of
from emperor.config.unsupported import key_of
from emperor.status import AppliedLimit, Unsupported, Usage
from limits.cgroups import counters
from limits.cgroups.writes import CgroupPlan
from limits.facts import HostFacts
from limits.layout import Layout, done_by_landlock, plans
from limits.rlimits import INFINITY

REASON_CHARS_MAX = 500

_NOTHING: tuple[object, ...] = (None, (), {}, False, (INFINITY, INFINITY))
_ALWAYS = {
    "user": "the user it runs as",
    "new_session": "a session of its own",
    "no_new_privs": "no program gives more privileges",
    "dumpable": "its memory is closed to other processes of the same user",
}


def missing(texts: Iterable[str], cgroup: CgroupPlan) -> tuple[Unsupported, ...]:
    """Return what is not, or not fully, applied, each key once.

    `texts` are "KEY: reason" from whoever tried; `cgroup` is what cannot even be tried.
    """
    found: dict[str, str] = {}
    for item in cgroup.unsupported:
        found.setdefault(key_of(item.key) or item.key, item.reason)
    for text in texts:
        step_key, _, reason = text.partition(": ")
        found[(key_of(step_key) or step_key)[:100]] = reason[:REASON_CHARS_MAX]
    return tuple(Unsupported(key=key, reason=reason) for key, reason in sorted(found.items()))


def applied(
    spec: Spec, lacking: tuple[Unsupported, ...], facts: HostFacts
) -> tuple[AppliedLimit, ...]:
    """Return a row for every directive that has a value, and for what is always done."""
    reasons = {item.key: item.reason for item in lacking}
    in_part = _in_part(spec, facts)
    rows = [
        AppliedLimit(
            key=key.name,
            value=shown(key, value_of(spec.settings, key.name)),
            outcome=_outcome(key.name, reasons, in_part),
            reason=reasons.get(key.name, ""),
        )
        for key in FIELD_KEYS
        if value_of(spec.settings, key.name) not in _NOTHING or key.name in spec.settings.written
    ]
    for key, what in _ALWAYS.items():
        value = spec.identity.user if key == "user" else what
        outcome = _outcome(key, reasons, in_part)
        rows.append(
            AppliedLimit(key=key, value=value, outcome=outcome, reason=reasons.get(key, ""))
        )
    return tuple(rows)


def _outcome(key: str, reasons: dict[str, str], in_part: frozenset[str]) -> str:
    if key not in reasons:
        return "applied"
    return "degraded" if key in in_part else "unsupported"


def _in_part(spec: Spec, facts: HostFacts) -> frozenset[str]:
    found = set(map(key_of, done_by_landlock(_layout(spec), facts)))
    for one in plans(_layout(spec), facts):
        found |= {key_of(key) or key for key in one.degraded_keys()}
    return frozenset(found)


def steps(spec: Spec, facts: HostFacts, cgroup: CgroupPlan) -> tuple[str, ...]:
    """Return everything that confines a vassal, in the order in which it is done."""
    birth, workload = plans(_layout(spec), facts)
    return (
        *(f"cgroup: {write}" for write in cgroup.writes),
        *(f"master: {step.describe()}" for step in birth.steps),
        *(f"workload: {step.describe()}" for step in workload.steps),
    )


def _layout(spec: Spec) -> Layout:
    return Layout(birth=spec.confinement, workload=spec.generation.confinement)


def usage_of(found: counters.Usage | None) -> Usage | None:
    """Return what status shows of a cgroup's counters."""
    if found is None:
        return None
    traffic = found.total_traffic()
    return Usage(
        memory_bytes=found.memory_bytes,
        memory_peak_bytes=found.memory_peak_bytes,
        tasks=found.tasks,
        cpu_s=found.cpu_us / 1e6,
        throttled_s=found.cpu_throttled_us / 1e6,
        throttled_periods=found.cpu_throttled_periods,
        oom_kills=found.oom_kill_events,
        tasks_refused=found.tasks_max_events,
        io_read_bytes=traffic.read_bytes,
        io_write_bytes=traffic.write_bytes,
        memory_pressure=_some(found.memory_pressure),
        cpu_pressure=_some(found.cpu_pressure),
        io_pressure=_some(found.io_pressure),
    )


def _some(pressure: counters.Pressure | None) -> float | None:
    return pressure.some_avg10 if pressure is not None else None
