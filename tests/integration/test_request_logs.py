"""A log of requests beside the vassal's, and dates before lines: as the real uWSGI has them."""

import re
import time
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.uwsgi import real_uwsgi
from tests.support.wait import wait_until

SAYS = """
import sys, uwsgi

def application(environ, start_response):
    print("printed")
    sys.stderr.write("error\\n")
    uwsgi.log("logged")
    start_response("200 OK", [])
    return [b"x"]
"""
FORM = "> %(method) %(uri) %(status)"
ACCESS = f'access_log = {{ format = "{FORM}" }}\n'


def folder_of(emperor: Emperor, name: str) -> Path:
    folder = emperor.apps / name
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def said(file: Path) -> list[str]:
    """Return what application and requests have in a file, each date as DATE."""
    kinds = ("printed", "error", "logged", "> ")
    lines = file.read_text().splitlines() if file.exists() else []
    found = [re.sub(r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} - ", "DATE", x) for x in lines]
    return [line for line in found if line.removeprefix("DATE").startswith(kinds)]


def test_loggers_and_dates_are_uwsgis(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("says", SAYS)
    ports = {name: free_port() for name in ("ours", "theirs")}
    text = (
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = says\nmaster = true\nlog-date = yes\n"
        f"die-on-term = true\nlog-format = {FORM}\n"
    )
    for name, port in ports.items():
        folder = folder_of(emperor, name)
        lines = f"logger = file:{folder}/all.log\nreq-logger = file:{folder}/requests.log\n"
        place = emperor.vassals if name == "ours" else tmp_path
        (place / "blog.ini").write_text(f"{text}{lines}http-socket = 127.0.0.1:{port}\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    with real_uwsgi(tmp_path, "--ini", str(tmp_path / "blog.ini")):
        found = {}
        for name, port in ports.items():
            wait_until(lambda port=port: answers(port), 10, name)
            files = [emperor.apps / name / file for file in ("all.log", "requests.log")]
            wait_until(lambda files=files: said(files[1]), 5, "the request is in its log")
            wait_until(lambda files=files: len(said(files[0])) >= 3, 5, "the rest is there")
            found[name] = [sorted(said(file)) for file in files]
    assert found["ours"] == found["theirs"]
    assert found["ours"] == [["DATElogged", "error", "printed"], ["> GET / 200"]]
    own = (emperor.apps / "ours" / "all.log").read_text()
    assert "event=" not in said(emperor.apps / "ours" / "requests.log")
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.wait_state("blog", "ready")["generation"] == 2, 10, "reloaded")
    assert len(own) <= len((emperor.apps / "ours" / "all.log").read_text())


def answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False


def test_log_of_requests_is_rotated_reopened_and_left_as_the_other_is(emperor: Emperor) -> None:
    emperor.app("hello")
    keys = {"log.requests": "file", "log.max_size": "4K", "log.keep": 1}
    port = emperor.drop("blog", text=ACCESS, **keys)
    emperor.start()
    emperor.wait_state("blog", "ready")
    folder = emperor.runtime_dir / "log" / "blog"
    log, older = folder / "blog-requests.log", folder / "blog-requests.log.1"
    for number in range(60):
        assert get(port, f"/{number:0100}")[0] == 200
    wait_until(lambda: log.exists() and f"{59:0100}" in log.read_text(), 5, "the last line")
    assert older.stat().st_size <= 4096
    assert log.stat().st_size <= 4096
    assert log.stat().st_mode & 0o777 == 0o640
    assert "> GET" not in emperor.vassal_log("blog")

    log.rename(folder / "away.log")
    emperor.do("reopen", "blog")
    wait_until(log.exists, 5, "opened anew")
    get(port, "/anew")
    wait_until(lambda: log.read_text() == "> GET /anew 200\n", 5, "a line in the new file")

    emperor.drop("blog", port=port, text=ACCESS)  # from now on among the others
    wait_until(lambda: emperor.wait_state("blog", "ready")["generation"] == 2, 10, "a new one")
    wait_until(lambda: get(port, "/among") and "> GET /among" in emperor.vassal_log("blog"), 5, "x")
    assert "/among" not in log.read_text()


def test_place_that_cannot_be_opened_costs_no_line(emperor: Emperor) -> None:
    emperor.app("hello")
    (emperor.base / "none" / "a.log").mkdir(parents=True)
    keys = {"log.requests": str(emperor.base / "none" / "a.log"), "log.date": "day %j"}
    port = emperor.drop("blog", text=ACCESS, **keys)
    emperor.start()
    emperor.wait_state("blog", "ready")
    get(port, "/here")
    wait_until(lambda: "> GET /here" in emperor.vassal_log("blog"), 5, "among the others")
    day = time.strftime("day %j event=log_unavailable error=")
    assert day in emperor.vassal_log("blog")
    assert "log.requests" in emperor.unsupported("blog")
