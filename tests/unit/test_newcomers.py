"""Files that are put off while another one of their owner's may be gone."""

from emperor.brain.newcomers import Newcomers
from emperor.brain.reads import Key

SHOP, BLOG = ("/v", "shop.toml"), ("/v", "blog.toml")


def test_what_is_put_off_is_read_when_it_is_known_what_is_gone() -> None:
    read: list[Key] = []
    newcomers = Newcomers(read.append)
    assert not newcomers.put_off(7, SHOP, "1:x")
    with newcomers.undecided(7):
        assert newcomers.put_off(7, SHOP, "1:x")
        assert newcomers.put_off(7, BLOG, "2:y")
        assert not newcomers.put_off(8, BLOG, "2:y")
        assert read == []
    assert read == [BLOG, SHOP]
    assert not newcomers.read_again(7)


def test_new_name_of_a_file_is_found_by_what_it_is() -> None:
    newcomers = Newcomers(print)
    with newcomers.undecided(7):
        newcomers.put_off(7, BLOG, "")
        newcomers.put_off(7, SHOP, "1:x")
        assert newcomers.name_of(7, "1:x") == "shop"
        assert newcomers.name_of(7, "2:y") is None
        assert newcomers.name_of(7, "") is None  # nothing is known of it
        assert newcomers.name_of(8, "1:x") is None
