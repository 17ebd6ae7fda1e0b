"""Which application has a request, and what the request looks like to it."""

import pytest

from emperor.config.problems import Invalid
from emperor.config.serving_keys import mounts
from vassal.runtime.frames import FrameError, decode_table, encode_table
from vassal.runtime.mounts import Mounts, nobody


def named(name):
    return lambda environ, start: (name, environ["SCRIPT_NAME"], environ["PATH_INFO"])


SITE = Mounts(
    {prefix: named(prefix) for prefix in ("/shop", "/shop/admin", "/über", "/a")}, named("rest")
)


@pytest.mark.parametrize(
    ("path", "script", "expected"),
    [
        ("/shop", "", ("/shop", "/shop", "")),
        ("/shop/", "", ("/shop", "/shop", "/")),
        ("/shop/cart", "", ("/shop", "/shop", "/cart")),
        ("/shopping", "", ("rest", "", "/shopping")),
        ("/shop/admin/x", "", ("/shop/admin", "/shop/admin", "/x")),
        ("/shop/administration", "", ("/shop", "/shop", "/administration")),
        ("/", "", ("rest", "", "/")),
        ("", "", ("rest", "", "")),
        ("//shop", "", ("rest", "", "//shop")),
        ("/\xc3\xbcber/x", "", ("/über", "/\xc3\xbcber", "/x")),
        # Behind a web server that tells where the site begins
        ("/shop/x", "/site", ("/shop", "/site/shop", "/x")),
        # and behind one that tells the mount itself.
        ("/x", "/shop", ("/shop", "/shop", "/x")),
        ("", "/shop", ("/shop", "/shop", "")),
        ("/admin/x", "/shop", ("/shop/admin", "/shop/admin", "/x")),
        ("/x", "/shopping", ("rest", "/shopping", "/x")),
    ],
)
def test_longest_prefix_at_a_slash_counts(path, script, expected):
    assert SITE({"SCRIPT_NAME": script, "PATH_INFO": path}, None) == expected


def test_what_nobody_has_is_404():
    said = []
    answer = Mounts({"/a": named("a")}, nobody)(
        {"SCRIPT_NAME": "", "PATH_INFO": "/b"}, lambda *words: said.append(words[0])
    )
    assert (said, answer) == (["404 Not Found"], [b"404 Not Found\n"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"shop": "a:b"}, '"shop" is not the path of a URL; write "/shop"'),
        ({"/shop?x": "a:b"}, '"/shop?x" is not the path of a URL; write "/shop"'),
        ({"/": "a:b"}, '"/" is the place of app; write it as app = …'),
        ({"/a/../b": "a:b"}, '"/a/../b" has a part that no request has; write "/shop"'),
        ({"/a": "a:b", "/a/": "a:c"}, '"/a" is in the table twice; remove one'),
        ({"/a": "a:"}, '"a:" names no callable; write "a:application"'),
        ("a:b", '"a:b" is not a table; write { "/shop" = "shop.wsgi:application" }'),
    ],
)
def test_a_wrong_mount_is_explained(value, says):
    with pytest.raises(Invalid) as caught:
        mounts(value)
    assert f"{caught.value.faults[0].problem}; {caught.value.faults[0].remedy}" == says


def test_a_slash_at_the_end_changes_nothing():
    assert mounts({"/shop/": "shop"}) == {"/shop": "shop:application"}


def test_a_table_travels_as_it_is():
    table = {"/a": "x:y", "": "1:2", "/ü": ""}
    assert decode_table(encode_table(table)) == table
    with pytest.raises(FrameError):
        decode_table("1:a")
