"""Whether a file that is not there was removed, or its directory is another one."""

from emperor.brain.homes import Homes, KeptHomes

HERE, MOUNTED = (1, 10), (2, 1)


def test_file_that_is_not_in_its_directory_any_more_is_not_lost() -> None:
    homes = Homes(KeptHomes())
    homes.see("/v", HERE)
    homes.found("blog", "/v", HERE)
    assert not homes.is_lost("blog", HERE)
    assert homes.lost("/v") == []


def test_file_of_a_directory_that_is_another_one_now_is_lost_until_it_is_found() -> None:
    homes = Homes(KeptHomes())
    homes.found("blog", "/v", MOUNTED)
    homes.found("shop", "/other", HERE)
    homes.see("/v", HERE)
    assert homes.is_lost("blog", HERE)
    assert homes.lost("/v") == ["blog"]
    homes.found("blog", "/v", HERE)
    assert homes.lost("/v") == []
    assert not homes.is_lost("blog", HERE)


def test_next_brain_knows_what_the_directory_was_as_long_as_files_of_it_are_lost() -> None:
    first = Homes(KeptHomes())
    first.see("/v", MOUNTED)
    first.found("blog", "/v", MOUNTED)
    second = Homes(first.to_keep())
    second.see("/v", HERE)
    assert second.is_another("/v")
    second.presume("blog", "/v")
    third = Homes(second.to_keep())
    third.see("/v", HERE)
    third.presume("blog", "/v")
    assert third.is_lost("blog", HERE)
    third.found("blog", "/v", HERE)
    assert Homes(third.to_keep()).is_another("/v") is False
    assert third.to_keep().directories == {"/v": HERE}


def test_vassal_of_which_no_brain_knew_the_directory_is_not_lost() -> None:
    homes = Homes(KeptHomes())
    homes.see("/v", HERE)
    homes.presume("blog", "/v")
    assert not homes.is_lost("blog", HERE)
    assert homes.lost("/v") == []
