"""A line for each request in the vassal's log."""

import re
import socket
import tempfile
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.serving import read_all
from tests.support.wait import wait_until
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

ASK = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}
CODES = """
def application(environ, start_response):
    environ["REMOTE_ADDR"] = "forged"
    if environ["PATH_INFO"] == "/fails":
        raise RuntimeError("on purpose")
    start_response(environ["PATH_INFO"][1:4] + " Status", [("X-A", "b")])
    return [b"hello"]
"""


def lines(one: Emperor, *begin: str) -> list[str]:
    return [line for line in one.vassal_log("blog").splitlines() if line.startswith(begin)]


def test_each_request_has_its_line_over_every_protocol(emperor: Emperor) -> None:
    emperor.app("codes", CODES)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="emp-") as folder:
        Path(folder).chmod(0o755)
        listen = [f"http://127.0.0.1:{port}"]
        listen += [f"{protocol}+unix://{folder}/{protocol}.sock" for protocol in ASK]
        text = 'access_log = { format = "> %(addr) %(method) %(uri) %(status) %(rsize)" }\n'
        emperor.drop("blog", "codes:application", text, listen=listen)
        emperor.start()
        emperor.wait_state("blog", "ready")
        assert get(port, "/200?q")[0] == 200
        assert get(port, "/fails")[0] == 500
        for protocol, ask in ASK.items():
            assert ask(f"{folder}/{protocol}.sock", f"/200/{protocol}")[0] == 200
        wait_until(lambda: len(lines(emperor, "> ")) >= 5, what="five lines")
        assert lines(emperor, "> 127.0.0.1") == [
            "> 127.0.0.1 GET /200?q 200 5",
            "> 127.0.0.1 GET /fails 500 26",
        ]
        for protocol in ASK:
            assert re.search(rf"> \S+ GET /200/{protocol} 200 \d+", emperor.vassal_log("blog"))


def test_usual_line_conditions_and_a_request_that_would_forge_one(emperor: Emperor) -> None:
    emperor.app("codes", CODES)
    port = emperor.drop("blog", "codes:application", access_log="on", threads=2)
    emperor.start()
    emperor.wait_state("blog", "ready")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"GET /200 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b'User-Agent: a"\tb\xff\r\nReferer: http://r/\r\n\r\n'
        )
        read_all(client)
    usual = re.compile(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /200 HTTP/1.1" 200 5'
        r' "http://r/" "a\\x22\\x09b\\xff" \d+ ms'
    )
    wait_until(lambda: usual.search(emperor.vassal_log("blog")), what="the usual line")
    emperor.drop(
        "blog",
        "codes:application",
        port=port,
        text='[access_log]\nformat = "> %(status)"\nlog_4xx = true\nlog_5xx = true\n',
    )
    wait_until(lambda: get(port, "/404")[0] and lines(emperor, "> 404"), what="a line of 404")
    get(port, "/200")
    get(port, "/503")
    wait_until(lambda: lines(emperor, "> 503"), what="a line of 503")
    assert not lines(emperor, "> 200")
