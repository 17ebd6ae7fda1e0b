"""Links of hosts are those of the vassals that there are, whichever emperor made them."""

import os
import shutil
import signal
from pathlib import Path

from tests.support.emperor import Emperor
from tests.support.wait import wait_until


def start(emperor: Emperor) -> dict[str, Path]:
    """Start vassals, one of which has no host, and one sleeps; return the others' links."""
    emperor.app("hello")
    emperor.drop("blog")
    drop(emperor, "news")
    drop(emperor, "shop", on_demand=True)
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_state("news", "ready")
    emperor.wait_state("shop", "dormant")
    links = {name: link_of(emperor, name) for name in ("news", "shop")}
    wait_until(lambda: all(link.exists() for link in links.values()), what="the links")
    return links


def drop(emperor: Emperor, name: str, **keys: object) -> None:
    socket = emperor.base / f"{name}.sock"
    emperor.drop(name, listen=[f"http+unix://{socket}"], hosts=[f"{name}.example"], **keys)


def link_of(emperor: Emperor, name: str) -> Path:
    return emperor.runtime_dir / f"hosts/{name}.example.sock"


def new_brain(emperor: Emperor) -> None:
    emperor.wait_new_brain(emperor.kill_brain())


def test_links_of_vassals_that_were_removed_while_there_was_no_brain_go(emperor: Emperor) -> None:
    links = start(emperor)
    brain = emperor.kill_brain(signal.SIGSTOP)
    for name in links:
        emperor.remove(name)
    os.kill(brain, signal.SIGKILL)
    emperor.wait_new_brain(brain)
    for link in links.values():
        wait_until(lambda link=link: not link.is_symlink(), what="the links are gone")


def test_links_of_vassals_whose_directory_is_not_there_stay(emperor: Emperor) -> None:
    links = start(emperor)
    away = emperor.base / "away"
    emperor.vassals.rename(away)
    emperor.vassals.mkdir()
    new_brain(emperor)
    drop(emperor, "wiki")
    wiki = link_of(emperor, "wiki")
    wait_until(wiki.exists, what="a link that is wanted now")
    assert all(link.exists() for link in links.values())
    emperor.remove("wiki")
    wait_until(lambda: not wiki.is_symlink(), what="a link of a file that was there, and is gone")
    # What comes back counts, and what does not was removed.
    (away / "news.toml").unlink()
    shutil.rmtree(emperor.vassals)
    away.rename(emperor.vassals)
    wait_until(lambda: not emperor.vassal("news"), 20, "what did not come back is gone")
    wait_until(lambda: not links["news"].is_symlink(), what="its link is gone too")
    assert links["shop"].exists()
