"""Files that workers send themselves, over every protocol."""

import http.client
import os
import tempfile
from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

ASK = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}
BIG = os.urandom(3 * 1024 * 1024)


def test_files_are_sent_and_the_rest_is_the_applications(emperor: Emperor) -> None:
    emperor.app("hello")
    static = emperor.apps / "static"
    static.mkdir()
    (static / "big.bin").write_bytes(BIG)
    (static / "small.css").write_bytes(b"body {}")
    (static / "secret").symlink_to("../hello.py")
    for path in (static, *static.iterdir()):
        if not path.is_symlink():
            path.chmod(0o755)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="emp-") as folder:
        Path(folder).chmod(0o755)
        listen = [f"http://127.0.0.1:{port}"]
        listen += [f"{protocol}+unix://{folder}/{protocol}.sock" for protocol in ASK]
        table = 'threads = 2\ncheck_static = "static"\n[static]\n"/static" = "static"\n'
        emperor.drop("blog", text=table, listen=listen)
        emperor.start()
        emperor.wait_state("blog", "ready")
        for protocol, ask in ASK.items():
            path = f"{folder}/{protocol}.sock"
            assert ask(path, "/static/big.bin") == (200, BIG), protocol
            assert ask(path, "/small.css") == (200, b"body {}"), protocol
            for other in ("/static/secret", "/static/none", "/other"):
                assert ask(path, other)[1].startswith(b"one "), (protocol, other)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method, headers, status, body in [
        ("GET", {}, 200, BIG),
        ("HEAD", {}, 200, b""),
        ("GET", {"Range": "bytes=1000-2000999"}, 206, BIG[1000:2001000]),
        ("GET", {"Range": "bytes=-5"}, 206, BIG[-5:]),
        ("GET", {"Range": f"bytes={len(BIG)}-"}, 416, b""),
        ("GET", {"If-Modified-Since": "Tue, 01 Jan 2036 00:00:00 GMT"}, 304, b""),
        ("GET", {}, 200, BIG),
    ]:
        client.request(method, "/static/big.bin", headers=headers)
        answer = client.getresponse()
        assert (answer.status, answer.read() == body) == (status, True), (method, headers)
        if status == 200:
            assert answer.headers["Content-Length"] == str(len(BIG))
    client.close()
    assert get(port, "/static/%2e%2e/hello.py")[1].startswith(b"one ")
    assert get(port, "/static/..%2fhello.py")[1].startswith(b"one ")
    assert get(port, "/static/small.css%00")[1].startswith(b"one ")
