"""Files that tenants own."""

import os
import pwd
from pathlib import Path

from tests.support.emperor import Emperor


def account(name: str) -> pwd.struct_passwd:
    return pwd.getpwnam(name)


def give(path: Path, name: str) -> None:
    os.chown(path, account(name).pw_uid, account(name).pw_gid)


def drop_as(emperor: Emperor, owner: str, name: str, **keys: object) -> int:
    """Drop a file that `owner` owns, by rename, as `drop` does."""
    hidden = emperor.base / "hidden"
    hidden.mkdir(exist_ok=True)
    real, emperor.vassals = emperor.vassals, hidden
    try:
        port = emperor.drop(name, **keys)
    finally:
        emperor.vassals = real
    give(hidden / f"{name}.toml", owner)
    (hidden / f"{name}.toml").rename(real / f"{name}.toml")
    return port
