"""The line about a request in the log, where its file has no log-format: as the real uWSGI's."""

import re
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.uwsgi import real_uwsgi
from tests.support.wait import wait_until
from tests.support.wires import ask_uwsgi

APP = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise RuntimeError("on purpose")
    code = path[1:] if path[1:].isdigit() else "200"
    start_response(code + " Status", [("Content-Type", "text/plain"), ("X-A", "b")])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    return [b"hello"]
"""
LINE = re.compile(
    r"\[pid: (?P<pid>\d+)\|app: (?P<app>-?\d+)\|req: (?P<req>-?\d+)/(?P<reqs>\d+)\]"
    r" (?P<addr>[\d.]*) \((?P<user>.*?)\) \{(?P<vars>\d+) vars in (?P<size>\d+) bytes\}"
    r" \[(?P<time>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\] (?P<method>\S+) (?P<uri>\S+)"
    r" => generated (?P<body>\d+) bytes in (?P<took>\d+) (?P<unit>msecs|micros)(?P<via>.*?)"
    r"\((?P<proto>\S*) (?P<status>\d+)\) (?P<headers>\d+) headers in (?P<head>\d+) bytes"
    r" \((?P<switches>\d+) switches on core (?P<core>\d+)\)"
)
PATHS = ("/", "/404", "/file", "/static/a.txt", "/x?a=b&c", "/fails")
OWN = {
    # Of an answer, ours has one where uWSGI's is cut off, and fields that uWSGI leaves out.
    "/fails": ("body", "headers"),
    "/static/a.txt": ("headers",),
}


def lines_of(text: str) -> list[dict[str, str]]:
    return [match.groupdict() for match in map(LINE.fullmatch, text.splitlines()) if match]


def ini(emperor: Emperor, port: int, socket: Path, more: str = "") -> str:
    return (
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = codes\nmaster = true\nhttp-socket ="
        f" 127.0.0.1:{port}\nsocket = {socket}\nstatic-map = /static={emperor.apps}/files\n{more}"
    )


def test_each_field_is_where_uwsgi_has_it(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("codes", APP)
    (emperor.apps / "files").mkdir()
    (emperor.apps / "files" / "a.txt").write_text("static\n")
    ports = {"ours": free_port(), "theirs": free_port()}
    sockets = {name: emperor.base / f"{name}.sock" for name in ports}
    (emperor.vassals / "blog.ini").write_text(ini(emperor, ports["ours"], sockets["ours"]))
    theirs = ini(emperor, ports["theirs"], sockets["theirs"], "die-on-term = true\n")
    (tmp_path / "blog.ini").write_text(theirs)
    emperor.start()
    emperor.wait_state("blog", "ready")
    logs = {"ours": lambda: emperor.vassal_log("blog")}
    logs["theirs"] = (tmp_path / "uwsgi.log").read_text
    found = {}
    with real_uwsgi(tmp_path, "--ini", str(tmp_path / "blog.ini")):
        for name, port in ports.items():
            wait_until(lambda port=port: answers(port, PATHS[0]), 10, name)
            for path in PATHS[1:]:
                answers(port, path)
            assert ask_uwsgi(str(sockets[name]), "/uwsgi")[0] == 200
            wait_until(lambda name=name: len(lines_of(logs[name]())) == len(PATHS) + 1, 5, name)
            found[name] = lines_of(logs[name]())
    for ours, real, path in zip(found["ours"], found["theirs"], (*PATHS, "/uwsgi"), strict=True):
        # How long it took differs, and how often uWSGI had to wait. HTTP has fields in the answer
        # that uWSGI leaves out, and variables, but a web server's are as it says them.
        different = {"pid", "took", "time", "head", "switches", *OWN.get(path, ())}
        if path != "/uwsgi":
            different |= {"vars", "size"}
        same = {name for name in real if name not in different}
        assert {name: ours[name] for name in same} == {name: real[name] for name in same}, path
        assert int(ours["vars"]) >= int(real["vars"])
        assert int(ours["head"]) >= int(real["head"])


def answers(port: int, path: str) -> bool:
    try:
        return get(port, path)[0] > 0
    except OSError:
        return False


def test_conditions_and_units_choose_among_uwsgis_lines(emperor: Emperor) -> None:
    emperor.app("codes", APP)
    port = free_port()
    more = "disable-logging = true\nlog-4xx = true\nlog-micros = true\nthreads = 2\n"
    socket = emperor.base / "a.sock"
    (emperor.vassals / "blog.ini").write_text(ini(emperor, port, socket, more))
    emperor.start()
    emperor.wait_state("blog", "ready")
    for path in ("/200", "/404", "/503"):
        get(port, path)
    wait_until(lambda: lines_of(emperor.vassal_log("blog")), 5, "the line")
    (line,) = lines_of(emperor.vassal_log("blog"))
    assert [line[key] for key in ("status", "unit", "reqs")] == ["404", "micros", "2"]
