"""Addresses that change hands, or are refused, while other things happen."""

import contextlib
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.support.emperor import UNCONFINED, Emperor, asked_all_the_time, get
from tests.support.need import need_root
from tests.support.ports import free_port, is_bound
from tests.support.processes import children
from tests.support.wait import wait_until

MORTAL = """
import os

def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(5)
    start_response("200 OK", [])
    return [b"mortal"]
"""
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


def _refused(emperor: Emperor, name: str) -> None:
    wait_until(lambda: emperor.vassal(name)["last_failure"], 10.0, "the refusal")


def _kill_master(emperor: Emperor, name: str) -> None:
    os.kill(emperor.vassal(name)["pid"], signal.SIGKILL)


def test_renamed_while_a_second_master_is_built_for_another_address(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "shop", text=UNCONFINED)
    added = free_port()
    emperor.app("slow", "import time\ntime.sleep(1)\nfrom shop import application\n")
    emperor.drop("shop", "slow:application", listen=[_url(port), _url(added)])
    wait_until(lambda: "event=successor_starting" in emperor.log(), 10.0, "a second master")
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, 10.0, "it is built")
    (emperor.vassals / "shop.toml").rename(emperor.vassals / "blog.toml")
    wait_until(lambda: emperor.vassal("blog").get("name") == "blog", 10.0, "the new name")
    wait_until(lambda: emperor.vassal("blog")["served_as"] == "", 20.0, "the new one")
    emperor.wait_state("blog", "ready")
    assert "address is in use" not in emperor.log()
    assert get(added)[0] == get(port)[0] == 200


def test_another_deploy_while_a_second_master_is_built_for_another_address(
    emperor: Emperor,
) -> None:
    (port,) = _ready(emperor, "shop", text=UNCONFINED)
    added = free_port()
    emperor.app("slow", "import time\ntime.sleep(1)\nfrom shop import application\n")
    emperor.drop("shop", "slow:application", listen=[_url(port), _url(added)])
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, 10.0, "it is built")
    emperor.drop("shop", "slow:application", listen=[_url(port), _url(added)], workers=2)
    wait_until(lambda: _answers(added), 20.0, "the second one")
    emperor.wait_state("shop", "ready")
    assert "event=reload_failed" not in emperor.log()


def test_restart_leaves_an_address_that_is_in_the_way_of_the_new_one(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "blog")
    emperor.drop("blog", "blog:application", listen=[_url(port, "0.0.0.0")])
    _refused(emperor, "blog")
    assert get(port)[0] == 200
    assert "emperor restart blog" in emperor.vassal("blog")["last_failure"]["message"]
    emperor.do("restart", "blog")
    wait_until(lambda: emperor.vassal("blog")["state"] != "ready", 10.0, "it stops")
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def _frees_for_shop(emperor: Emperor, port: int) -> None:
    """Remove blog; shop, which was refused its address, serves there."""
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), 10.0, "the old one is gone")
    wait_until(lambda: emperor.vassal("shop")["generation"] > 2, 10.0, "another attempt")
    emperor.wait_state("shop", "ready")
    assert get(port)[1].startswith(b"shop")


def test_address_that_covers_that_of_another_is_tried_again_when_it_is_free(
    emperor: Emperor,
) -> None:
    port, own = _ready(emperor, "blog", "shop")
    emperor.drop("shop", "shop:application", listen=[_url(own), _url(port, "0.0.0.0")])
    _refused(emperor, "shop")
    assert "vassal blog listens" in emperor.vassal("shop")["last_failure"]["message"]
    _frees_for_shop(emperor, port)


def _wanting_each_others_address(emperor: Emperor) -> list[int]:
    """Return the addresses of blog and shop, who lend one another nothing, and want to swap."""
    need_root()
    users = {"blog": "daemon", "shop": "games"}
    ports = _ready(emperor, "blog", "shop")
    for name, port in zip(users, ports, strict=True):
        emperor.drop(name, f"{name}:application", listen=[_url(port)], user=users[name])
        wait_until(lambda name=name: emperor.vassal(name)["user"] == users[name], 10.0, "the user")
        wait_until(lambda name=name: emperor.vassal(name)["generation"] == 2, 10.0, "the user")
        emperor.wait_state(name, "ready")
    for name, port in zip(users, reversed(ports), strict=True):
        emperor.drop(name, f"{name}:application", listen=[_url(port)], user=users[name])
        _refused(emperor, name)
    assert [get(port)[1].split()[0] for port in ports] == [b"blog", b"shop"]
    return ports


def test_two_of_two_users_swap_their_addresses_when_one_is_restarted(emperor: Emperor) -> None:
    ports = _wanting_each_others_address(emperor)
    # As whoever was refused last is told.
    assert "emperor restart blog" in emperor.vassal("shop")["last_failure"]["message"]
    emperor.do("restart", "blog")
    wait_until(lambda: [_name(port) for port in ports] == [b"shop", b"blog"], 20.0, "the exchange")
    emperor.wait_state("blog", "ready")
    emperor.wait_state("shop", "ready")


def _name(port: int) -> bytes:
    try:
        return get(port)[1].split()[0]
    except OSError:
        return b""


def test_two_that_want_each_others_address_get_it_when_they_start_anew(emperor: Emperor) -> None:
    ports = _wanting_each_others_address(emperor)
    _kill_master(emperor, "blog")
    _kill_master(emperor, "shop")
    wait_until(lambda: emperor.vassal("blog")["state"] == "ready", 15.0, "blog")
    emperor.wait_state("shop", "ready")
    assert [get(port)[1].split()[0] for port in ports] == [b"shop", b"blog"]


def test_refused_address_is_tried_again_whatever_failed_since(emperor: Emperor) -> None:
    port, own = _ready(emperor, "blog", "shop")
    emperor.drop("shop", "shop:application", listen=[_url(own), _url(port)])
    _refused(emperor, "shop")
    os.kill(emperor.vassal("shop")["workers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: "event=worker_died" in emperor.log(), 10.0, "another failure")
    _frees_for_shop(emperor, port)


def test_renamed_while_no_brain_runs(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "blog")
    with asked_all_the_time(port) as answers:
        brain = emperor.kill_brain()
        (emperor.vassals / "blog.toml").rename(emperor.vassals / "shop.toml")
        emperor.wait_new_brain(brain)
        wait_until(lambda: emperor.vassal("shop").get("served_as") == "", 20.0, "the new one")
        emperor.wait_state("shop", "ready")
        wait_until(lambda: len(children(emperor.pid)) == 2, 15.0, "the old master is gone")
    assert {status for status, _ in answers} == {200}


def test_failed_reload_leaves_the_sockets_file_as_it_was(emperor: Emperor) -> None:
    need_root()
    path = emperor.base / "blog.sock"
    emperor.app("blog")
    emperor.app("broken", "1 / 0\n")
    listen = [f"http+unix://{path}"]
    emperor.drop("blog", "blog:application", listen=listen, text='[socket]\nmode = "666"\n')
    emperor.start()
    emperor.wait_state("blog", "ready")
    before = path.stat()
    text = '[socket]\nmode = "600"\n'
    for keys in {}, {"user": "daemon"}:
        emperor.drop("blog", "broken:application", listen=listen, text=text, **keys)
        wait_until(lambda: emperor.log().count("event=reload_failed") == 1, 10.0, "the failure")
        after = path.stat()
        assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
        emperor.log_file.write_text("")
    emperor.drop("blog", "blog:application", listen=listen, text=text + SETTLES_SOON)
    wait_until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o600, 10.0, "the new mode")


def test_address_that_was_left_while_the_brain_hung_is_free(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "blog", text=SETTLES_SOON)
    own = free_port()
    emperor.app("slow", "import time\ntime.sleep(1)\nfrom blog import application\n")
    emperor.drop("blog", "slow:application", listen=[_url(own)], text=SETTLES_SOON)
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, 10.0, "it is built")
    brain = emperor.kill_brain(signal.SIGSTOP)
    wait_until(lambda: _answers(own), 10.0, "the new generation")
    time.sleep(0.5)
    with contextlib.suppress(ProcessLookupError):  # the spawner may have found that it hangs
        os.kill(brain, signal.SIGKILL)
    emperor.wait_new_brain(brain)
    emperor.drop("shop", "blog:application", port=port)
    emperor.wait_state("shop", "ready")
    assert get(own)[0] == 200


def test_address_of_a_reload_that_crashes_under_the_next_brain_is_closed(emperor: Emperor) -> None:
    (port,) = _ready(emperor, "blog")
    added = free_port()
    emperor.app("dying", MORTAL)
    text = "[health]\nsettle = 20\n"
    emperor.drop("blog", "dying:application", listen=[_url(port), _url(added)], text=text)
    wait_until(lambda: {get(port)[1] for _ in range(5)} == {b"mortal"}, 10.0, "only the new one")
    assert emperor.vassal("blog")["state"] == "reloading"
    emperor.wait_new_brain(emperor.kill_brain())
    assert _answers(added)
    for _ in range(2):
        with pytest.raises(OSError):
            get(port, "/die")
    wait_until(lambda: get(port)[1] != b"mortal", 10.0, "the earlier one")
    wait_until(lambda: not is_bound(added), 10.0, "the address that nobody wants any more")


def _answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("first", ["toml", "ini"])
def test_of_two_files_a_new_brain_takes_the_one_that_runs(emperor: Emperor, first: str) -> None:
    emperor.app("blog")
    emperor.app("other", one="other")
    port = free_port()

    def drop(kind: str) -> None:
        if kind == "toml":
            emperor.drop("blog", "blog:application", port=port)
            return
        text = f"[uwsgi]\nchdir = {emperor.apps}\nmodule = other\nhttp-socket = 127.0.0.1:{port}\n"
        Path(emperor.vassals / "blog.ini").write_text(text)

    drop(first)
    emperor.start()
    emperor.wait_state("blog", "ready")
    drop({"toml": "ini", "ini": "toml"}[first])
    wait_until(lambda: emperor.status()["emperor"]["errors"], 10.0, "a word about two files")
    emperor.wait_new_brain(emperor.kill_brain())
    time.sleep(0.5)
    assert emperor.vassal("blog")["config"].endswith(f".{first}")
    assert emperor.vassal("blog")["generation"] == 1
    assert len(emperor.status()["emperor"]["errors"]) == 1


def test_sleeper_whose_file_gets_another_owner_does_not_make_the_brain_deaf(
    emperor: Emperor,
) -> None:
    need_root()
    port = _ready_to_sleep(emperor, "blog")
    new = emperor.base / "new"
    new.write_text("no settings\n")
    os.chown(new, 1, 1)
    new.rename(emperor.vassals / "blog.toml")
    wait_until(lambda: "event=file_refused" in emperor.log(), 10.0, "it is refused")
    # Descriptors of the same numbers are these clients' and sockets' now.
    assert emperor.state_of("blog") == "stopped"
    assert not _answers(port)
    port = _ready_to_sleep(emperor, "shop")
    assert _answers(port)


def test_parked_vassal_that_gets_another_address_leaves_the_first(emperor: Emperor) -> None:
    emperor.app("blog")
    emperor.app("broken", "1 / 0\n")
    port = emperor.drop("blog", "broken:application")
    emperor.start()
    emperor.wait_state("blog", "parked")
    own = emperor.drop("blog", "blog:application")
    emperor.wait_state("blog", "ready")
    assert not _answers(port)
    assert _answers(own)
    port = _ready_to_sleep(emperor, "shop")
    assert _answers(port)


def _ready_to_sleep(emperor: Emperor, name: str) -> int:
    emperor.app(name)
    port = emperor.drop(name, f"{name}:application", on_demand=True)
    if emperor.process is None:
        emperor.start()
    emperor.wait_state(name, "dormant")
    return port
