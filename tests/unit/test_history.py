"""What is kept of the versions that served."""

from pathlib import Path

import msgspec
import pytest

from emperor.brain.history import History, Pin, Version, choose_back


def version(number: int) -> Version:
    return Version(
        text=f"workers = {number}\n", owner_uid=7, gid=7, digest=f"d{number}:7", at=number
    )


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def history(tmp_path: Path, problems: list[str]) -> History:
    return History(tmp_path, problems.append)


def test_last_two_that_served_are_kept_newest_first(history: History) -> None:
    for number in (1, 2, 3):
        history.served("blog", version(number))
    assert history.versions("blog") == [version(3), version(2)]
    assert history.versions("shop") == []


def test_same_version_again_is_no_new_one(history: History) -> None:
    for number in (1, 2, 2, 2):
        history.served("blog", version(number))
    assert history.versions("blog") == [version(2), version(1)]


def test_version_that_serves_again_is_the_newest(history: History) -> None:
    for number in (1, 2, 1):
        history.served("blog", version(number))
    assert history.versions("blog") == [version(1), version(2)]


def test_all_of_it_outlives_the_process(history: History, tmp_path: Path) -> None:
    history.served("blog", version(1))
    history.pin("blog", Pin(version=version(1), instead_of="d2:7"))
    later = History(tmp_path, lambda problem: None)
    assert later.versions("blog") == [version(1)]
    assert later.pin_of("blog") == Pin(version=version(1), instead_of="d2:7")


def test_nobody_else_can_read_it(history: History, tmp_path: Path) -> None:
    history.served("blog", version(1))
    history.pin("blog", Pin(version=version(1), instead_of="d2:7"))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_forgotten_vassal_leaves_nothing(history: History, tmp_path: Path) -> None:
    history.served("blog", version(1))
    history.pin("blog", Pin(version=version(1), instead_of="d2:7"))
    history.forget("blog")
    assert list(tmp_path.iterdir()) == []
    assert history.pin_of("blog") is None


def test_damaged_files_are_as_good_as_none(history: History, tmp_path: Path) -> None:
    (tmp_path / "blog.versions").write_bytes(b'[{"text": ')
    (tmp_path / "blog.pin").write_bytes(b"\xff")
    later = History(tmp_path, lambda problem: None)
    assert later.versions("blog") == []
    assert later.pin_of("blog") is None
    later.served("blog", version(1))
    assert later.versions("blog") == [version(1)]


def test_full_disk_is_told_and_costs_nothing_else(history: History, problems: list[str]) -> None:
    history._directory = Path("/proc/no/such/folder")
    history.served("blog", version(1))
    [problem] = problems
    assert problem.startswith("/proc/no/such/folder/blog.versions: ")


def test_way_back_leads_to_another_version_than_the_one_in_effect() -> None:
    kept = [version(2), version(1)]
    assert choose_back(kept, version(2)) == version(1)
    assert choose_back(kept, version(3)) == version(2)  # it never served
    assert choose_back(kept, version(1)) == version(2)
    assert choose_back([version(1)], version(1)) is None


def test_same_words_in_another_dialect_are_another_version() -> None:
    def written(path: str) -> Version:
        return msgspec.structs.replace(version(1), path=path)

    assert choose_back([written("/v/blog.ini")], written("/v/shop.toml")) is not None
    assert choose_back([written("/v/blog.ini")], written("/v/shop.ini")) is None
    assert choose_back([written("")], written("/v/shop.ini")) is None  # kept by an older emperor


def test_renamed_vassal_has_what_served_before_it(history: History, tmp_path: Path) -> None:
    history.served("blog", version(1))
    history.served("blog", version(2))
    history.pin("blog", Pin(version=version(1), instead_of="d2:7"))
    history.rename("blog", "shop")
    for known in (history, History(tmp_path, lambda problem: None)):
        assert known.versions("shop") == [version(2), version(1)]
        assert known.pin_of("shop") == Pin(version=version(1), instead_of="d2:7")
        assert known.versions("blog") == []
        assert known.pin_of("blog") is None
