import errno

import pytest

from limits import quota
from limits.quota import INFINITY, Quota, QuotaUnavailable, get_quota, set_quota


@pytest.fixture
def calls(monkeypatch):
    """Record calls instead of making them."""
    made = []
    monkeypatch.setattr(quota, "_is_enforced", lambda path: True)
    monkeypatch.setattr(
        quota,
        "_quotactl",
        lambda path, command, uid, block: made.append(
            (path, command, uid, block.bhardlimit, block.bsoftlimit, block.ihardlimit, block.valid)
        ),
    )
    return made


def test_limits_are_set_in_blocks_rounded_up_without_grace(calls):
    set_quota("/srv", 1000, 1025, 3)

    assert calls == [("/srv", 0x800008, 1000, 2, 2, 3, 5)]


def test_only_what_is_given_is_set(calls):
    set_quota("/srv", 1000, None, 3)
    set_quota("/srv", 1000, 1024, None)
    set_quota("/srv", 1000, None, None)

    assert [(call[3], call[5], call[6]) for call in calls] == [(0, 3, 4), (1, 0, 1)]


def test_infinity_takes_a_limit_away(calls):
    set_quota("/srv", 1000, INFINITY, INFINITY)

    assert calls == [("/srv", 0x800008, 1000, 0, 0, 0, 5)]


@pytest.mark.parametrize(("uid", "size", "inodes"), [(0, 1, 1), (1000, 0, 1), (1000, 1, -5)])
def test_what_would_limit_nothing_is_refused(calls, uid, size, inodes):
    with pytest.raises(ValueError):
        set_quota("/srv", uid, size, inodes)
    assert calls == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ESRCH, "user quotas are off (ESRCH)"),
        (errno.ENOSYS, "no user quotas (ENOSYS)"),
        (errno.EPERM, "CAP_SYS_ADMIN (EPERM)"),
        (errno.EIO, "no (EIO)"),
    ],
)
def test_refusal_says_why(monkeypatch, number, words):
    def refuse(*arguments):
        raise OSError(number, "no")

    monkeypatch.setattr(quota, "_quotactl", refuse)

    for call in (lambda: get_quota("/", 1000), lambda: set_quota("/", 1000, 5, 5)):
        with pytest.raises(QuotaUnavailable) as caught:
            call()
        assert words in str(caught.value)


def test_user_without_files_on_xfs_has_an_empty_quota(monkeypatch):
    def unknown(*arguments):
        raise OSError(errno.ENOENT, "no")

    monkeypatch.setattr(quota, "_quotactl", unknown)

    assert get_quota("/", 1000) == Quota()


def test_limit_that_the_kernel_would_ignore_is_refused(calls, monkeypatch):
    monkeypatch.setattr(quota, "_is_enforced", lambda path: False)

    with pytest.raises(QuotaUnavailable, match="counted, but not enforced; mount"):
        set_quota("/srv", 1000, 1, 1)
    assert calls == []
