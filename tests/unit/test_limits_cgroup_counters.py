from hypothesis import given
from hypothesis import strategies as st

from limits.cgroups.counters import (
    FILES,
    Pressure,
    Traffic,
    Usage,
    parse_flat,
    parse_nested,
    parse_number,
    parse_pressure,
    parse_traffic,
    parse_usage,
)

PRESSURE = (
    "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n"
    "full avg10=0.10 avg60=0.00 avg300=0.00 total=99\n"
)
TEXTS = {
    "memory.current": "1048576\n",
    "memory.peak": "2097152\n",
    "memory.swap.current": "0\n",
    "memory.events": "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\nnew 9\n",
    "pids.current": "7\n",
    "pids.peak": "9\n",
    "pids.events": "max 8\n",
    "cpu.stat": "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 20\nnr_throttled 3\n"
    "throttled_usec 500\nnr_bursts 0\ncore_sched.force_idle_usec 0\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n"
    "253:0 rbytes=10 wbytes=20 rios=30 wios=40 cost.usage=7\n",
    "cpu.pressure": PRESSURE,
}


def test_usage_is_read_from_the_kernels_files():
    usage = parse_usage(TEXTS)

    assert usage == Usage(
        memory_bytes=1048576,
        memory_peak_bytes=2097152,
        swap_bytes=0,
        memory_low_events=1,
        memory_high_events=2,
        memory_max_events=3,
        oom_events=4,
        oom_kill_events=5,
        oom_group_kill_events=6,
        tasks=7,
        tasks_peak=9,
        tasks_max_events=8,
        cpu_us=10,
        cpu_user_us=6,
        cpu_system_us=4,
        cpu_periods=20,
        cpu_throttled_periods=3,
        cpu_throttled_us=500,
        traffic={
            "8:0": Traffic(read_bytes=1, write_bytes=2, reads=3, writes=4),
            "253:0": Traffic(read_bytes=10, write_bytes=20, reads=30, writes=40),
        },
        cpu_pressure=Pressure(
            some_avg10=1.5,
            some_avg60=0.25,
            some_total_us=1234,
            full_avg10=0.1,
            full_total_us=99,
        ),
    )
    assert usage.total_traffic() == Traffic(read_bytes=11, write_bytes=22, reads=33, writes=44)


def test_missing_files_are_zero_or_unknown():
    assert parse_usage(dict.fromkeys(FILES)) == Usage()
    assert parse_usage({}) == Usage()


def test_max_and_nonsense_are_no_numbers():
    assert parse_number("max\n") is None
    assert parse_number("-1") is None
    assert parse_number("٣") is None
    assert parse_flat("low x\nhigh 2\n\nalone\n") == {"high": 2}
    assert parse_nested("8:0 rbytes=x wbytes=2 nonsense\n") == {"8:0": {"wbytes": 2}}


def test_cpu_pressure_of_old_kernels_has_no_full_line():
    assert parse_pressure(PRESSURE.splitlines()[0]) == Pressure(
        some_avg10=1.5, some_avg60=0.25, some_total_us=1234
    )


@given(st.text(max_size=200))
def test_no_text_breaks_a_parser(text):
    parse_flat(text)
    parse_nested(text)
    parse_number(text)
    parse_pressure(text)
    parse_traffic(text)
