"""A real emperor of an ordinary user."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.emperor import Emperor, emperor_over
from tests.support.need import need_open_checkout

NOBODY = 65534


class Rootless(Emperor):
    """An emperor of an ordinary user; nobody, where the tests run as root."""

    def spawn(self, *more: str) -> None:
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "emperor", "run", str(self.vassals), *more]
                + ["--runtime-dir", str(self.runtime_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "HOME": str(self.base)},
                **as_user,
            )


@contextmanager
def rootless_over() -> Iterator[Rootless]:
    """Yield an emperor's folders, not yet started; on leaving it must stop in good order."""
    need_open_checkout()
    with emperor_over("rootless-") as made:
        made.base.chmod(0o777)
        one = Rootless.__new__(Rootless)
        one.__dict__.update(made.__dict__)
        yield one
        made.process = one.process
        if one.process is not None and one.process.poll() is None:
            assert one.stop() == 0
        assert "Traceback" not in one.log(), one.log()
