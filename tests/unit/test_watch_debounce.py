import pytest

from emperor.watch.debounce import LONGEST_S, NAMES_MAX, QUIET_S, SETTLE_S, Debounce
from emperor.watch.events import Changed, FileChanged, Rescan

BLOG = Changed("/v", "blog.toml")
SHOP = Changed("/v", "shop.toml")


@pytest.fixture
def debounce():
    return Debounce()


def test_first_event_is_due_within_milliseconds(debounce):
    assert debounce.add(BLOG, 10.0) == 10.0 + QUIET_S
    assert debounce.take_due(10.0 + QUIET_S) == [BLOG]
    assert debounce.next_due() is None


def test_nothing_is_due_before_it_was_quiet(debounce):
    debounce.add(BLOG, 10.0)

    assert debounce.take_due(10.0 + QUIET_S / 2) == []
    assert debounce.next_due() == 10.0 + QUIET_S


def test_burst_for_one_name_is_one_report(debounce):
    for step in range(5):
        debounce.add(BLOG, 10.0 + step * 0.001)

    assert debounce.take_due(10.006) == []
    assert debounce.take_due(10.004 + QUIET_S) == [BLOG]


def test_file_that_never_rests_is_reported_in_the_end(debounce):
    now = 10.0
    while now < 10.0 + LONGEST_S:
        debounce.add(BLOG, now)
        assert debounce.take_due(now) == []
        now += 0.001

    assert debounce.take_due(10.0 + LONGEST_S) == [BLOG]


def test_one_busy_name_does_not_delay_another(debounce):
    debounce.add(SHOP, 10.0)
    debounce.add(BLOG, 10.0 + QUIET_S * 0.9)

    assert debounce.take_due(10.0 + QUIET_S) == [SHOP]


def test_events_are_reported_in_the_order_of_arrival(debounce):
    for event in (SHOP, BLOG, FileChanged("/r")):
        debounce.add(event, 10.0)

    assert debounce.take_due(11.0) == [SHOP, BLOG, FileChanged("/r")]


def test_file_being_written_waits_for_its_close(debounce):
    assert debounce.add(BLOG, 10.0, settle=True) == 10.0 + SETTLE_S
    assert debounce.take_due(10.5) == []

    debounce.add(BLOG, 10.6)

    assert debounce.take_due(10.6 + QUIET_S) == [BLOG]
    assert debounce.next_due() is None


def test_file_without_a_close_is_reported_all_the_same(debounce):
    debounce.add(BLOG, 10.0, settle=True)
    debounce.add(BLOG, 10.5, settle=True)

    assert debounce.take_due(10.0 + SETTLE_S) == [BLOG]


def test_creation_does_not_delay_what_is_due_sooner(debounce):
    debounce.add(BLOG, 10.0)

    assert debounce.add(BLOG, 10.001, settle=True) == 10.0 + QUIET_S


def test_rescan_replaces_the_names_of_its_directory_only(debounce):
    other = Changed("/w", "blog.toml")
    for event in (BLOG, other, SHOP, Rescan("/v")):
        debounce.add(event, 10.0)

    assert debounce.take_due(11.0) == [other, Rescan("/v")]


def test_too_many_names_become_one_rescan(debounce):
    for number in range(NAMES_MAX + 1):
        debounce.add(Changed("/v", f"v{number}.toml"), 10.0)

    assert debounce.take_due(11.0) == [Rescan("/v")]


def test_names_that_were_reported_are_not_counted_any_more(debounce):
    for number in range(2 * NAMES_MAX):
        debounce.add(Changed("/v", f"v{number}.toml"), float(number))
        assert len(debounce.take_due(number + 0.5)) == 1
