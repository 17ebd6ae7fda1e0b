"""Turns what the emperor says of itself and its vassals into views. Pure."""

import json
from collections import Counter
from collections.abc import Iterable

from emperor.cli import units
from emperor.cli.view import (
    BAD,
    BUSY,
    FAINT,
    GOOD,
    STRONG,
    Cell,
    Column,
    Line,
    Table,
    View,
    cell,
    line,
    paragraph,
)
from emperor.logfmt import quote, timestamp
from emperor.status import (
    EmperorStatus,
    Event,
    Explanation,
    Status,
    Unsupported,
    VassalState,
    VassalStatus,
    WorkerStatus,
    served_on,
)
from vassal.failure import Failure

OUTPUT_LINES_MAX = 30
SETTING_CHARS_MAX = 200

STATE_STYLES = {
    VassalState.STARTING: BUSY,
    VassalState.READY: GOOD,
    VassalState.RELOADING: BUSY,
    VassalState.STOPPING: BUSY,
    VassalState.STOPPED: FAINT,
    VassalState.BACKOFF: BAD,
    VassalState.PARKED: BAD,
    VassalState.DORMANT: FAINT,
}
OUTCOME_STYLES = {"applied": GOOD, "degraded": BUSY, "unsupported": BAD}

_LIST_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("BUSY", right=True),
    Column("REQUESTS", right=True),
    Column("EXCEPTIONS", right=True),
    Column("HARAKIRIS", right=True),
    Column("RESTARTS", right=True),
    Column("MEMORY", right=True),
    Column("SINCE", right=True),
    Column("LISTEN"),
)
_WORKER_COLUMNS = (
    Column("SLOT", right=True),
    Column("PID", right=True),
    Column("STATE"),
    Column("REQUESTS", right=True),
    Column("EXCEPTIONS", right=True),
    Column("HARAKIRIS", right=True),
    Column("MEMORY", right=True),
    Column("SINCE", right=True),
    Column("REQUEST"),
)


def status_view(status: Status, now: float) -> View:
    """Return the overview: the emperor, every vassal in a row, and what needs a person."""
    view: View = [*_emperor_lines(status.emperor, now), _counts_line(status.vassals)]
    if status.vassals:
        rows = tuple(_vassal_row(vassal, now) for vassal in status.vassals)
        view += [line(), Table(_LIST_COLUMNS, rows)]
    troubles = [_trouble_line(v) for v in status.vassals if _is_in_trouble(v)]
    if troubles:
        view += [line(), *troubles]
    if status.emperor.errors:
        view += [line(), line(cell("config errors", BAD))]
        for error in status.emperor.errors:
            view += paragraph(error)
    return view


def vassal_view(vassal: VassalStatus, now: float) -> View:
    """Return all that is known of one vassal."""
    totals = vassal.totals
    view: View = [
        line(cell(vassal.name, STRONG), "  ", _state(vassal)),
        _field("config", vassal.config),
        _field("user", vassal.user),
        _field("generation", vassal.generation),
        _field("master", f"pid {vassal.pid}" if vassal.pid else "none runs"),
        _field("since", units.since(vassal.since, now)),
        *_listen_lines(vassal),
        *(_field("host", host) for host in vassal.hosts),
        *(_field("refused", why) for why in vassal.hosts_refused),
        _field(
            "totals",
            f"{units.counted(totals.requests, 'request')}, "
            f"{units.counted(totals.exceptions, 'exception')}, "
            f"{units.counted(totals.harakiris, 'harakiri')}, "
            f"{units.counted(totals.worker_deaths, 'worker death')}, "
            f"{units.size(totals.bytes_sent, 'B')} sent",
        ),
        _field("restarts", vassal.restarts),
    ]
    if totals.log_lines_dropped:
        view.append(_field("log", f"{totals.log_lines_dropped} lines dropped"))
    if vassal.rolled_back_to is not None:
        since = units.since(vassal.rolled_back_to, now)
        view.append(_field("rolled back", f"to the version that served first {since} ago"))
    if vassal.held:
        view.append(_field("held", vassal.held))
    if vassal.refusing:
        view.append(_field("clients", cell("are answered 503", BAD)))
    if vassal.behind:
        text = "what served before: what is wanted has failed"
        view.append(_field("serves", cell(text, BAD)))
    if vassal.served_as:
        view.append(_field("served as", served_on(vassal.name, vassal.served_as)))
    if vassal.next_retry_s is not None:
        view.append(_field("next try", f"in {units.duration(vassal.next_retry_s)}"))
    view += _usage_lines(vassal, now)
    view += _unsupported_lines(vassal.unsupported)
    if vassal.workers:
        rows = tuple(_worker_row(worker, now) for worker in vassal.workers)
        view += [line(), Table(_WORKER_COLUMNS, rows)]
    return view + _failure_lines(vassal.last_failure, now)


def _listen_lines(vassal: VassalStatus) -> Iterable[Line]:
    """Where it listens, and how many connections wait there."""
    queues = {queue.url: queue for queue in vassal.backlog}
    for url in vassal.listen:
        queue = queues.get(url)
        if queue is None or not queue.waiting:
            yield _field("listen", url)
        else:
            text = f"{url}  {queue.waiting} of {queue.max} wait"
            yield _field("listen", cell(text, BAD if queue.waiting >= queue.max else BUSY))


def _usage_lines(vassal: VassalStatus, now: float) -> Iterable[Line]:
    """What it uses, which limits were hit, and which were changed while it ran."""
    usage = vassal.usage
    if usage is not None and usage.memory_bytes is not None:
        peak = f", at most {units.size(usage.memory_peak_bytes)}" if usage.memory_peak_bytes else ""
        yield _field("memory", units.size(usage.memory_bytes) + peak)
    if usage is not None and usage.cpu_s is not None:
        held = f", held back for {usage.throttled_s:.1f} s" if usage.throttled_s else ""
        yield _field("cpu", f"{usage.cpu_s:.1f} s{held}")
    if usage is not None and usage.tasks is not None:
        yield _field("tasks", usage.tasks)
    for incident in vassal.incidents:
        often = "once" if incident.count == 1 else f"{incident.count} times"
        last = units.since(incident.last_at, now)
        yield _field(
            "limit hit", cell(f"{incident.key}={incident.value} {often}, last {last} ago", BAD)
        )
    change = vassal.limit_change
    if change is not None:
        when = f"{units.since(change.at, now)} ago"
        yield _field("changed", f"{', '.join(change.keys)}: live, {when}")
        for text in change.needs_generation:
            yield _field("changed", f"{text}: with a new generation")


def _unsupported_lines(missing: Iterable[Unsupported]) -> Iterable[Line]:
    """What is not done, in a line for each reason: one often stands for a dozen keys."""
    keys: dict[str, list[str]] = {}
    for one in missing:
        keys.setdefault(one.reason, []).append(one.key)
    for reason, those in keys.items():
        yield _field("unsupported", f"{', '.join(those)}: {reason}")


def steps_view(explanation: Explanation) -> View:
    """Return what confines a vassal, step by step, in the order in which it is done."""
    return [line(step) for step in explanation.steps]


def explanation_view(explanation: Explanation, now: float) -> View:
    """Return what is wanted of a vassal, what is, what comes next and why."""
    view: View = [
        line(cell(explanation.name, STRONG)),
        _field("desired", explanation.desired),
        _field("actual", explanation.actual),
        _field("next", explanation.next_action),
        _field("why", explanation.why),
    ]
    if explanation.scaling:
        view.append(_field("workers", explanation.scaling))
    view += _unsupported_lines(explanation.unsupported)
    if explanation.limits:
        columns = (Column("LIMIT"), Column("VALUE"), Column("OUTCOME"), Column("REASON"))
        rows = tuple(
            (
                cell(limit.key),
                cell(limit.value),
                cell(limit.outcome, OUTCOME_STYLES.get(limit.outcome, "")),
                cell(limit.reason),
            )
            for limit in explanation.limits
        )
        view += [line(), Table(columns, rows)]
    if explanation.settings:
        view += [line(), line("settings")]
        view += [_setting_line(key, value) for key, value in explanation.settings.items()]
    return view + _failure_lines(explanation.last_failure, now)


def event_line(event: Event) -> str:
    """Return an event as one line in the words of the log."""
    words = [f"vassal={quote(event.vassal)}"] if event.vassal is not None else []
    words.append(f"event={quote(event.event)}")
    words += [f"{quote(key)}={quote(value)}" for key, value in event.fields.items()]
    return " ".join([timestamp(event.at), *words])


def _emperor_lines(emperor: EmperorStatus, now: float) -> Iterable[Line]:
    yield line(
        cell("emperor", STRONG),
        f" {emperor.version}  {emperor.mode}  pid {emperor.pid}"
        f"  spawner {emperor.spawner_pid}  since {units.since(emperor.since, now)}",
    )
    if emperor.directories:
        yield line("watching ", ", ".join(emperor.directories))
    if emperor.cgroups:
        yield line("cgroups: ", emperor.cgroups)


def _counts_line(vassals: Iterable[VassalStatus]) -> Line:
    counts = Counter(vassal.state for vassal in vassals)
    total = sum(counts.values())
    by_state = ", ".join(f"{counts[state]} {state}" for state in VassalState if counts[state])
    noun = "vassal" if total == 1 else "vassals"
    return line(f"{total} {noun}" + (f": {by_state}" if by_state else ""))


def _vassal_row(vassal: VassalStatus, now: float) -> tuple[Cell, ...]:
    busy = sum(worker.current is not None for worker in vassal.workers)
    memory = {worker.pid: worker.rss_bytes for worker in vassal.workers}  # threads share one
    return (
        cell(vassal.name, STRONG),
        _state(vassal),
        cell(f"{busy}/{len(vassal.workers)}" if vassal.workers else "-"),
        cell(vassal.totals.requests),
        _count(vassal.totals.exceptions),
        _count(vassal.totals.harakiris),
        _count(vassal.restarts),
        cell(units.size(sum(memory.values())) if memory else "-"),
        cell(units.since(vassal.since, now)),
        cell(", ".join(vassal.listen)),
    )


def _worker_row(worker: WorkerStatus, now: float) -> tuple[Cell, ...]:
    current = worker.current
    request = f"{current.method} {current.uri}  {current.seconds:.1f}s" if current else ""
    return (
        cell(worker.slot),
        cell(worker.pid or "-"),
        cell(worker.state, BUSY if worker.state == "busy" else ""),
        cell(worker.requests),
        _count(worker.exceptions),
        _count(worker.harakiris),
        cell(units.size(worker.rss_bytes)),
        cell(units.since(worker.since, now)),
        cell(request),
    )


def _is_in_trouble(vassal: VassalStatus) -> bool:
    return (
        vassal.state in (VassalState.BACKOFF, VassalState.PARKED)
        or (vassal.last_failure is not None and vassal.last_failure.kind == "config")
        or (vassal.served_as != "" and vassal.state is VassalState.READY)
        or vassal.behind
    )


def _trouble_line(vassal: VassalStatus) -> Line:
    failure = vassal.last_failure
    what, *others = (failure.message if failure else "no reason is known").split("\n")
    what = f"{failure.kind}: {what}" if failure else what
    if others:
        what += f" (and {len(others)} more)"
    retry = (
        f" Next try in {units.duration(vassal.next_retry_s)}."
        if vassal.next_retry_s is not None
        else ""
    )
    before = " What served before serves on." if vassal.state is VassalState.READY else ""
    return line(
        cell(vassal.name, STRONG),
        ": ",
        cell(what, BAD),
        f"{'' if what.endswith('.') else '.'}{before}{retry} More: emperor status {vassal.name}",
    )


def _failure_lines(failure: Failure | None, now: float) -> View:
    if failure is None:
        return []
    ended = [f"exit status {failure.exit_status}"] if failure.exit_status is not None else []
    ended += [f"signal {failure.signal}"] if failure.signal is not None else []
    ago = f", {units.since(failure.at, now)} ago" if failure.at else ""
    view: View = [
        line(),
        line(cell("last failure", BAD), f": {failure.kind}{ago}"),
        *paragraph(failure.message),
    ]
    if ended:
        view.append(line("  ", ", ".join(ended)))
    if failure.traceback:
        view += [line("traceback"), *paragraph(failure.traceback)]
    if failure.output:
        last = "\n".join(failure.output.rstrip("\n").split("\n")[-OUTPUT_LINES_MAX:])
        view += [line("last output"), *paragraph(last)]
    return view


def _setting_line(key: str, value: object) -> Line:
    if key == "env" and isinstance(value, dict) and value:
        # Secrets live here, and this is what people paste into tickets. --json has all.
        return line(f"  {key} = ", cell(f"{len(value)} variables: {', '.join(map(str, value))}"))
    text = _as_toml(value)
    if len(text) > SETTING_CHARS_MAX:
        text = text[:SETTING_CHARS_MAX] + "…"
    return line(f"  {key} = {text}")


def _as_toml(value: object) -> str:
    """Return a value as it would be written in the file."""
    if isinstance(value, dict):
        inside = ", ".join(f"{name} = {_as_toml(part)}" for name, part in value.items())
        return "{ " + inside + " }" if inside else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    # JSON's texts, numbers, true and false are TOML's too.
    return json.dumps(value, ensure_ascii=False)


def _field(name: str, value: object) -> Line:
    return line(cell(f"{name + ':':<13}", FAINT), value)


def _state(vassal: VassalStatus) -> Cell:
    style = STATE_STYLES[vassal.state]
    return cell("paused", BUSY) if vassal.paused else cell(vassal.state.value, style)


def _count(number: int) -> Cell:
    return cell(number, BUSY if number else "")
