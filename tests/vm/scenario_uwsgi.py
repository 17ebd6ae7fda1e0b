"""A uWSGI Emperor as Debian has it is switched over by one word in its unit.

All sites are asked all the time meanwhile, through nginx.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.vm.guest import APPS, UNIT, Machine, run, wait_until
from tests.vm.guest_clients import Ask, Page, asked_all_the_time, fetch

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
import hashlib
import os
import flask

application = flask.Flask(__name__)

@application.route("/big")
def big():
    return flask.Response((b"%07d\\n" % n * 512 for n in range(64)), mimetype="text/x-numbers")

@application.route("/form", methods=["POST"])
def form():
    answer = flask.redirect("/thanks")
    answer.set_cookie("sum", hashlib.sha256(flask.request.get_data()).hexdigest())
    answer.set_cookie("seen", flask.request.cookies.get("seen", "never"), httponly=True)
    return answer

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

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="x",
    DEBUG=False,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
)

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
    server_name {host};
    location / {{ include uwsgi_params; uwsgi_pass unix:{socket}; }}
}}
"""


class Site(NamedTuple):
    """One vassal file of uWSGI's; `socket` is where nginx finds it."""

    name: str
    suffix: str
    text: str
    owner: str = "root"
    group: str = "root"
    socket: str = ""

    @property
    def path(self) -> str:
        return self.socket or f"/run/uwsgi/{self.name}.sock"

    @property
    def host(self) -> str:
        return f"{self.name}.uwsgi"

    @property
    def file(self) -> Path:
        return VASSALS / f"{self.name}{self.suffix}"


# Without threads: uWSGI 2.0.21 crashes or hangs when it is stopped with them in a request.
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
    "alice",
    "/srv/alice/plain.sock",
)

BIG = Ask("/big")
"""What would be seen to be cut short."""
ASKED = {
    "flask": (
        Ask("/a/b?c=d"),
        Ask("/%C3%BC"),
        Ask("/"),
        Ask("/a", "HEAD"),
        BIG,
        Ask("/form", "POST", b"a=b&" * 50_000, (("Cookie", "seen=once"),)),
    ),
    "django": (
        Ask("/a?b=c"),
        Ask("/missing"),
        Ask("/static/site.css"),
        Ask("/static/site.css", "HEAD"),
        Ask("/static/site.css", headers=(("If-Modified-Since", "Fri, 31 Dec 2027 23:59:59 GMT"),)),
        Ask("/static/../flask_site.py"),
    ),
    "plain": (Ask("/"), Ask("/", "POST", b"x=y")),
}
"""Of each site; the first is asked all the time."""


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
    for home in (Path("/srv/alice"), Path("/srv/bob")):
        home.chmod(0o755)
    before = EMPEROR_INI.read_text()
    EMPEROR_INI.write_text(ini or before)
    UNIT_FILE.write_text(UNIT_TEXT)
    for site in sites:
        site.file.write_text(site.text)
        shutil.chown(site.file, site.owner, site.group)
    NGINX.write_text("".join(SERVER.format(host=one.host, socket=one.path) for one in sites))
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


def answers(*sites: Site) -> dict[tuple[str, Ask], Page]:
    """Return what each page of each site answers, once all sites are there."""
    for site in sites:
        wait_until(
            lambda host=site.host, ask=ASKED[site.name][0]: fetch(host, ask).status == 200,
            what=f"{site.name} is served",
        )
    return {(site.host, ask): fetch(site.host, ask) for site in sites for ask in ASKED[site.name]}


def main_command() -> str:
    pid = run("systemctl", "show", "--value", "--property", "MainPID", UWSGI_UNIT).strip()
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def switch_over_while_asked(machine: Machine, *sites: Site) -> None:
    """Change the one line under load; every site must answer as before. Prints the gaps."""
    before = answers(*sites)
    assert main_command().startswith("/usr/bin/uwsgi ")
    busy = [(site.host, ASKED[site.name][0]) for site in sites]
    busy += [(site.host, BIG) for site in sites if BIG in ASKED[site.name]]
    with asked_all_the_time(busy) as histories:

        def wait_answers(since: float) -> None:
            wait_until(
                lambda: all(one.has_answered_since(since, 10) for one in histories.values()),
                what="everybody has had ten more answers",
            )

        wait_answers(time.monotonic())
        switch_over(machine)
        after = answers(*sites)
        wait_answers(time.monotonic())
    assert "emperor" in main_command()
    began_at = int(machine.show("ExecMainStartTimestampMonotonic", UWSGI_UNIT)) / 1e6
    ready_at = int(machine.show("ActiveEnterTimestampMonotonic", UWSGI_UNIT)) / 1e6
    for asked, page in before.items():
        assert after[asked] == page, asked
    for asked, history in histories.items():
        wrong = history.wrong(before[asked])
        # What uWSGI's last worker was cut short in may arrive when ours begins.
        ours = [one for one in wrong if one.asked_at > began_at or one.came_at > ready_at]
        assert not ours, f"{asked}: {ours[0]!r} and {len(ours) - 1} more"
        # uWSGI kills its workers in their requests, and its protocol has no length by which nginx
        # could tell: what one client was being told then may be cut short.
        assert len(wrong) <= 1, asked
        assert all(before[asked].body.startswith(one.page.body) for one in wrong), wrong
        # Once ours has served nobody is turned away any more.
        assert history.refusals_since(history.served_from(began_at)) == 0, asked
    for (host, ask), history in histories.items():
        served = history.served_from(began_at)
        gap_s = served - history.served_until(began_at)
        refused = history.refusals_since(0)
        print(
            f"{host}{ask.path}: nobody served for {gap_s:.1f} s, of them {served - began_at:.1f} s "
            f"of ours; {refused} of {len(history.seen)} requests refused"
        )


def at_home(site: Site, owner: str) -> Site:
    """Return the site as a tyrant's emperor has it: its owner's, as is the folder of its socket."""
    text = site.text.replace("/run/uwsgi/", f"/srv/{owner}/")
    socket = site.path.replace("/run/uwsgi/", f"/srv/{owner}/")
    return site._replace(text=text, owner=owner, group=owner, socket=socket)


def test_one_installation_of_three_sites_is_switched_over_by_one_line(machine: Machine) -> None:
    ini = f"[uwsgi]\nmaster = true\nemperor = {VASSALS}\nemperor-tyrant = true\n"
    sites = (
        FLASK_SITE._replace(owner="www-data", group="www-data"),
        at_home(DJANGO_SITE, "bob"),
        TYRANT_SITE,
    )
    with uwsgi_emperor(machine, ini, *sites):
        uids = {name: int(run("id", "-u", name)) for name in ("www-data", "bob", "alice")}
        before = answers(*sites)
        assert json.loads(before[FLASK_SITE.host, Ask("/a/b?c=d")].body)["uid"] == uids["www-data"]
        assert json.loads(before[DJANGO_SITE.host, Ask("/a?b=c")].body)["uid"] == uids["bob"]
        assert before[TYRANT_SITE.host, Ask("/")].body.startswith(b"%d " % uids["alice"])
        switch_over_while_asked(machine, *sites)


def test_debians_emperor_is_switched_over_as_it_is_installed(machine: Machine) -> None:
    sites = (FLASK_SITE, DJANGO_SITE)
    with uwsgi_emperor(machine, "", *sites):
        before = answers(*sites)
        flask = json.loads(before[FLASK_SITE.host, Ask("/a/b?c=d")].body)
        assert flask["mode"] == "production"
        assert before[DJANGO_SITE.host, Ask("/static/site.css")].body == b"body { margin: 0 }\n"

        switch_over_while_asked(machine, *sites)

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
