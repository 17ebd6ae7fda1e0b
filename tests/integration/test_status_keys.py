"""`status --json` has all keys that people's scripts know, at every level, and no other."""

import json
import threading
from typing import Any

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, get
from tests.support.wait import wait_until

TOP = {"emperor", "vassals"}
EMPEROR = {"pid", "spawner_pid", "version", "since", "mode"} | {
    "spawner_version",
    "cgroups",
    "runtime_dir",
    "directories",
    "errors",
}
VASSAL = {
    *("name", "state", "config", "user", "generation", "pid", "since", "listen", "hosts"),
    "hosts_refused",
    *("workers", "totals", "restarts", "last_failure", "next_retry_s", "unsupported"),
} | {
    *("uid", "gid", "usage", "incidents", "limit_change", "backlog", "rolled_back_to", "paused"),
    *("served_as", "held", "behind", "refusing"),
}
WORKER = {
    *("slot", "pid", "state", "requests", "exceptions", "harakiris", "rss_bytes", "since"),
    "current",
} | {"worker", "generation", "vsz_bytes", "bytes_sent", "running_s"}
CURRENT = {"method", "uri", "seconds"}
FAILURE = {"kind", "at", "message", "exit_status", "signal", "traceback", "output"}
TOTALS = {"requests", "exceptions", "harakiris"} | {
    "worker_deaths",
    "bytes_sent",
    "log_lines_dropped",
}
UNSUPPORTED = {"key", "reason"}
BACKLOG = {"url", "waiting", "max"}


def test_keys_of_a_failed_and_of_a_busy_vassal(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.app("broken", "import sys\nprint('about to fail', flush=True)\nraise KeyError('no')\n")
    port = emperor.drop(
        "busy", workers=2, text='[limits]\nmemory_max = "1G"\n', on_unsupported="warn"
    )
    emperor.drop("failed", app="broken:application")
    emperor.start()
    emperor.wait_state("busy", "ready")
    wait_until(lambda: emperor.vassal("failed").get("last_failure"), 20.0, "it has failed")
    client = threading.Thread(target=get, args=(port, "/sleep/4?token=x"))
    client.start()
    environ = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}

    def told() -> dict[str, Any]:
        done = command("status", "--json", environ=environ)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def is_busy() -> dict[str, Any] | None:
        found = told()
        return found if '"current": {' in json.dumps(found) else None

    try:
        status = wait_until(is_busy, what="a request that runs")
    finally:
        client.join(10)
    assert status is not None
    check(status)


def check(status: dict[str, Any]) -> None:
    assert status.keys() == TOP
    assert status["emperor"].keys() == EMPEROR
    vassals = {one["name"]: one for one in status["vassals"]}
    assert vassals.keys() == {"busy", "failed"}
    for vassal in vassals.values():
        assert vassal.keys() == VASSAL
        assert vassal["totals"].keys() == TOTALS
        assert all(row.keys() == UNSUPPORTED for row in vassal["unsupported"])
        assert all(row.keys() == BACKLOG for row in vassal["backlog"])
    busy, failed = vassals["busy"], vassals["failed"]
    assert busy["state"] == "ready"
    assert len(busy["workers"]) == 2
    assert all(row.keys() == WORKER for row in busy["workers"])
    (current,) = (row["current"] for row in busy["workers"] if row["current"] is not None)
    assert current.keys() == CURRENT
    assert (current["method"], current["uri"]) == ("GET", "/sleep/4?token=x")
    assert {row["state"] for row in busy["workers"]} == {"busy", "idle"}
    assert busy["last_failure"] is None
    assert len(busy["backlog"]) == len(busy["listen"]) == 1
    failure = failed["last_failure"]
    assert failure.keys() == FAILURE
    assert "KeyError" in failure["traceback"]
    assert "about to fail" in failure["output"]
    assert failed["state"] in ("backoff", "parked", "starting")
    assert failed["workers"] == []
