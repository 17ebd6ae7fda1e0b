"""One path for each thing that PEP 3333 lets an application do, and for some that it does not."""

import gzip
import io
import json
import os
import sys
import tempfile
import threading
import time
from wsgiref.validate import validator

HTML = [("Content-Type", "text/plain")]
closed: list[str] = []
meeting = threading.Barrier(2)
big = tempfile.TemporaryFile()  # noqa: SIM115 as long as the process
big.write(b"0123456789abcdef" * (3 * 1024 * 1024 // 16))
big.flush()


class Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, name, parts, fails=False):
        self.name = name
        self.parts = iter(parts)
        self.fails = fails

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        closed.append(self.name)
        if self.fails:
            raise RuntimeError("close failed on purpose")


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0] or "hello"
    return globals()["do_" + name](environ, start_response)


def do_hello(environ, start_response):
    start_response("200 OK", HTML)
    return [b"hello"]


def do_pid(environ, start_response):
    start_response("200 OK", HTML)
    return [b"%d" % os.getpid()]


def do_environ(environ, start_response):
    start_response("200 OK", HTML)
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool))}
    return [json.dumps(shown).encode()]


def do_mark(environ, start_response):
    """Forget what was closed; write a line by which the log can be cut."""
    closed.clear()
    print(f"mark {environ['QUERY_STRING']};", file=environ["wsgi.errors"], flush=True)
    return do_hello(environ, start_response)


def do_closed(environ, start_response):
    """Tell what was closed since the last time."""
    found = json.dumps(closed).encode()
    closed.clear()
    start_response("200 OK", HTML)
    return [found]


def do_echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", HTML)
    return [body]


def do_size(environ, start_response):
    total = 0
    while data := environ["wsgi.input"].read(65536):
        total += len(data)
    start_response("200 OK", HTML)
    return [b"%d" % total]


def do_lines(environ, start_response):
    source = environ["wsgi.input"]
    found = [source.readline(), source.readline(2), source.read(3), source.read(0)]
    found += [next(source), *source.readlines(), source.read(), source.readline()]
    start_response("200 OK", HTML)
    return [json.dumps([part.decode() for part in found]).encode()]


def do_reads(environ, start_response):
    """Read the body in pieces of three bytes; note in the log how that ended."""
    source, total = environ["wsgi.input"], 0
    try:
        while data := source.read(3):
            if not total:
                print("reading begins", file=environ["wsgi.errors"], flush=True)
            total += len(data)
    except OSError as error:
        print(f"{error} after {total} bytes", file=environ["wsgi.errors"], flush=True)
        raise
    start_response("200 OK", HTML)
    return [b"%d" % total]


def do_ignore(environ, start_response):
    """Answer without reading the body."""
    start_response("200 OK", HTML)
    return [b"ignored"]


def do_write(environ, start_response):
    write = start_response("200 OK", HTML)
    write(b"one ")
    write(b"")
    write(b"two ")
    return Closing("write", [b"three ", b"", b"four"])


def do_keepwrite(environ, start_response):
    """Use what the request before has kept of write(); keep this one's."""
    for write in kept:
        write(b"late")
    kept[:] = [start_response("200 OK", HTML)]
    return [b"kept"]


kept: list[object] = []


def do_fork(environ, start_response):
    """Leave a process behind that has the client's socket too."""
    read, write = os.pipe()
    if os.fork() == 0:
        for holder in (*holders, write):
            os.close(holder)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    holders.append(write)
    return do_parts(environ, start_response)


def do_unfork(environ, start_response):
    """Let all those go."""
    while holders:
        os.close(holders.pop())
        os.wait()
    return do_hello(environ, start_response)


holders: list[int] = []


def do_lazy(environ, start_response):
    """A generator that calls start_response only when it is asked for the first part."""
    yield b""
    start_response("200 OK", HTML)
    yield b"late"


def do_parts(environ, start_response):
    start_response("200 OK", HTML)
    return Closing("parts", [b"a", b"b", b"c"])


def do_sized(environ, start_response):
    start_response("200 OK", [*HTML, ("Content-Length", "6")])
    return Closing("sized", [b"abc", b"def"])


def do_whole(environ, start_response):
    start_response("200 OK", [*HTML, ("Content-Length", "5")])
    return [b"whole"]


def do_goodbye(environ, start_response):
    start_response("200 OK", [*HTML, ("Connection", "close"), ("Date", "today")])
    return [b"whole"]


def do_over(environ, start_response):
    start_response("200 OK", [*HTML, ("Content-Length", "4")])
    return Closing("over", [b"abc", b"def", b"ghi"])


def do_under(environ, start_response):
    start_response("200 OK", [*HTML, ("Content-Length", "9")])
    return Closing("under", [b"abc"])


def do_status(environ, start_response):
    start_response(environ["PATH_INFO"].split("/")[2] + " Chosen", HTML)
    return Closing("status", [b"body that", b" may not go"])


def do_replaced(environ, start_response):
    start_response("200 OK", HTML)
    try:
        raise ValueError("noticed in time")
    except ValueError:
        start_response("500 Oh", HTML, sys.exc_info())
    return [b"instead"]


def do_reraised(environ, start_response):
    start_response("200 OK", HTML)
    yield b"begun"
    try:
        raise ValueError("too late to replace the head")
    except ValueError:
        start_response("500 Oh", HTML, sys.exc_info())
    yield b"never"


def do_twice(environ, start_response):
    start_response("200 OK", HTML)
    start_response("200 OK", HTML)
    return [b"never"]


def do_nothing(environ, start_response):
    return []


def do_headless(environ, start_response):
    return [b"no head"]


def do_text(environ, start_response):
    start_response("200 OK", HTML)
    return ["text"]


def do_split(environ, start_response):
    start_response("200 OK", [("A", "b\r\nC: d")])
    return [b"never"]


def do_raise(environ, start_response):
    raise RuntimeError("on purpose")


def do_mute(environ, start_response):
    """Fail while sys.stderr cannot be used."""
    before = sys.stderr
    kind = environ["PATH_INFO"].split("/")[2]
    sys.stderr = None if kind == "none" else io.StringIO()
    if kind == "closed":
        sys.stderr.close()
    muted.append(before)
    raise RuntimeError(f"not heard: {kind}")


def do_unmute(environ, start_response):
    sys.stderr = muted[0]
    return do_hello(environ, start_response)


muted: list[io.TextIOBase] = []


def do_exit(environ, start_response):
    raise SystemExit(3)


def do_fails(environ, start_response):
    """Fail in the middle of the body."""

    def parts():
        yield b"begun"
        raise RuntimeError("in the middle")

    start_response("200 OK", HTML)
    return Closing("fails", parts())


def do_unsizedfails(environ, start_response):
    start_response("200 OK", HTML)
    return Closing("unsizedfails", [b"ok"], fails=True)


def do_closefails(environ, start_response):
    start_response("200 OK", [*HTML, ("Content-Length", "2")])
    return Closing("closefails", [b"ok"], fails=True)


def do_file(environ, start_response):
    """A real file from its 16th byte: sendfile."""
    copy = os.fdopen(os.dup(big.fileno()), "rb")
    copy.seek(16)
    start_response("200 OK", HTML)
    return environ["wsgi.file_wrapper"](copy)


def do_memory(environ, start_response):
    start_response("200 OK", HTML)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 70000), 1000)


def do_gunzip(environ, start_response):
    """A file-like object with a descriptor, which reads something else than the file holds."""
    packed = tempfile.NamedTemporaryFile()  # noqa: SIM115 the wrapper closes it
    packed.write(gzip.compress(b"plain text"))
    packed.seek(0)
    start_response("200 OK", HTML)
    return environ["wsgi.file_wrapper"](gzip.GzipFile(fileobj=packed))


def do_shorter(environ, start_response):
    """A file of which only the declared part is sent."""
    copy = os.fdopen(os.dup(big.fileno()), "rb")
    copy.seek(0)
    start_response("200 OK", [*HTML, ("Content-Length", "10")])
    return environ["wsgi.file_wrapper"](copy)


def do_stream(environ, start_response):
    """Send each part only when the last one was fetched: the client says so by a file."""
    start_response("200 OK", HTML)
    flag = environ["QUERY_STRING"]
    yield b"first;"
    deadline = time.monotonic() + 10
    while not os.path.exists(flag):
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)
    yield b"second"


def do_endless(environ, start_response):
    start_response("200 OK", HTML)
    return Closing("endless", iter(lambda: b"x" * 65536, b""))


def do_large(environ, start_response):
    start_response("200 OK", HTML)
    return [b"y" * (8 * 1024 * 1024)]


def do_meet(environ, start_response):
    """Come back only when two threads of this process are here at once."""
    meeting.wait(10)
    start_response("200 OK", HTML)
    return [threading.current_thread().name.encode()]


def do_sleep(environ, start_response):
    time.sleep(float(environ["PATH_INFO"].split("/")[2]))
    start_response("200 OK", HTML)
    return [b"slept"]


def do_grow(environ, start_response):
    held.append(os.urandom(1024) * (4 * 1024))
    start_response("200 OK", HTML)
    return [b"%d" % os.getpid()]


held: list[bytes] = []


def _checked(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", HTML)
    return [b"valid " + body]


validated = validator(_checked)
