"""Asking the spawner for a master."""

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from emperor.brain.spawning import CannotSpawn, Spawning
from vassal.encoding import MessageError


def test_file_that_asks_for_more_than_fits_is_refused_and_leaves_no_descriptor_open() -> None:
    read, write = os.pipe()

    def to_spawner(message: object, fds: list[int]) -> None:
        raise MessageError("a message of 135618 bytes")

    spawning = Spawning(
        cast(Any, SimpleNamespace(prepare=lambda *_: None)),
        cast(Any, SimpleNamespace(prepare=lambda *_: (("a",), [read]), path_of=lambda _: "a")),
        cast(Any, SimpleNamespace(born=lambda _: None)),
        to_spawner,
        cast(Any, SimpleNamespace(can_pid_namespace=False)),
    )
    spec = SimpleNamespace(
        settings=SimpleNamespace(
            name="blog", addresses=(), stop_timeout=30.0, spawn_timeout=60.0, exec_stop_post=()
        ),
        identity=SimpleNamespace(uid=1),
        path="/blog.toml",
        confinement=SimpleNamespace(pid_namespace=False),
    )
    desired = SimpleNamespace(birth="b", fingerprint="f", restart_serial=0, limits="l")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("msgspec.json.encode", lambda _: b"{}")
        with pytest.raises(CannotSpawn) as raised:
            spawning.ask("t", cast(Any, desired), cast(Any, spec), beside=False)
    assert raised.value.failure.kind == "config"
    with pytest.raises(OSError):
        os.fstat(read)
    os.close(write)
