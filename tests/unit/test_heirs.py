"""Who goes on for a vassal whose file is gone."""

from emperor.core.heirs import Comer, Gone, heir_of

GONE = Gone(owner_uid=7, file="100:x", uids={7}, keys={"tcp::1", "tcp::2"})


def comer(
    name: str = "shop", owner_uid: int = 7, file: str = "5:y", uid: int | None = 7, *keys: str
) -> Comer:
    return Comer(name, owner_uid, file, uid, frozenset(keys))


def test_new_file_that_asks_for_the_same_address_is_the_old_one_renamed() -> None:
    assert heir_of(GONE, [comer("shop", 7, "5:y", 7, "tcp::2", "tcp::9")]) == "shop"
    assert heir_of(GONE, [comer("shop", 7, "5:y", 7, "tcp::9")]) is None
    assert heir_of(GONE, []) is None


def test_same_file_is_the_old_one_wherever_it_listens() -> None:
    assert heir_of(GONE, [comer("shop", 7, "100:x", 7, "tcp::9")]) == "shop"


def test_file_that_cannot_be_used_has_to_be_the_same_file() -> None:
    assert heir_of(GONE, [comer("shop", 7, "100:x", None)]) == "shop"
    assert heir_of(GONE, [comer("shop", 7, "5:y", None)]) is None


def test_file_of_which_nothing_is_known_is_no_other_one() -> None:
    unknown = Gone(owner_uid=7, file="", uids={7}, keys=frozenset())
    assert heir_of(unknown, [comer("shop", 7, "", None)]) is None


def test_file_of_another_owner_keeps_nothing_alive() -> None:
    # A tenant's file must not hold what the provider has removed.
    assert heir_of(GONE, [comer("shop", 0, "100:x", 7, "tcp::1")]) is None


def test_processes_of_one_user_do_not_serve_for_another() -> None:
    assert heir_of(GONE, [comer("shop", 7, "100:x", 8, "tcp::1")]) is None
    mixed = Gone(owner_uid=7, file="100:x", uids={7, 8}, keys={"tcp::1"})
    assert heir_of(mixed, [comer("shop", 7, "100:x", 7, "tcp::1")]) is None


def test_of_several_the_same_file_counts_first_and_then_the_most_addresses() -> None:
    one = comer("one", 7, "5:y", 7, "tcp::1")
    both = comer("both", 7, "6:z", 7, "tcp::1", "tcp::2")
    same = comer("same", 7, "100:x", 7)
    assert heir_of(GONE, [one, both]) == "both"
    assert heir_of(GONE, [one, both, same]) == "same"
