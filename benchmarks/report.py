"""What a benchmark returns, and how people and programs read it."""

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure of ours must be at most, or at least, `bound`: times that of `versus`, if given."""

    bound: float
    at_least: bool = False
    versus: str | None = None

    def is_met(self, values: dict[str, float]) -> bool | None:
        """Return whether our value reaches the target; None if a value is missing."""
        if "emperord" not in values or (self.versus and self.versus not in values):
            return None
        limit = self.bound * (values[self.versus] if self.versus else 1.0)
        ours = values["emperord"]
        return ours >= limit if self.at_least else ours <= limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        versus = f" × {self.versus}" if self.versus else ""
        return f"{sign} {self.bound:g}{versus}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of each server; `samples` are what it is the median of."""

    what: str
    unit: str
    values: dict[str, float]
    samples: dict[str, list[float]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    digits: int = 2

    def verdict(self) -> str:
        words = {True: "met", False: "MISSED", None: "not measured"}
        return ", ".join(f"{t} {words[t.is_met(self.values)]}" for t in self.targets)


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in samples.items() if values}


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


SERVERS = ("emperord", "uWSGI", "gunicorn")


def table(rows: list[Row]) -> str:
    """Return the rows as text; ratios are ours divided by theirs."""
    head = ["what", "unit", *SERVERS, "÷ uWSGI", "÷ gunicorn", "target"]
    body = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = []
    for line in [head, ["-" * width for width in widths], *body]:
        cells = [
            cell.ljust(width) if i in (0, 1, len(head) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def write_json(path: Path, about: dict[str, object], rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [asdict(row) | {"verdict": row.verdict()} for row in rows]
    path.write_text(json.dumps(about | {"rows": listed}, indent=1, ensure_ascii=False) + "\n")


def _cells(row: Row) -> list[str]:
    figures = [f"{row.values[s]:,.{row.digits}f}" if s in row.values else "–" for s in SERVERS]
    ratios = [_ratio(row.values, other) for other in SERVERS[1:]]
    return [row.what, row.unit, *figures, *ratios, row.verdict()]


def _ratio(values: dict[str, float], other: str) -> str:
    if "emperord" not in values or not values.get(other):
        return "–"
    return f"{values['emperord'] / values[other]:.2f}"
