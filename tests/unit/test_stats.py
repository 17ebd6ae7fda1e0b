"""Statistics in uWSGI's form, whatever tenants say of themselves."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.brain.stats import About, emperor_stats, fleet_stats
from emperor.brain.views import Confined, HostProcess, vassal_status
from emperor.core.registry import Vassal
from emperor.status import EmperorStatus, Status
from vassal.encoding import decode_from_master, encode
from vassal.master import stats
from vassal.messages import Description, Totals, WorkerDescription
from vassal.runtime import scoreboard

ABOUT = About(pid=1, uid=0, gid=0, cwd="/", tyrant=False)

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.just(10**4000))
TIMES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([1.7e308, -1.7e308])
)
ROWS = st.builds(
    WorkerDescription,
    slot=NUMBERS,
    worker=NUMBERS,
    generation=NUMBERS,
    ns_pid=NUMBERS,
    state=st.sampled_from(["idle", "busy"]) | st.text(max_size=20),
    requests=NUMBERS,
    exceptions=NUMBERS,
    harakiris=NUMBERS,
    bytes_sent=NUMBERS,
    running_s=TIMES,
    age_s=TIMES,
    method=st.text(max_size=20),
    uri=st.text(max_size=20),
    request_s=TIMES,
)


def status_with(rows: list[WorkerDescription]) -> Status:
    """Return the status of a vassal whose master says so, as the brain has it from the wire."""
    said = Description(
        state="serving",
        generation=1,
        newest=1,
        fingerprint="f",
        serving=True,
        age_s=1.0,
        workers=tuple(rows),
        totals=Totals(),
    )
    found = decode_from_master(encode(said))
    assert isinstance(found, Description)
    vassal = vassal_status(
        Vassal(name="blog"), None, "/v/blog.toml", found, {3: HostProcess(30, 1)}, Confined(),
        (), None, 5.0, 1000.0,
    )  # fmt: skip
    about = EmperorStatus(pid=1, spawner_pid=2, version="", since=1.0, mode="root")
    return Status(emperor=about, vassals=(vassal,))


def row(**said: float) -> WorkerDescription:
    fields = dict.fromkeys(("slot", "worker", "generation", "ns_pid", "requests"), 1)
    fields |= dict.fromkeys(("exceptions", "harakiris", "bytes_sent"), 0)
    times = {"running_s": 0.0, "age_s": 0.0}
    return WorkerDescription(**{"state": "idle", **fields, **times, **said})  # type: ignore[arg-type]


def test_a_socket_has_the_name_that_uwsgi_has_for_it() -> None:
    for url, name in (
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("uwsgi://[::1]:3031", "[::1]:3031"),
        ("http://:8000", ":8000"),
        ("uwsgi+unix:///run/blog.sock", "/run/blog.sock"),
        ("uwsgi+unix://@blog%00", "@blog"),
    ):
        assert stats.socket_row(stats.SocketFacts(url, "uwsgi", 0, 100))["name"] == name


@pytest.mark.parametrize("said", [{"running_s": 1e308}, {"age_s": 1e308}, {"age_s": -1e308}])
def test_one_masters_nonsense_hides_no_other_vassal(said: dict[str, float]) -> None:
    status = status_with([row(**said), row(**said)])
    for tell in (emperor_stats, fleet_stats):
        assert json.loads(tell(ABOUT, status))["pid"] == 1


@settings(deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_whatever_a_master_says_the_emperor_answers_with_json(
    rows: list[WorkerDescription],
) -> None:
    status = status_with(rows)
    for tell in (emperor_stats, fleet_stats):
        assert tell(ABOUT, status).endswith(b"}\n")


@settings(deadline=None)
@given(st.lists(st.binary(min_size=scoreboard.SLOT_BYTES, max_size=scoreboard.SLOT_BYTES)))
def test_whatever_a_worker_writes_into_its_slots_the_master_answers_with_json(
    slots: list[bytes],
) -> None:
    memory = memoryview(bytes(scoreboard.HEADER_BYTES) + b"".join(slots))
    readings = [scoreboard.read_slot(memory, index) for index in range(len(slots))]
    worker = stats.WorkerFacts(1, 2, True, 1.0, 1, 0, 1, 1, readings)
    about = stats.About(1, 2, 3, "/", [""], knows_requests=True)
    told = json.loads(stats.vassal_stats(about, (), [worker], unix_offset_s=1e9))
    assert len(told["workers"][0]["cores"]) == len(slots)
    assert all(math.isfinite(core["requests"]) for core in told["workers"][0]["cores"])
