"""Addresses that change hands, or are refused, while other things happen."""

from tests.support.emperor import UNCONFINED, Emperor, get
from tests.support.ports import free_port
from tests.support.wait import wait_until

SETTLES_SOON = "[health]\nsettle = 0.2\n"


def _url(port: int, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{port}"


def _ready(emperor: Emperor, *names: str, **keys: object) -> list[int]:
    for name in names:
        emperor.app(name, one=name)
    ports = [emperor.drop(name, f"{name}:application", **keys) for name in names]
    emperor.start()
    for name in names:
        emperor.wait_state(name, "ready")
    return ports


def test_renamed_while_a_second_master_is_built_for_another_address(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "shop", text=UNCONFINED)
    added = free_port()
    emperor.app("slow", "import time\ntime.sleep(1)\nfrom shop import application\n")
    emperor.drop("shop", "slow:application", listen=[_url(port), _url(added)])
    wait_until(lambda: "event=successor_starting" in emperor.log(), 10.0, "a second master")
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, 10.0, "it is built")
    # In the order of names the new one comes first: it has the sockets when the old one goes.
    (emperor.vassals / "shop.toml").rename(emperor.vassals / "blog.toml")
    emperor.wait_state("blog", "ready")
    wait_until(lambda: not emperor.vassal("shop"), 10.0, "the old one is gone")
    assert "address is in use" not in emperor.log()
    assert get(added)[0] == get(port)[0] == 200
