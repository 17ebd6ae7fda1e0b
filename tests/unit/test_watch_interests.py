from emperor.watch.events import Changed, FileChanged
from emperor.watch.interests import Interests
from emperor.watch.trail import Entry

LINK = Changed("/v", "a.toml")
TOUCH = FileChanged("/srv/reload")


def test_change_of_an_entry_names_every_event_that_depends_on_it():
    table = Interests()
    table.set(LINK, [Entry("/v", "a.toml"), Entry("/srv", "reload")])
    table.set(TOUCH, [Entry("/srv", "reload")])

    assert set(table.at("/srv", "reload")) == {LINK, TOUCH}
    assert table.at("/v", "a.toml") == (LINK,)
    assert table.at("/v", "b.toml") == ()
    assert table.within("/srv") == {LINK, TOUCH}


def test_directories_that_an_event_leaves_are_returned():
    table = Interests()
    table.set(LINK, [Entry("/v", "a.toml"), Entry("/old", "t")])

    assert table.set(LINK, [Entry("/v", "a.toml"), Entry("/new", "t")]) == {"/old"}
    assert table.needs("/new")
    assert not table.needs("/old")


def test_event_without_entries_is_forgotten():
    table = Interests()
    table.set(LINK, [Entry("/v", "a.toml")])

    assert table.set(LINK, []) == {"/v"}
    assert LINK not in table
    assert list(table) == []
    assert not table.needs("/v")
    assert table.set(LINK, []) == frozenset()


def test_directory_stays_needed_while_another_event_depends_on_it():
    table = Interests()
    table.set(LINK, [Entry("/srv", "one")])
    table.set(TOUCH, [Entry("/srv", "reload")])

    table.set(LINK, [])

    assert table.needs("/srv")
