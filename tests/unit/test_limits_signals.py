"""All signals at a fork, by their numbers."""

import os
import signal

from limits import kernel_files, signals


def test_all_are_blocked_and_given_back_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    given = signals.block_all()
    try:
        blocked = {int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
    finally:
        signals.set_mask(given)
    assert blocked == signals.ALL - {signal.SIGKILL, signal.SIGSTOP}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_what_was_handled_or_ignored_is_so_no_more() -> None:
    numbers = (signal.SIGUSR1, signal.SIGPIPE, signal.SIGRTMIN + 3)
    saved = {signum: signal.getsignal(signum) for signum in signals.ALL}
    try:
        signal.signal(numbers[0], lambda *_: None)
        signal.signal(numbers[1], signal.SIG_IGN)
        signal.signal(numbers[2], signal.SIG_IGN)
        signals.reset_all()
        assert all(signal.getsignal(signum) == signal.SIG_DFL for signum in numbers)
        ignored = _mask("SigIgn")
        assert not any(ignored >> (signum - 1) & 1 for signum in numbers)
    finally:
        for signum, handler in saved.items():
            if handler not in (None, signal.getsignal(signum)):
                signal.signal(signum, handler)


def _mask(field: str) -> int:
    status = kernel_files.read(f"/proc/{os.getpid()}/status")
    return next(int(row.split()[1], 16) for row in status.split("\n") if row.startswith(field))
