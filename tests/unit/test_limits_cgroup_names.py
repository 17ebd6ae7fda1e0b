import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limits.cgroups.names import app_path, customer_path, encoded, parent

NAMES = st.text(min_size=1, max_size=300)


@given(NAMES)
@example("..")
@example("a..b")
@example("../../etc")
@example("x" * 10_000)
@example("%2E")
@example("a\n\0/b")
@example("\udcff")
def test_path_is_one_safe_component_for_each_name(name):
    path = app_path(name, name)

    assert re.fullmatch(r"tenants/c-[A-Za-z0-9_.%~-]+/a-[A-Za-z0-9_.%~-]+", path)
    assert ".." not in path
    assert all(len(piece) <= 255 for piece in path.split("/"))


@given(NAMES, NAMES)
@example("a.b", "a%2Eb")
@example("x" * 300, "x" * 299)
@example("..", ".%2E")
def test_different_names_have_different_paths(one, other):
    assert (encoded(one) == encoded(other)) == (one == other)


def test_usual_names_stay_readable():
    assert app_path("acme", "shop.example_1-b") == "tenants/c-acme/a-shop.example_1-b"


def test_odd_characters_are_encoded_by_their_bytes():
    assert encoded("a/ü") == "a%2F%C3%BC"


def test_empty_name_is_refused():
    with pytest.raises(ValueError, match="needs a name"):
        encoded("")


def test_parent_of_an_app_is_its_customers_slice():
    assert parent(app_path("acme", "shop")) == customer_path("acme")
