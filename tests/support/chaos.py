"""Random operations on a real emperor, and what must be so when all is calm again.

Whatever is not explained by an operation on a vassal itself, its stop or the kill of its processes,
costs none of its requests; the rest of the emperor may die at any moment.
"""

import contextlib
import http.client
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.emperor import UNCONFINED, Emperor
from tests.support.ports import free_port
from tests.support.processes import children, cmdline, pid_tree
from tests.support.wait import wait_until

APP = """
import os, time

CODE = 0

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.environ['TAG']} {os.environ['VERSION']} {CODE}".encode()]
"""

CALM_S = 90.0
"""A master that a signal has stopped is given up after 10 s at the earliest; machines are busy."""

NAMES = tuple(f"site{number}" for number in range(6))


class Door:
    """One address, and the client that asks there all the time."""

    def __init__(self, port: int = 0, path: str = "") -> None:
        self.url = f"http+unix://{path}" if path else f"http://127.0.0.1:{port}"
        self.excuse = "nobody is there yet"  # why requests may fail; "" = none may
        self.tag = ""  # whose answers are right
        self.lost: list[str] = []
        self._port, self._path = port, path

    def ask(self, path: str = "/", timeout: float = 40.0) -> tuple[int, str]:
        """Return status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port or 80, timeout=timeout)
        with contextlib.closing(connection):
            if self._path:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.settimeout(timeout)
                connection.sock.connect(self._path)
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def ask_until(self, end: threading.Event) -> None:
        """Ask again and again, and note what went wrong without an excuse."""
        while not end.is_set():
            before, tag = self.excuse, self.tag
            try:
                status, body = self.ask(random.choice(("/", "/", "/slow")))
                problem = "" if (status, body.split()[:1]) == (200, [tag]) else f"{status} {body}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            if problem and not (before or self.excuse) and tag == self.tag:
                self.lost.append(f"{self.url}: {problem}")
            end.wait(0.2 if problem else 0.02)


class Site:
    """One vassal file, as it is wanted."""

    def __init__(self, tag: str, door: Door, host: str, keys: str) -> None:
        self.tag, self.door, self.host, self.keys = tag, door, host, keys
        self.version = self.code = self.newest_asked = 0
        self.asked_at = 0.0
        self.unconfined = self.stopped = False


class Chaos:
    """One emperor under random operations; the same `seed` gives the same operations."""

    def __init__(self, emperor: Emperor, seed: int) -> None:
        self._emperor = emperor
        self._random = random.Random(seed)
        self._sites: dict[str, Site] = {}
        self._stopped_pids: list[int] = []
        self.history: list[str] = []
        sockets = [str(emperor.base / f"{number}.sock") for number in range(2)]
        self._doors = [Door(free_port()), Door(free_port()), *(Door(path=one) for one in sockets)]
        kinds = (
            "workers = 2\n",
            "on_demand = true\nidle_stop = 0.5\n",
            "health.settle = 0.3\n",
            "",
        )
        for number, (door, keys) in enumerate(zip(self._doors, kinds, strict=True)):
            host = f"{number}.example" if "unix" in door.url else ""
            self._sites[NAMES[number]] = Site(f"t{number}", door, host, keys)
        for name, site in self._sites.items():
            self._write_code(site)
            self._write(name)

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Ask at all doors for the time of a with block."""
        end = threading.Event()
        clients = [threading.Thread(target=door.ask_until, args=(end,)) for door in self._doors]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            end.set()
            for client in clients:
                client.join(60)

    def storm(self, steps: int) -> None:
        """Do so many things, with mostly tiny pauses."""
        for _ in range(steps):
            deed = self._random.choice(self._deeds)
            name = self._random.choice(sorted(self._sites))
            self.history.append(f"{time.strftime('%H:%M:%S')} {deed.__name__} {name}")
            deed(self, name)
            time.sleep(self._random.choice((0.0, 0.0, 0.01, 0.03, 0.05, 0.3)))

    def calm(self) -> None:
        """Wait until all is as it is wanted, and judge what clients were told meanwhile."""
        while self._stopped_pids:
            _kill(self._stopped_pids.pop(), signal.SIGCONT)
        self.history.append("calm")
        for name in [name for name, site in self._sites.items() if "hurt" in site.door.excuse]:
            # A deploy that was killed has failed, and is not tried again by itself.
            wait_until(lambda name=name: self._ask("reload", name) in (202, 409), 60, "a reload")
        deadline = time.monotonic() + CALM_S
        while problems := self._problems():
            assert time.monotonic() < deadline, (problems, self.history, self._emperor.log())
            time.sleep(0.1)
        lost = [line for door in self._doors for line in door.lost]
        assert not lost, (lost, self.history, self._emperor.log())
        for site in self._sites.values():
            site.door.tag = site.tag
            site.door.excuse = "stopped" if site.stopped else ""

    # ── what is done ─────────────────────────────────────────────────────────────────

    def _edit(self, name: str) -> None:
        self._sites[name].version += 1
        self._write(name)

    def _edit_what_needs_a_master(self, name: str) -> None:
        self._sites[name].unconfined ^= True
        self._edit(name)

    def _break_and_mend(self, name: str) -> None:
        self._file(name).write_text("app = \n")
        time.sleep(self._random.choice((0.0, 0.02)))
        self._edit(name)

    def _rename(self, name: str) -> None:
        site = self._sites.pop(name)
        new = self._random.choice([one for one in NAMES if one not in self._sites and one != name])
        self._sites[new] = site
        if site.stopped or "on_demand" in site.keys or site.door.excuse:
            site.door.excuse += " what does not serve has nothing that goes on"
        self._file(name).rename(self._file(new))
        site.stopped = False

    def _remove_and_drop(self, name: str) -> None:
        self._sites[name].door.excuse += " removed"
        self._file(name).unlink()
        time.sleep(self._random.choice((0.0, 0.05, 0.3)))
        self._sites[name].stopped = False
        self._edit(name)

    def _reload(self, name: str) -> None:
        site = self._sites[name]
        site.code += 1
        self._write_code(site)
        code = site.code
        if self._ask("reload", name) == 202:
            site.newest_asked, site.asked_at = code, time.monotonic()

    def _restart(self, name: str) -> None:
        if self._ask("restart", name) == 202:
            self._sites[name].stopped = False

    def _stop_and_start(self, name: str) -> None:
        self._sites[name].door.excuse += " stopped"
        for action in ("stop", "start"):
            # A brain that dies with the answer has perhaps not kept it.
            wait_until(lambda action=action: self._ask(action, name) in (202, 404, 409), 30, action)
            time.sleep(self._random.choice((0.0, 0.1)))

    def _forgive_reloads(self) -> None:
        """What a brain has said yes to a moment ago it has perhaps not asked of the master yet."""
        for site in self._sites.values():
            if time.monotonic() - site.asked_at < 1.0:
                site.newest_asked = 0

    def _kill_brain(self, _: str) -> None:
        self._forgive_reloads()
        _kill(self._brain(), signal.SIGKILL)

    def _kill_brain_twice(self, _: str) -> None:
        self._forgive_reloads()
        first = self._brain()
        _kill(first, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._brain() not in (0, first), 2, every=0.001)
        time.sleep(self._random.choice((0.0, 0.05, 0.3)))
        _kill(self._brain(), signal.SIGKILL)

    def _stop_brain(self, _: str) -> None:
        self._forgive_reloads()
        self._signal_for_a_while(self._brain())

    def _take_new_code(self, _: str) -> None:
        self._forgive_reloads()
        _kill(self._emperor.pid, signal.SIGHUP)

    def _kill_master(self, _: str) -> None:
        _kill(self._hurt(self._random.choice([*self._masters(), 0])), signal.SIGKILL)

    def _stop_master(self, _: str) -> None:
        self._signal_for_a_while(self._hurt(self._random.choice([*self._masters(), 0])))

    def _kill_below(self, _: str) -> None:
        """A mold or a worker."""
        master = self._random.choice([*self._masters(), 0])
        below = pid_tree(master) if master else []
        self._hurt(master)
        _kill(self._random.choice([*below, 0]), signal.SIGKILL)

    _deeds = (
        *(_edit, _edit, _edit_what_needs_a_master, _break_and_mend, _rename, _rename),
        *(_remove_and_drop, _reload, _reload, _restart, _stop_and_start),
        *(_kill_brain, _kill_brain, _kill_brain_twice, _stop_brain, _take_new_code),
        *(_kill_master, _stop_master, _kill_below),
    )

    # ── what must be so ──────────────────────────────────────────────────────────────

    def _problems(self) -> list[str]:
        """Return what is not yet as it is wanted."""
        try:
            status = self._emperor.status()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return [f"no status: {error!r}"]
        found = {one["name"]: one for one in status["vassals"]}
        problems = [f"{name} is still there" for name in found.keys() - self._sites.keys()]
        for name, site in self._sites.items():
            problems += self._problems_of(name, site, found.get(name))
        masters, shown = set(self._masters()), {one["pid"] for one in found.values()} - {0}
        if masters != shown and not any("dormant" in one["state"] for one in found.values()):
            problems.append(f"masters {masters}, shown {shown}")
        others = [pid for pid in children(self._emperor.pid) if pid not in masters]
        if len(others) != 1:
            problems.append(f"beside masters: {[cmdline(pid) for pid in others]}")
        links = {path.name for path in (self._emperor.runtime_dir / "hosts").iterdir()}
        if links != {f"{site.host}.sock" for site in self._sites.values() if site.host}:
            problems.append(f"links: {links}")
        return problems

    def _problems_of(self, name: str, site: Site, found: dict | None) -> list[str]:
        if found is None:
            return [f"{name} is not there"]
        if found["state"] not in ("ready", "dormant") or found["served_as"]:
            return [f"{name} is {found['state']}, served as {found['served_as'] or name}"]
        try:
            status, body = site.door.ask(timeout=10)
        except (OSError, http.client.HTTPException) as error:
            return [f"{name}: {error!r}"]
        tag, version, code = (*body.split(), "", "", "")[:3]
        if (status, tag, version) != (200, site.tag, str(site.version)):
            return [f"{name}: {status} {body!r}, not {site.tag} {site.version}"]
        return [] if int(code) >= site.newest_asked else [f"{name}: {body!r} of older code"]

    # ── hands ────────────────────────────────────────────────────────────────────────

    def _file(self, name: str) -> Path:
        return self._emperor.vassals / f"{name}.toml"

    def _write(self, name: str) -> None:
        site = self._sites[name]
        text = (
            f'{site.keys}stop_timeout = 5\nsocket.mode = "666"\n'
            + (f'hosts = ["{site.host}"]\n' if site.host else "")
            + f'env = {{ TAG = "{site.tag}", VERSION = "{site.version}" }}\n'
        )
        more = UNCONFINED if site.unconfined else ""
        self._emperor.drop(
            name, f"app_{site.tag}:application", text + more, port=1, listen=[site.door.url]
        )

    def _write_code(self, site: Site) -> None:
        self._emperor.app(f"app_{site.tag}", APP.replace("CODE = 0", f"CODE = {site.code}"))

    def _ask(self, action: str, name: str) -> int:
        """Return the control API's status; 0 = there was no answer."""
        try:
            return self._emperor.do(action, name)[0]
        except (OSError, http.client.HTTPException, ValueError):
            return 0

    def _brain(self) -> int:
        found = children(self._emperor.pid)
        return next((pid for pid in found if "emperor: brain" in cmdline(pid)), 0)

    def _masters(self) -> list[int]:
        return [pid for pid in children(self._emperor.pid) if "master of" in cmdline(pid)]

    def _hurt(self, master: int) -> int:
        """Excuse what a master's processes cannot answer; return its pid."""
        for pid in pid_tree(master) if master else []:
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
                for tag in re.findall(r"\0TAG=(t\d)\0", f"\0{environ}\0"):
                    for site in self._sites.values():
                        site.door.excuse += " hurt" if site.tag == tag else ""
        # One that has no processes yet is of whoever its name says, or said.
        for site in self._sites.values():
            site.door.excuse += "" if master == 0 or pid_tree(master) else " hurt"
        return master

    def _signal_for_a_while(self, pid: int) -> None:
        _kill(pid, signal.SIGSTOP)
        if self._random.random() < 0.5:
            time.sleep(0.03)
            _kill(pid, signal.SIGCONT)
        elif pid:
            self._stopped_pids.append(pid)


def _kill(pid: int, signum: int) -> None:
    """Signal a process that may be gone; 0 = there was none."""
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)
