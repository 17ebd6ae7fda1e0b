"""Several applications in one vassal, by the beginning of the path."""

import tempfile
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.wait import wait_until
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

ASK = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}
SHOWS = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/fails":
        raise RuntimeError("on purpose")
    return ["WHO {SCRIPT_NAME} {PATH_INFO}".format(**environ).encode("latin-1")]
"""


@pytest.fixture
def site(emperor: Emperor) -> Emperor:
    for name in ("front", "shop"):
        emperor.app(name, SHOWS, WHO=name)
    return emperor


def test_the_longest_prefix_has_the_request_over_every_protocol(site: Emperor) -> None:
    with tempfile.TemporaryDirectory(prefix="emp-") as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        listen = [f"http://127.0.0.1:{port}"]
        listen += [f"{protocol}+unix://{folder}/{protocol}.sock" for protocol in ASK]
        table = '[mounts]\n"/shop" = "shop.py"\n"/shop/front" = "front:application"\n'
        site.drop("blog", "front:application", table, listen=listen)
        site.start()
        site.wait_state("blog", "ready")
        for path, answer in [
            ("/", b"front  /"),
            ("/shopping", b"front  /shopping"),
            ("/shop", b"shop /shop "),
            ("/shop/cart", b"shop /shop /cart"),
            ("/shop/front/x", b"front /shop/front /x"),
        ]:
            assert get(port, path) == (200, answer)
            for protocol, ask in ASK.items():
                assert ask(f"{folder}/{protocol}.sock", path) == (200, answer), protocol
        assert get(port, "/shop/fails")[0] == 500
        wait_until(lambda: "on purpose" in site.vassal_log("blog"), what="the traceback")
        assert "emperord" not in site.vassal_log("blog")


def test_without_an_app_what_is_not_mounted_is_404(site: Emperor) -> None:
    port = free_port()
    (site.vassals / "blog.toml").write_text(
        f'directory = "{site.apps}"\nlisten = "http://127.0.0.1:{port}"\n'
        '[mounts]\n"/shop" = "shop"\n'
    )
    site.start()
    site.wait_state("blog", "ready")
    assert get(port, "/shop/x") == (200, b"shop /shop /x")
    assert get(port, "/other") == (404, b"404 Not Found\n")


def test_a_mount_that_cannot_be_loaded_parks_the_vassal(site: Emperor) -> None:
    site.drop("blog", "front", '[mounts]\n"/shop" = "nothing:app"\n')
    site.start()
    failure = site.wait_state("blog", "parked")["last_failure"]
    assert "No module named 'nothing'" in failure["message"]
