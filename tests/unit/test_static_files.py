"""Files in front of an application: what is sent, and what is left to the application."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.config.problems import Invalid
from emperor.config.serving_keys import file_names, static
from vassal.runtime.content_types import content_type
from vassal.runtime.output import http_date
from vassal.runtime.ranges import is_unchanged, part_of
from vassal.runtime.static import StaticFiles

THEIRS = ("the application", {}, b"")


class Site:
    """A folder with a secret beside it, served at /static and looked into for every path."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "static"
        (self.folder / "css").mkdir(parents=True)
        (self.folder / "css" / "a.css").write_text("body {}")
        (self.folder / "index.html").write_text("hello")
        (self.folder / "über.txt").write_text("umlaut")
        self.secret = base / "secret.txt"
        self.secret.write_text("secret")
        self.checked = base / "public"
        (self.checked / ".well-known").mkdir(parents=True)
        (self.checked / ".well-known" / "word").write_text("known")

    def ask(self, path: str, method: str = "GET", index: tuple[str, ...] = (), **more: str) -> Any:
        said: list[Any] = []

        def application(environ: Any, start: Any) -> list[bytes]:
            start("the application", [])
            return []

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            said.extend((status, dict(headers)))

        mapped = {"/static": str(self.folder), "/one.txt": str(self.secret)}
        files = StaticFiles(application, mapped, index, [str(self.checked)])
        environ = {"PATH_INFO": path, "REQUEST_URI": path, "REQUEST_METHOD": method, **more}
        answer = files(environ, start)
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return said[0], said[1], body


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    before = set(os.listdir("/proc/self/fd"))
    yield Site(tmp_path)
    assert set(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


def test_file_is_sent_with_what_a_browser_needs(site: Site) -> None:
    status, headers, body = site.ask("/static/css/a.css")
    assert (status, body) == ("200 OK", b"body {}")
    assert headers == {
        "Content-Type": "text/css",
        "Content-Length": "7",
        "Accept-Ranges": "bytes",
        "Last-Modified": http_date(int((site.folder / "css/a.css").stat().st_mtime)),
    }
    assert site.ask("/static/css/a.css", "HEAD")[:2] == (status, headers)
    assert site.ask("/static/\xc3\xbcber.txt")[2] == b"umlaut"
    assert site.ask("/one.txt")[2] == b"secret", "a single file has a place too"
    assert site.ask("/.well-known/word")[2] == b"known"


@pytest.mark.parametrize(
    "path",
    [
        "/static/nothing",
        "/static/css",
        "/static/css/",
        "/static",
        "/static/",
        "/staticcss/a.css",
        "/static/css/a.css/",
        "/static//css/a.css",
        "/static/./css/a.css",
        "/static/../secret.txt",
        "/static/css/../../secret.txt",
        "/static/..",
        "/static/%2e%2e/secret.txt",
        "/static/..\\secret.txt",
        "/static/css\\a.css",
        "/static/css/a.css\0.html",
        "/one.txt/",
        "/one.txt/secret.txt",
        "/../secret.txt",
        "//etc/passwd",
        "/static/" + "x" * 300,
        "/static/" + "x/" * 5000,
        "*",
        "",
    ],
)
def test_what_is_no_file_below_the_folder_is_the_applications(site: Site, path: str) -> None:
    assert site.ask(path) == THEIRS


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE", "get"])
def test_other_methods_are_the_applications(site: Site, method: str) -> None:
    assert site.ask("/static/css/a.css", method) == THEIRS


def test_links_are_followed_as_long_as_they_stay_below(site: Site) -> None:
    folder = site.folder
    (folder / "same").symlink_to("css/../css/a.css")
    (folder / "styles").symlink_to("css")
    (folder / "css" / "up").symlink_to("../styles/a.css")
    for path in ("same", "styles/a.css", "css/up", "styles/up"):
        assert site.ask(f"/static/{path}")[2] == b"body {}", path
    (folder / "out").symlink_to("../secret.txt")
    (folder / "away").symlink_to(site.secret)
    (folder / "css" / "deep").symlink_to("../../secret.txt")
    (folder / "top").symlink_to("..")
    (folder / "root").symlink_to("/")
    (folder / "loop").symlink_to("loop")
    for path in ("out", "away", "css/deep", "top/secret.txt", "root/etc/passwd", "loop"):
        assert site.ask(f"/static/{path}") == THEIRS, path


def test_what_is_neither_file_nor_folder_is_not_even_opened(site: Site) -> None:
    os.mkfifo(site.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(site.folder / "socket"))
        for name in ("pipe", "socket"):
            assert site.ask(f"/static/{name}") == THEIRS
    os.unlink(site.secret)
    os.mkfifo(site.secret)
    assert site.ask("/one.txt") == THEIRS


def test_index_is_sent_for_a_folder_with_a_slash(site: Site) -> None:
    index = ("none.html", "index.html")
    assert site.ask("/static/", index=index)[2] == b"hello"
    status, headers, _ = site.ask("/static", index=index, REQUEST_URI="/static?a=b")
    assert (status, headers["Location"]) == ("301 Moved Permanently", "/static/?a=b")
    assert site.ask("/static", index=index, REQUEST_URI="//evil.example") == THEIRS
    assert site.ask("/static/css/", index=index) == THEIRS
    (site.folder / "css" / "index.html").symlink_to("../../secret.txt")
    assert site.ask("/static/css/", index=index) == THEIRS


def test_file_that_the_client_has_is_not_sent_again(site: Site) -> None:
    path = site.folder / "css" / "a.css"
    os.utime(path, (0, 1_000_000_000.5))
    changed = site.ask("/static/css/a.css")[1]["Last-Modified"]
    assert changed == "Sun, 09 Sep 2001 01:46:40 GMT"
    answer = site.ask("/static/css/a.css", HTTP_IF_MODIFIED_SINCE=changed)
    assert answer == ("304 Not Modified", {"Last-Modified": changed}, b"")


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("Sun, 09 Sep 2001 01:46:40 GMT", True),
        ("Sun, 09 Sep 2001 01:46:39 GMT", False),
        ("Tue, 01 Jan 2030 00:00:00 GMT", True),
        ("Sun, 09 Sep 2001 01:46:40 GMT; length=5", True),
        ("Sunday, 09-Sep-01 01:46:40 GMT", False),
        ("Sun, 09 Sep 2001 01:46 GMT", False),
        ("Sun, xx Sep 2001 01:46:40 GMT", False),
        ("", False),
    ],
)
def test_dates_of_clients(since: str, expected: bool) -> None:
    assert is_unchanged({"HTTP_IF_MODIFIED_SINCE": since}, 1_000_000_000.5) is expected
    tagged = {"HTTP_IF_MODIFIED_SINCE": since, "HTTP_IF_NONE_MATCH": '"x"'}
    assert not is_unchanged(tagged, 0)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 6)),
        ("bytes=-3", (7, 3)),
        ("bytes=-99", (0, 10)),
        ("bytes=9-99", (9, 1)),
        ("Bytes=0-0", (0, 1)),
        ("bytes=10-", (0, 0)),
        ("bytes=-0", (0, 0)),
        ("bytes=3-1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=1", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("lines=0-1", None),
    ],
)
def test_ranges(asked: str, expected: tuple[int, int] | None) -> None:
    environ = {"HTTP_RANGE": asked, "REQUEST_METHOD": "GET"}
    assert part_of(environ, 10, "then") == expected
    assert part_of({**environ, "HTTP_IF_RANGE": "then"}, 10, "then") == expected
    assert part_of({**environ, "HTTP_IF_RANGE": "before"}, 10, "then") is None
    assert part_of({**environ, "REQUEST_METHOD": "HEAD"}, 10, "then") is None


def test_part_of_a_file_is_sent(site: Site) -> None:
    status, headers, body = site.ask("/static/css/a.css", HTTP_RANGE="bytes=1-4")
    assert (status, body) == ("206 Partial Content", b"ody ")
    assert (headers["Content-Range"], headers["Content-Length"]) == ("bytes 1-4/7", "4")
    status, headers, body = site.ask("/static/css/a.css", HTTP_RANGE="bytes=7-")
    assert (status, body) == ("416 Range Not Satisfiable", b"")
    assert headers["Content-Range"] == "bytes */7"


def test_content_types() -> None:
    for name, kind in [
        (b"a.CSS", "text/css"),
        (b"a.b.js", "text/javascript"),
        (b"html", "application/octet-stream"),
        (b"a.", "application/octet-stream"),
        (b"a.\xff", "application/octet-stream"),
    ]:
        assert content_type(name) == kind


def test_wrong_values_are_explained() -> None:
    assert static({"/": "public", "/a/": "b"}) == {"": "public", "/a": "b"}
    with pytest.raises(Invalid, match='"static" is not the path of a URL; write "/static"'):
        static({"static": "/srv"})
    with pytest.raises(Invalid, match="is not a name in a folder"):
        file_names(["../index.html"])
