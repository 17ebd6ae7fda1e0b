"""An ordinary user's emperor under its own systemd, which delegates memory, cpu and pids."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.vm.guest import Machine, cgroup_of, read_cgroup, run, toml, wait_until

USER = "carol"
UNIT = """\
[Unit]
Description=an emperor of one's own

[Service]
Type=notify
NotifyAccess=main
Delegate=yes
ExecStart=/opt/emperord/bin/python -m emperor run --runtime-dir {base}/run {base}/vassals
"""
APP = """\
import os

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/fork":
        made = 0
        try:
            while made < 200:
                if os.fork() == 0:
                    import time
                    time.sleep(3600)
                made += 1
        except OSError:
            pass
        return [str(made).encode()]
    return [str(os.getuid()).encode()]
"""


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("x", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def ask(path: Path, target: str) -> bytes:
    """Return the body of GET `target` at the unix socket `path`."""
    connection = _Unix(path)
    try:
        connection.request("GET", target, headers={"Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()


def as_user(*words: str) -> str:
    uid = run("id", "-u", USER).strip()
    return run("runuser", "-u", USER, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", *words)


@contextmanager
def own_emperor() -> Iterator[Path]:
    """Run an emperor as a service of the user's; yield its folder."""
    uid = run("id", "-u", USER).strip()
    run("loginctl", "enable-linger", USER)
    wait_until(lambda: Path(f"/run/user/{uid}/systemd/private").exists(), what="systemd --user")
    base = Path(f"/srv/{USER}/own")
    units = Path(f"/run/user/{uid}/systemd/user")
    for folder in (base / "vassals", base / "run", units):
        run("install", "-d", "-o", USER, str(folder))
    run("chown", USER, str(base))
    (base / "app.py").write_text(APP)
    (units / "own.service").write_text(UNIT.format(base=base))
    as_user("systemctl", "--user", "daemon-reload")
    try:
        as_user("systemctl", "--user", "start", "own.service")
        yield base
    finally:
        as_user("systemctl", "--user", "stop", "own.service")
        run("loginctl", "disable-linger", USER)


def drop(base: Path, **keys: Any) -> None:
    settings = {
        "app": "app:application",
        "directory": str(base),
        "listen": [f"http+unix://{base}/blog.sock"],
        "on_unsupported": "warn",
        **keys,
    }
    new = base / "vassals" / ".new"
    new.write_text(toml(settings))
    run("chown", USER, str(new))
    new.rename(base / "vassals" / "blog.toml")


def vassal(base: Path) -> dict[str, Any]:
    try:
        status = json.loads(ask(base / "run" / "control.sock", "/v1/status"))
    except OSError:
        return {}
    return next(iter(status["vassals"]), {})


def test_memory_cpu_and_tasks_are_limited_without_root(machine: Machine) -> None:
    with own_emperor() as base:
        drop(base, limits={"memory_max": "96M", "cpu_quota": "30%", "tasks_max": 20})
        try:
            ready = wait_until(
                lambda: (now := vassal(base)).get("state") == "ready" and now, what="it is ready"
            )
        except AssertionError as error:
            said = run(
                "journalctl", "--no-pager", "-n", "40", f"_UID={run('id', '-u', USER).strip()}"
            )
            raise AssertionError(f"{error}\n{vassal(base)}\n{said}") from None
        uid = run("id", "-u", USER).strip()
        assert ask(base / "blog.sock", "/").decode() == uid
        folder = cgroup_of(ready["workers"][0]["pid"])
        status = json.loads(ask(base / "run" / "control.sock", "/v1/status"))
        assert "own.service/tenants/" in str(folder), status["emperor"]["cgroups"]
        assert read_cgroup(folder, "memory.max") == str(96 << 20)
        assert read_cgroup(folder, "cpu.max") == "30000 100000"
        assert read_cgroup(folder, "pids.max") == "20"
        assert int(ask(base / "blog.sock", "/fork")) < 20
        # What root alone can do is said, not passed over.
        assert {one["key"] for one in ready["unsupported"]}, ready
        assert status["emperor"]["mode"] == "rootless"
        assert "memory" in status["emperor"]["cgroups"]
    assert machine.is_active()
    wait_until(lambda: not folder.parent.exists(), what="its cgroups are gone")
