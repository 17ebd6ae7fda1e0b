"""What gives a vassal another digest, and what does not."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from emperor.brain.digest import digest


class Inner(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="inner"):
    path: str


class Sibling(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sibling"):
    path: str


class Before(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    limits: dict[str, tuple[int, int]] = {}
    inner: tuple[Inner | Sibling, ...] = ()


class After(msgspec.Struct, frozen=True, kw_only=True):
    """The same with what a later version may know."""

    added: int = 0
    name: str
    limits: dict[str, tuple[int, int]] = {}
    more: dict[str, str] = {}
    inner: tuple[Inner | Sibling, ...] = ()


VALUES = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3),
        "limits": st.dictionaries(st.sampled_from("ab"), st.just((0, 1))),
        "inner": st.lists(
            st.builds(Inner, path=st.text(max_size=2))
            | st.builds(Sibling, path=st.text(max_size=2)),
            max_size=2,
        ).map(tuple),
    }
)


@given(VALUES)
def test_field_of_a_later_version_changes_nothing_by_default(values: dict) -> None:
    before = digest((Before(**values), 100))
    assert digest((After(**values), 100)) == before
    assert digest((After(**values, added=1), 100)) != before
    assert digest((After(**values, more={"a": ""}), 100)) != before
    assert digest((After(**values), 101)) != before


@given(VALUES, VALUES)
def test_other_values_have_another_digest(one: dict, other: dict) -> None:
    assert (digest(Before(**one)) == digest(Before(**other))) is (one == other)


def test_order_of_a_dict_does_not_count() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
