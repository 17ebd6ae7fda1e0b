import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emperor.hosts import Claim, RemoveLink, SetLink, plan_hosts


def test_new_host_gets_a_link():
    made = plan_hosts([Claim("Blog.Example.", "blog", "/run/blog.sock")], {}, {})

    assert made.actions == (SetLink("blog.example", "/run/blog.sock"),)
    assert made.conflicts == ()
    assert made.holders == {"blog.example": "blog"}


def test_right_link_is_left_alone_and_stale_one_is_removed():
    claims = [Claim("blog.example", "blog", "/run/blog.sock")]

    made = plan_hosts(claims, {"blog.example": "/run/blog.sock", "old.example": "/x"}, {})

    assert made.actions == (RemoveLink("old.example"),)


def test_moved_socket_replaces_the_link():
    claims = [Claim("blog.example", "blog", "/run/new.sock")]

    made = plan_hosts(claims, {"blog.example": "/run/old.sock"}, {"blog.example": "blog"})

    assert made.actions == (SetLink("blog.example", "/run/new.sock"),)


def test_host_that_another_vassal_holds_is_refused():
    claims = [
        Claim("x.example", "late", "/run/late.sock"),
        Claim("x.example", "first", "/run/first.sock"),
    ]

    made = plan_hosts(claims, {"x.example": "/run/first.sock"}, {"x.example": "first"})

    assert made.actions == ()
    assert [str(c) for c in made.conflicts] == [
        'hosts: "x.example" is served by vassal first already'
    ]
    assert made.conflicts[0].vassal == "late"
    assert made.holders == {"x.example": "first"}


def test_holder_keeps_its_host_even_while_it_moves_its_socket():
    claims = [
        Claim("x.example", "late", "/run/first.sock"),
        Claim("x.example", "first", "/run/new.sock"),
    ]

    made = plan_hosts(claims, {"x.example": "/run/first.sock"}, {"x.example": "first"})

    assert made.actions == (SetLink("x.example", "/run/new.sock"),)


def test_after_a_restart_the_link_tells_who_held_the_host():
    claims = [Claim("x.example", "a", "/run/a.sock"), Claim("x.example", "b", "/run/b.sock")]

    made = plan_hosts(claims, {"x.example": "/run/b.sock"}, {})

    assert made.holders == {"x.example": "b"}


def test_host_passes_on_when_its_holder_lets_go():
    claims = [Claim("x.example", "late", "/run/late.sock")]

    made = plan_hosts(claims, {"x.example": "/run/first.sock"}, {"x.example": "first"})

    assert made.actions == (SetLink("x.example", "/run/late.sock"),)
    assert made.conflicts == ()


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        "../../etc/passwd",
        "a/b",
        "a\0b",
        "a b",
        "ü.example",
        "-a.example",
        "*.example",
        "a" * 64,
        "a." * 126 + "a",
        "a\n",
        "$host",
    ],
)
def test_name_that_is_no_host_name_is_refused_and_makes_no_link(host):
    made = plan_hosts([Claim(host, "blog", "/run/blog.sock")], {}, {})

    assert made.actions == ()
    assert made.conflicts[0].vassal == "blog"
    assert str(made.conflicts[0]).startswith("hosts: ")


names = st.sampled_from(["a", "b", "c"])


@given(
    claims=st.lists(st.builds(Claim, names, names, names), max_size=8),
    existing=st.dictionaries(names, names),
    holders=st.dictionaries(names, names),
)
@example(claims=[Claim("a", "a", "a"), Claim("a", "a", "b")], existing={"a": "b"}, holders={})
def test_plan_is_stable_once_it_was_applied(claims, existing, holders):
    first = plan_hosts(claims, existing, holders)
    links = dict(existing)
    for action in first.actions:
        if isinstance(action, SetLink):
            links[action.host] = action.socket_path
        else:
            del links[action.host]

    second = plan_hosts(claims, links, first.holders)

    assert set(links) == {claim.host for claim in claims}
    assert second.actions == ()
    assert second.holders == first.holders
    assert second.conflicts == first.conflicts
