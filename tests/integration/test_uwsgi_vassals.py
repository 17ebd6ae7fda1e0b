"""Vassal files in uWSGI's dialect, dropped into a watched directory."""

import os
import pwd
import time
from pathlib import Path

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until

APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("SAYS", "nothing").encode()]
"""


def drop(one: Emperor, text: str, name: str = "blog.ini", uid: int | None = None) -> None:
    new = one.base / f".{name}.new"
    new.write_text(text)
    if uid is not None:
        os.chown(new, uid, uid)
    new.rename(one.vassals / name)


def site(one: Emperor, says: str, port: int, more: str = "") -> str:
    return (
        f"[uwsgi]\nport = {port}\nchdir = {one.apps}\nmodule = says\n"
        f"http-socket = 127.0.0.1:%(port)\nenv = SAYS={says}\nmaster = true\n{more}"
    )


@pytest.fixture
def port(emperor: Emperor) -> int:
    emperor.app("says", APP)
    return free_port()


def test_ini_file_is_served_and_its_change_is_new_code(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port))
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, b"one")
    drop(emperor, site(emperor, "two", port))
    wait_until(lambda: get(port)[1] == b"two", what="the changed file")
    (emperor.vassals / "blog.ini").unlink()
    wait_until(lambda: not emperor.status()["vassals"], what="the vassal to go")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "blog.yaml",
            "uwsgi:\n  chdir: {apps}\n  module: says\n  http-socket: 127.0.0.1:{port}\n"
            "  env: SAYS=%n\n",
        ),
        (
            "blog.json",
            '{{"uwsgi": {{"chdir": "{apps}", "module": "says", "env": ["A=b", "SAYS=%n"],'
            ' "http-socket": "127.0.0.1:{port}"}}}}',
        ),
        (
            "blog.xml",
            "<uwsgi><chdir>{apps}</chdir><module>says</module><env>SAYS=%n</env>"
            "<http-socket>127.0.0.1:{port}</http-socket><master/></uwsgi>",
        ),
    ],
)
def test_other_dialects(emperor: Emperor, port: int, name: str, text: str) -> None:
    drop(emperor, text.format(apps=emperor.apps, port=port), name)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, b"blog")


def test_touch_means_reload(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port))
    emperor.start()
    before = emperor.wait_state("blog", "ready")["generation"]
    time.sleep(0.05)
    (emperor.vassals / "blog.ini").touch()
    wait_until(lambda: emperor.vassal("blog")["generation"] > before, what="a new generation")


def test_included_file_counts_at_the_next_touch(emperor: Emperor, port: int) -> None:
    common = emperor.base / "common.ini"
    common.write_text("[uwsgi]\nenv = SAYS=common %n\n")
    text = site(emperor, "own", port, f"include = {common}\n")
    drop(emperor, text)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"common common"
    common.write_text("[uwsgi]\nenv = SAYS=changed\n")
    time.sleep(0.05)
    (emperor.vassals / "blog.ini").touch()
    wait_until(lambda: get(port)[1] == b"changed", what="what is included")


@pytest.mark.parametrize("gid", [None, 471148])
def test_number_without_an_account_is_run_as(emperor: Emperor, port: int, gid: int | None) -> None:
    need_root()
    path = emperor.base / "sockets" / "blog.sock"
    path.parent.mkdir()
    more = f"uid = 471147\nsocket = {path}\n" + (f"gid = {gid}\n" if gid else "")
    drop(emperor, site(emperor, "one", port, more))
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"one"
    assert (vassal["user"], vassal["gid"]) == ("471147", gid or 65534)
    assert (path.stat().st_uid, path.stat().st_gid) == (471147, gid or 65534)
    for pid in (vassal["pid"], vassal["workers"][0]["pid"]):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        words = {line.split()[0]: line.split()[1:] for line in lines if line}
        assert set(words["Uid:"]) == {"471147"}
        assert set(words["Gid:"]) == set(words["Groups:"]) == {str(gid or 65534)}
    said = {one["key"] for one in vassal["unsupported"]}
    assert ("uid" in said) is (gid is None)


def test_section_that_is_not_there_is_in_status(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port, "ini = :production\n"))
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"one"
    (said,) = (one["reason"] for one in vassal["unsupported"] if one["key"] == "ini")
    assert said.startswith('line 8: there is no section "production" in ')


def test_what_is_wrong_is_said_in_uwsgis_terms(emperor: Emperor, port: int) -> None:
    drop(emperor, "[uwsgi]\nmaster = true\nif-not-env = A\nif-not-env = B\n")
    emperor.start()
    vassal = emperor.wait_state("blog", "parked")
    assert (
        "blog.ini:4: if-not-env: stands inside if-not-env; end the one before"
        in (vassal["last_failure"]["message"])
    )


def test_option_that_is_not_done_is_in_status(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port, "cron = 5 -1 -1 -1 -1 echo\nvaccum = true\n"))
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    said = {item["key"]: item["reason"] for item in vassal["unsupported"]}
    assert {"cron", "vaccum"} <= said.keys()
    assert "vacuum" in said["vaccum"]


def test_check_says_what_becomes_of_each_option(emperor: Emperor, port: int) -> None:
    file = emperor.base / "blog.ini"
    file.write_text(site(emperor, "one", port, "vacuum = true\ncron = 5 -1 -1 -1 -1 echo\n"))
    done = command("check", str(file))
    assert done.returncode == 0, done.stderr
    assert f"{file}:8: vacuum = true: satisfied" in done.stdout
    assert f"{file}:9: cron = 5 -1 -1 -1 -1 echo: unsupported" in done.stdout


def test_two_files_of_one_name_are_one_too_many(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port))
    drop(emperor, "uwsgi:\n  module: says\n", "blog.yaml")
    emperor.start()
    emperor.wait_state("blog", "ready")
    errors = emperor.status()["emperor"]["errors"]
    assert any("describes this vassal already" in line for line in errors)


def test_tenants_file_includes_what_the_tenant_can_read_and_nothing_else(
    emperor: Emperor, port: int
) -> None:
    need_root()
    nobody = pwd.getpwnam("nobody").pw_uid
    theirs = emperor.base / "theirs.ini"
    theirs.write_text("[uwsgi]\nenv = SAYS=theirs\n")
    drop(emperor, site(emperor, "own", port, f"include = {theirs}\n"), uid=nobody)
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert (get(port)[1], vassal["user"]) == (b"theirs", "nobody")
    secret = emperor.base / "secret.txt"
    secret.write_text("root's")
    secret.chmod(0o600)
    for line in (f"env = SAYS=@({secret})", f"include = {secret}.ini", f"for-readline = {secret}"):
        drop(emperor, site(emperor, "own", port, f"{line}\nenv = X=%(_)\n"), uid=nobody)
        time.sleep(0.5)
        assert "root's" not in str(emperor.vassal("blog"))
        assert get(port)[1] in (b"theirs", b"own")
    drop(emperor, site(emperor, "[$(NOTIFY_SOCKET)$(SECRET)]", port), uid=nobody)
    wait_until(lambda: get(port)[1] == b"[$(NOTIFY_SOCKET)$(SECRET)]", what="no environment")


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_folders_of_a_pattern_are_on_the_import_path(
    emperor: Emperor, port: int, owner: str
) -> None:
    need_root()
    for name in ("one", "two"):
        (emperor.apps / "lib" / name).mkdir(parents=True)
        (emperor.apps / "lib" / name / f"{name}.py").write_text(f"SAYS = {name!r}\n")
    emperor.app("says", "import one, two, os\nos.environ['SAYS'] = one.SAYS + two.SAYS\n" + APP)
    text = site(emperor, "", port, "pythonpath = lib/*\nthreads = true\n")
    drop(emperor, text, uid=pwd.getpwnam(owner).pw_uid)
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"onetwo"
    (said,) = (one["reason"] for one in vassal["unsupported"] if one["key"] == "threads")
    assert '"true" is no number' in said


def test_files_of_the_emperors_environment_are_for_the_provider(
    emperor: Emperor, port: int
) -> None:
    emperor.environ["SECRET"] = "hush"
    drop(emperor, site(emperor, "$(SECRET)", port))
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"hush"


def test_rollback_brings_back_the_file_as_it_was(emperor: Emperor, port: int) -> None:
    drop(emperor, site(emperor, "one", port))
    emperor.start()
    emperor.wait_state("blog", "ready")
    drop(emperor, site(emperor, "two", port))
    wait_until(lambda: get(port)[1] == b"two", what="the changed file")
    emperor.wait_state("blog", "ready")
    where = {"EMPEROR_RUNTIME_DIR": str(Path(emperor.runtime_dir))}
    assert command("rollback", "--wait", "blog", environ=where).returncode == 0
    assert get(port)[1] == b"one"


def test_file_mounts_static_files_and_logs_are_as_in_uwsgi(emperor: Emperor) -> None:
    emperor.app("front", APP.replace('"SAYS"', '"FRONT"'))
    emperor.app("shop", APP.replace('"SAYS"', '"SHOP"'))
    (emperor.apps / "static").mkdir(mode=0o755)
    (emperor.apps / "static" / "a.css").write_text("body {}")
    port = free_port()
    drop(
        emperor,
        f"[uwsgi]\nhttp-socket = 127.0.0.1:{port}\nchdir = {emperor.apps}\n"
        "wsgi-file = front.py\nmount = /shop=shop.py\nmanage-script-name = true\n"
        "env = FRONT=front\nenv = SHOP=shop\nstatic-map = /static=static\n"
        "check-static = static\nlazy-apps = true\nprocname-prefix = site\n"
        f"pidfile2 = blog.pid\nlogto = {emperor.base}/site.log\n"
        "log-format = > %(method) %(uri) %(status) %(switches)\n",
    )
    emperor.apps.chmod(0o777)
    (emperor.base / "site.log").touch()
    (emperor.base / "site.log").chmod(0o666)
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    for path, answer in [
        ("/", b"front"),
        ("/shop/x", b"shop"),
        ("/static/a.css", b"body {}"),
        ("/a.css", b"body {}"),
        ("/static/none", b"front"),
    ]:
        assert get(port, path) == (200, answer), path
    wait_until(
        lambda: "> GET /static/a.css 200 0\n" in (emperor.base / "site.log").read_text(),
        what="the line of a request",
    )
    assert (emperor.apps / "blog.pid").read_text() == f"{vassal['pid']}\n"


def test_a_name_that_is_no_vassals_here_is_told_of(emperor: Emperor) -> None:
    drop(emperor, "[uwsgi]\n", "my shop.ini")
    emperor.start()
    [line] = [each for each in emperor.log().splitlines() if "event=file_not_used" in each]
    assert f'path="{emperor.vassals}/my shop.ini"' in line
