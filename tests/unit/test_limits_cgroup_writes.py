import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.cgroups.writes import (
    CgroupHost,
    Write,
    bfq_weight,
    cgroup_writes,
    changes,
    cpu_bandwidth,
    device_reset,
    io_paths,
)
from limits.directives import Limits
from limits.rlimits import INFINITY

MIB = 2**20
FILES = frozenset(
    {
        "cgroup.procs",
        "cpu.stat",
        "memory.pressure",
        "memory.min",
        "memory.low",
        "memory.high",
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.max",
        "cpu.max.burst",
        "cpu.weight",
        "cpuset.cpus",
        "cpuset.mems",
        "io.max",
        "io.weight",
        "io.latency",
        "pids.max",
        "hugetlb.2MB.max",
        "hugetlb.1GB.max",
        "hugetlb.2MB.rsvd.max",
    }
)
FULL = CgroupHost(files=FILES, devices={"/srv": "8:0", "/home": "8:0", "/var": "253:1"})
BARE = CgroupHost(files=frozenset({"cgroup.procs", "cpu.stat"}), advice="do something")


def texts(limits, host=FULL):
    """Return the last text of every file."""
    return {
        (write.file, write.device) if write.device else write.file: write.text
        for write in cgroup_writes(limits, host).writes
    }


DEFAULTS = {
    "memory.min": "0",
    "memory.low": "0",
    "memory.high": "max",
    "memory.swap.max": "max",
    "memory.max": "max",
    "memory.oom.group": "0",
    "cpu.weight": "100",
    "cpu.max.burst": "0",
    "cpu.max": "max 100000",
    "cpuset.cpus": "\n",
    "cpuset.mems": "\n",
    "io.weight": "default 100",
    "pids.max": "128",
    "hugetlb.1GB.max": "max",
    "hugetlb.2MB.max": "max",
}


def test_nothing_asked_writes_the_kernels_default_into_every_file():
    assert texts(Limits()) == DEFAULTS
    assert texts(Limits(tasks_max=None))["pids.max"] == "max"


def test_every_limit_reaches_its_file():
    asked = Limits(
        memory_max=512 * MIB,
        memory_high=400 * MIB,
        memory_low=10,
        memory_min=5,
        memory_swap_max=7,
        memory_oom_group=True,
        cpu_quota=1.5,
        cpu_burst=0.02,
        cpu_weight=50,
        allowed_cpus=(3, 1),
        allowed_memory_nodes=(0,),
        io_weight=200,
        tasks_max=64,
        hugetlb_max={"2MB": 4 * MIB},
    )

    plan = cgroup_writes(asked, FULL)

    assert plan.unsupported == ()
    assert texts(asked) == {
        "memory.min": "5",
        "memory.low": "10",
        "memory.high": str(400 * MIB),
        "memory.swap.max": "7",
        "memory.max": str(512 * MIB),
        "memory.oom.group": "1",
        "cpu.weight": "50",
        "cpu.max.burst": "20000",
        "cpu.max": "150000 100000",
        "cpuset.cpus": "1,3",
        "cpuset.mems": "0",
        "io.weight": "default 200",
        "pids.max": "64",
        "hugetlb.1GB.max": "max",
        "hugetlb.2MB.max": str(4 * MIB),
    }


def test_infinity_is_max():
    found = texts(
        Limits(memory_max=INFINITY, tasks_max=INFINITY, memory_min=INFINITY, cpu_quota=-1)
    )

    assert found["memory.max"] == found["pids.max"] == found["memory.min"] == "max"
    assert found["memory.swap.max"] == "max"
    assert found["cpu.max"] == "max 100000"


def test_memory_max_without_a_word_about_swap_forbids_swap():
    assert texts(Limits(memory_max=MIB))["memory.swap.max"] == "0"
    assert texts(Limits(memory_max=MIB, memory_swap_max=INFINITY))["memory.swap.max"] == "max"


@pytest.mark.parametrize(
    ("cpus", "period_s", "expected"),
    [
        (0.5, 0.1, (50_000, 100_000)),
        (4.0, 0.01, (40_000, 10_000)),
        (0.001, 0.1, (1_000, 1_000_000)),
        (0.005, 0.1, (1_000, 200_000)),
        (1.0, 5.0, (1_000_000, 1_000_000)),
        (1.0, 0.0, (1_000, 1_000)),
        (None, 0.1, (None, 100_000)),
    ],
)
def test_quota_and_period_are_ones_that_the_kernel_accepts(cpus, period_s, expected):
    assert cpu_bandwidth(cpus, period_s) == expected


@given(st.floats(0.001, 8192), st.floats(0.001, 1.0))
def test_quota_keeps_its_share_whatever_the_period(cpus, period_s):
    quota, period = cpu_bandwidth(cpus, period_s)

    assert quota >= 1_000
    assert 1_000 <= period <= 1_000_000
    assert quota / period == pytest.approx(cpus, rel=0.001)


def test_burst_is_taken_away_before_the_quota_changes_and_given_after():
    plan = cgroup_writes(Limits(cpu_quota=1.0, cpu_burst=0.05), FULL)

    assert [
        (write.file, write.text) for write in plan.writes if write.file.startswith("cpu.max")
    ] == [
        ("cpu.max.burst", "0"),
        ("cpu.max", "100000 100000"),
        ("cpu.max.burst", "50000"),
    ]


def test_burst_above_the_quota_is_cut_and_said():
    plan = cgroup_writes(Limits(cpu_quota=0.1, cpu_burst=0.05), FULL)

    assert texts(Limits(cpu_quota=0.1, cpu_burst=0.05))["cpu.max.burst"] == "10000"
    assert [item.key for item in plan.unsupported] == ["cpu_burst"]


def test_burst_without_quota_is_unsupported():
    plan = cgroup_writes(Limits(cpu_burst=0.05), FULL)

    assert [item.key for item in plan.unsupported] == ["cpu_burst"]


def test_io_limits_of_one_device_become_one_line_with_the_smaller_of_two():
    asked = Limits(
        io_read_bandwidth_max={"/srv": 20 * MIB, "/home": 10 * MIB},
        io_write_iops_max={"/srv": 100},
        io_write_bandwidth_max={"/var": 5 * MIB},
        io_device_latency_target_sec={"/srv": 0.01},
    )

    plan = cgroup_writes(asked, FULL)
    by_device = {(write.file, write.device): write for write in plan.writes if write.device}

    assert by_device[("io.max", "8:0")].text == f"8:0 rbps={10 * MIB} wbps=max riops=max wiops=100"
    assert by_device[("io.max", "8:0")].keys == ("io_read_bandwidth_max", "io_write_iops_max")
    assert by_device[("io.max", "253:1")].text == (
        f"253:1 rbps=max wbps={5 * MIB} riops=max wiops=max"
    )
    assert by_device[("io.latency", "8:0")].text == "8:0 target=10000"


def test_path_without_device_is_unsupported_in_its_own_words():
    host = CgroupHost(files=FILES, no_device={"/tmp": "/tmp: it is a tmpfs"})

    plan = cgroup_writes(Limits(io_read_iops_max={"/tmp": 5, "/unknown": 5}), host)

    assert [item.reason for item in plan.unsupported] == [
        "/tmp: it is a tmpfs",
        "/unknown: no device was found",
    ]


def test_io_paths_are_those_of_all_tables():
    asked = Limits(io_read_iops_max={"/a": 1}, io_device_latency_target_sec={"/b": 1.0})

    assert io_paths(asked) == {"/a", "/b"}


def test_bfq_gets_its_own_scale():
    host = CgroupHost(files=frozenset({"io.bfq.weight", "io.max"}))

    assert texts(Limits(io_weight=10_000, tasks_max=None), host) == {"io.bfq.weight": "1000"}
    assert [bfq_weight(n) for n in (1, 100, 10_000)] == [1, 100, 1_000]


ALL_KEYS = Limits(
    memory_max=1,
    memory_high=1,
    memory_low=1,
    memory_min=1,
    memory_swap_max=1,
    memory_oom_group=True,
    cpu_quota=1.0,
    cpu_burst=0.01,
    cpu_weight=1,
    allowed_cpus=(0,),
    allowed_memory_nodes=(0,),
    io_read_bandwidth_max={"/srv": 1},
    io_write_bandwidth_max={"/srv": 1},
    io_read_iops_max={"/srv": 1},
    io_write_iops_max={"/srv": 1},
    io_weight=1,
    io_device_latency_target_sec={"/srv": 1.0},
    tasks_max=1,
    hugetlb_max={"2MB": 1},
)
CGROUP_KEYS = {
    key
    for key in Limits.__struct_fields__
    if key.startswith(("memory_", "cpu_", "io_", "allowed_", "tasks_", "hugetlb_"))
} - {"cpu_quota_period_sec", "cpu_affinity", "io_scheduling_class", "io_scheduling_priority"}


def test_every_key_is_written_where_everything_is_there():
    written = {key for write in cgroup_writes(ALL_KEYS, FULL).writes for key in write.keys}

    assert written == CGROUP_KEYS


def test_every_key_is_unsupported_where_nothing_is_there():
    plan = cgroup_writes(ALL_KEYS, BARE)

    assert plan.writes == ()
    assert {item.key for item in plan.unsupported} == CGROUP_KEYS
    assert all(
        ("systemd delegates" if item.key == "hugetlb_max" else "do something") in item.reason
        for item in plan.unsupported
    )


def test_nothing_asked_is_nothing_unsupported():
    assert cgroup_writes(Limits(tasks_max=None), BARE).unsupported == ()


def test_missing_file_of_a_present_controller_is_the_kernels_lack():
    host = CgroupHost(files=FILES - {"memory.swap.max"})

    (item,) = cgroup_writes(Limits(memory_swap_max=5), host).unsupported

    assert item.reason == "this kernel has no memory.swap.max"


def test_unknown_size_of_huge_pages_names_those_that_exist():
    (item,) = cgroup_writes(Limits(hugetlb_max={"64KB": 1}), FULL).unsupported

    assert item.reason == "there are no pages of 64KB here, but of 1GB, 2MB"


def test_protection_that_the_unit_does_not_have_is_written_and_said_to_be_without_effect():
    host = CgroupHost(files=FILES, unprotected=frozenset({"memory.low"}))

    plan = cgroup_writes(Limits(memory_low=5, memory_min=5), host)

    assert "MemoryLow= of at least" in plan.unsupported[0].reason
    assert [item.key for item in plan.unsupported] == ["memory_low"]
    assert "memory.low" in {write.file for write in plan.writes}


def test_changes_are_the_files_of_controllers_in_which_something_changed():
    before = cgroup_writes(Limits(memory_max=MIB, tasks_max=5), FULL)
    after = cgroup_writes(Limits(memory_max=2 * MIB, tasks_max=5), FULL)

    assert {write.controller for write in changes(before, after)} == {"memory"}
    assert changes(after, after) == ()


def test_changes_take_the_limits_of_a_device_away_that_is_no_longer_named():
    before = cgroup_writes(Limits(io_read_iops_max={"/srv": 5, "/var": 6}), FULL)
    after = cgroup_writes(Limits(io_read_iops_max={"/var": 6}), FULL)

    found = changes(before, after)

    assert found[0] == device_reset("io.max", "8:0")
    assert found[0].text == "8:0 rbps=max wbps=max riops=max wiops=max"


def test_plan_reads_as_a_list():
    plan = cgroup_writes(Limits(memory_max=5, allowed_cpus=None), FULL)

    assert "memory.max: 5" in str(plan)
    assert "cpuset.cpus: (everything)" in str(plan)
    assert str(Write("a.b", "1", ())) == "a.b: 1"
