"""Quotas of this machine's file systems; what they stop is shown in a guest (tests/vm)."""

import os

import pytest

from limits.quota import INFINITY, Quota, QuotaUnavailable, get_quota, set_quota
from tests.support.need import need_root

SOMEBODY = 54321


def test_file_system_without_quotas_says_so_and_what_to_do():
    with pytest.raises(QuotaUnavailable, match=r"/proc .* has no user quotas .*ext4 or xfs"):
        get_quota("/proc", SOMEBODY)


def test_path_that_is_not_there_is_named():
    with pytest.raises(QuotaUnavailable, match="/nowhere/at/all: No such file"):
        get_quota("/nowhere/at/all", SOMEBODY)


def test_quota_of_this_machines_disk_is_set_or_said_to_be_off(tmp_path):
    need_root()
    path = str(tmp_path)
    try:
        set_quota(path, SOMEBODY, 5000, 7)
    except QuotaUnavailable as error:
        refused = str(error)
    else:
        assert get_quota(path, SOMEBODY) == Quota(bytes_max=5120, inodes_max=7)
        set_quota(path, SOMEBODY, INFINITY, INFINITY)
        return
    with pytest.raises(QuotaUnavailable) as caught:
        get_quota(path, SOMEBODY)
    assert refused == str(caught.value)


def test_no_descriptor_is_left_open_by_a_refusal():
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(QuotaUnavailable):
        get_quota("/proc", SOMEBODY)
    assert len(os.listdir("/proc/self/fd")) == before
