"""A uWSGI Emperor as Debian has it is switched over by one word in its unit."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.vm.guest import APPS, UNIT, Answer, Machine, get, run, wait_until

pytestmark = pytest.mark.timeout(360)

UWSGI_UNIT = "uwsgi-emperor.service"
UNIT_FILE = Path("/etc/systemd/system") / UWSGI_UNIT
EMPEROR_INI = Path("/etc/uwsgi-emperor/emperor.ini")
VASSALS = Path("/etc/uwsgi-emperor/vassals")
NGINX = Path("/etc/nginx/conf.d/uwsgi-scenario.conf")

# The unit of Debian's package, as it stands in Debian 12: its sysv script has the same name.
UNIT_TEXT = """\
[Unit]
Description=uWSGI Emperor
After=network-online.target

[Service]
ExecStart=/usr/bin/uwsgi --ini /etc/uwsgi-emperor/emperor.ini
RuntimeDirectory=uwsgi
Restart=always
KillSignal=SIGQUIT
Type=notify
StandardError=journal
NotifyAccess=all
Group=www-data
RuntimeDirectoryMode=0775

[Install]
WantedBy=multi-user.target
"""

FLASK = """\
import os
import flask

application = flask.Flask(__name__)

@application.route("/<path:path>")
def page(path):
    script = flask.request.script_root
    return {"path": path, "script": script, "uid": os.getuid(), "gid": os.getgid(),
            "cwd": os.getcwd(), "mode": os.environ.get("MODE")}
"""

DJANGO = """\
import os
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import re_path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", DEBUG=False)

def page(request):
    return JsonResponse({"path": request.path, "query": request.GET.dict(), "uid": os.getuid(),
                         "django": django.get_version()})

urlpatterns = [re_path("^(?!missing)", page)]
application = get_wsgi_application()
"""

PLAIN = """\
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getuid()} {os.getgid()} {os.getcwd()}".encode()]
"""

SERVER = """\
server {{
    listen 80;
    server_name {name}.uwsgi;
    location / {{ include uwsgi_params; uwsgi_pass unix:{socket}; }}
}}
"""


class Site(NamedTuple):
    """One vassal file of uWSGI's; `socket` is where nginx finds it."""

    name: str
    suffix: str
    text: str
    owner: str = "root"
    socket: str = ""

    @property
    def path(self) -> str:
        return self.socket or f"/run/uwsgi/{self.name}.sock"

    @property
    def file(self) -> Path:
        return VASSALS / f"{self.name}{self.suffix}"


FLASK_SITE = Site(
    "flask",
    ".ini",
    f"""\
[uwsgi]
plugins = python3
chdir = {APPS}
module = flask_site
socket = /run/uwsgi/%n.sock
chmod-socket = 660
processes = 2
threads = 2
env = MODE=production
vacuum = true
die-on-term = true
harakiri = 30
""",
)
DJANGO_SITE = Site(
    "django",
    ".yaml",
    f"""\
uwsgi:
  plugin: python3
  base: {APPS}
  chdir: "%(base)"
  wsgi-file: "%(base)/django_site.py"
  master: true
  workers: 1
  socket: "/run/uwsgi/%n.sock"
  chmod-socket: 666
  buffer-size: 16384
  static-map: "/static={APPS}/static"
""",
)
TYRANT_SITE = Site(
    "plain",
    ".ini",
    """\
[uwsgi]
plugins = python3
chdir = /srv/alice
wsgi-file = /srv/alice/plain.py
socket = /srv/alice/%n.sock
chmod-socket = 666
workers = 1
""",
    "alice",
    "/srv/alice/plain.sock",
)

PAGES = {
    "flask": ("/a/b?c=d", "/%C3%BC", "/"),
    "django": ("/a?b=c", "/missing", "/static/site.css", "/static/../flask_site.py"),
    "plain": ("/",),
}


@contextmanager
def uwsgi_emperor(machine: Machine, ini: str, *sites: Site) -> Iterator[None]:
    """Run Debian's uWSGI Emperor over these sites, behind nginx; remove all of it at the end."""
    machine.systemctl("stop", UNIT)
    APPS.mkdir(mode=0o755, exist_ok=True)
    machine.app("flask_site", FLASK)
    machine.app("django_site", DJANGO)
    (APPS / "static").mkdir(exist_ok=True)
    (APPS / "static" / "site.css").write_text("body { margin: 0 }\n")
    Path("/srv/alice/plain.py").write_text(PLAIN)
    Path("/srv/alice").chmod(0o755)
    before = EMPEROR_INI.read_text()
    EMPEROR_INI.write_text(ini or before)
    UNIT_FILE.write_text(UNIT_TEXT)
    for site in sites:
        site.file.write_text(site.text)
        shutil.chown(site.file, site.owner, site.owner)
    NGINX.write_text("".join(SERVER.format(name=one.name, socket=one.path) for one in sites))
    machine.systemctl("reload", "nginx")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("start", UWSGI_UNIT)
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}\n{machine.journal(UWSGI_UNIT)}") from error
    finally:
        machine.systemctl("stop", UWSGI_UNIT, check=False)
        for path in (UNIT_FILE, NGINX, *(site.file for site in sites)):
            path.unlink(missing_ok=True)
        EMPEROR_INI.write_text(before)
        machine.systemctl("daemon-reload")
        machine.systemctl("reload", "nginx")
        machine.systemctl("start", UNIT)


def switch_over(machine: Machine) -> None:
    """Change the one line, as an admin does."""
    run(
        "sed",
        "-i",
        "s,^ExecStart=/usr/bin/uwsgi ,ExecStart=/usr/bin/emperor uwsgi ,",
        str(UNIT_FILE),
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", UWSGI_UNIT)


def answers(*sites: Site) -> dict[str, Answer]:
    """Return what each page of each site answers, once all sites are there."""
    for site in sites:
        page = f"{PAGES[site.name][0]}"
        wait_until(
            lambda host=f"{site.name}.uwsgi", page=page: get(host, page).status == 200,
            what=f"{site.name} is served",
        )
    return {
        f"{site.name}.uwsgi{page}": get(f"{site.name}.uwsgi", page)
        for site in sites
        for page in PAGES[site.name]
    }


def main_command() -> str:
    pid = run("systemctl", "show", "--value", "--property", "MainPID", UWSGI_UNIT).strip()
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_debians_emperor_is_switched_over_by_one_line(machine: Machine) -> None:
    sites = (FLASK_SITE, DJANGO_SITE)
    with uwsgi_emperor(machine, "", *sites):
        before = answers(*sites)
        assert main_command().startswith("/usr/bin/uwsgi ")
        assert json.loads(before["flask.uwsgi/a/b?c=d"].body)["mode"] == "production"
        assert before["django.uwsgi/static/site.css"].body == "body { margin: 0 }\n"

        switch_over(machine)
        after = answers(*sites)
        assert "emperor" in main_command()
        assert after == before

        # What people do next still works: touch reloads, a file that goes stops its site.
        names = {vassal["name"]: vassal for vassal in machine.status()["vassals"]}
        assert {name: one["state"] for name, one in names.items()} == {
            "flask": "ready",
            "django": "ready",
        }
        FLASK_SITE.file.touch()
        wait_until(
            lambda: (machine.vassal("flask") or {})["generation"] > names["flask"]["generation"],
            what="a reload",
        )
        DJANGO_SITE.file.unlink()
        machine.wait_gone("django")
        machine.systemctl("stop", UWSGI_UNIT)
        assert machine.show("Result", UWSGI_UNIT) == "success"


def test_tyrants_sites_run_as_their_owners_under_either(machine: Machine) -> None:
    ini = f"[uwsgi]\nmaster = true\nemperor = {VASSALS}\nemperor-tyrant = true\n"
    with uwsgi_emperor(machine, ini, TYRANT_SITE):
        before = answers(TYRANT_SITE)
        alice = run("id", "-u", "alice").strip()
        assert before["plain.uwsgi/"].body.startswith(f"{alice} ")
        switch_over(machine)
        assert answers(TYRANT_SITE) == before
