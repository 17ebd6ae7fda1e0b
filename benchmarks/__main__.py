"""Runs the benchmarks, prints a table, writes JSON to benchmarks/results/."""

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import deploy, fleet, harakiri, machine, reload, sandbox, sleeping, throughput
from benchmarks.report import Row, table, write_json
from benchmarks.servers import ROOT
from tests.support.leftovers import adopt_orphans

BENCHMARKS: dict[str, tuple[Callable[[bool], list[Row]], str]] = {
    "deploy": (deploy.run, "file dropped → first 200"),
    "harakiri": (harakiri.run, "how late requests that hang are killed"),
    "throughput": (throughput.run, "requests per second, CPU per request"),
    "sandbox": (sandbox.run, "what the strict default costs"),
    "reload": (reload.run, "reloads and a killed emperor under load"),
    "sleeping": (sleeping.run, "vassals of which nothing runs"),
    "idle": (fleet.run_idle, "memory and wake-ups of 100 idle vassals"),
    "thousand": (fleet.run_thousand, "1,000 vassals at once"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure emperord beside uWSGI and gunicorn, in one run.",
        epilog="\n".join(f"{name:12}{what}" for name, (_, what) in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    parser.add_argument("--quick", action="store_true", help="few samples: to try it out")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")

    adopt_orphans()  # so that no server outlives a benchmark unseen
    about = machine.about(["python -m benchmarks", *sys.argv[1:]])
    for key, value in about.items():
        print(f"{key:14}{value}")
    rows: list[Row] = []
    for name in chosen.names or BENCHMARKS:
        run, what = BENCHMARKS[name]
        print(f"\n{name}: {what} …", flush=True)
        found = run(chosen.quick)
        print(table(found), flush=True)
        rows += found
    print("\n" + table(rows))
    path = ROOT / "benchmarks" / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    write_json(path, about, rows)
    print(f"\nwritten to {path.relative_to(ROOT)}")


main()
