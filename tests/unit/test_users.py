"""As whom a vassal runs, when its masters come and go."""

from emperor.brain.users import Users


def test_user_of_a_master_that_has_ended_counts_no_more() -> None:
    living = {"a", "b"}
    users = Users(living.__contains__)
    users.note("blog", "a", 1)
    users.note("blog", "b", 2)
    assert users.of("blog") == {1, 2}
    living.remove("a")
    assert users.of("blog") == {2}


def test_user_of_an_attempt_that_never_ran_does_not_count_beside_one_that_does() -> None:
    users = Users({"a"}.__contains__)
    users.note("blog", "a", 1)
    users.note("blog", "b", 2)
    assert users.of("blog") == {1}


def test_where_nothing_runs_what_was_noted_last_counts() -> None:
    users = Users(lambda token: False)
    assert users.of("blog") == frozenset()
    users.note("blog", "a", 1)
    users.note("blog", "", 2)
    assert users.of("blog") == {2}


def test_users_go_along_with_a_new_name() -> None:
    users = Users({"a"}.__contains__)
    users.note("blog", "a", 1)
    users.note("shop", "", 1)
    users.rename("blog", "shop")
    assert (users.of("shop"), users.of("blog")) == ({1}, frozenset())
