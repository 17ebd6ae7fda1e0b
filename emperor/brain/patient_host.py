"""The machine as it answers the provider's files in uWSGI's dialect: in time, or not at all."""

import os

from emperor.brain.patience import Patience
from emperor.uwsgi.host import Kind
from emperor.uwsgi.real_host import RealHost


class PatientHost(RealHost):
    """Raises Silence where an answer is missing: to take what a file includes for nothing would
    make another site of it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def read(self, path: str) -> bytes | None:
        return self._patience.look_now((path,), 0, lambda: super(PatientHost, self).read(path))

    def kind(self, path: str) -> Kind:
        return self._patience.look_now((path,), 0, lambda: super(PatientHost, self).kind(path))

    def real_path(self, path: str) -> tuple[str, int]:
        return self._patience.look_now((path,), 0, lambda: super(PatientHost, self).real_path(path))

    def glob(self, pattern: str) -> list[str]:
        plain = os.path.dirname(pattern.partition("*")[0].partition("?")[0].partition("[")[0])
        ways = (plain, *self._patience.mounts_below(plain))
        return self._patience.look_now(ways, 0, lambda: super(PatientHost, self).glob(pattern))
