import resource

import pytest

from limits.rlimits import INFINITY, RLIMITS, as_text, exceeds


def test_all_sixteen_rlimits_are_known_and_numbered_without_a_gap():
    assert [row.number for row in RLIMITS.values()] == list(range(16))
    assert RLIMITS["locks"].number == 10


def test_numbers_are_those_of_the_resource_module_where_it_has_them():
    named = {n[7:].lower(): getattr(resource, n) for n in dir(resource) if n.startswith("RLIMIT_")}
    named.pop("ofile", None)  # BSD's name for nofile

    assert len(named) == 15
    assert named == {name: RLIMITS[name].number for name in named}


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (1, 2, False),
        (2, 2, False),
        (3, 2, True),
        (INFINITY, 2, True),
        (2, INFINITY, False),
        (INFINITY, INFINITY, False),
    ],
)
def test_infinity_exceeds_every_bound_but_itself(value, bound, expected):
    assert exceeds(value, bound) is expected


def test_infinity_is_written_as_systemd_writes_it():
    assert (as_text(INFINITY), as_text(5)) == ("infinity", "5")
