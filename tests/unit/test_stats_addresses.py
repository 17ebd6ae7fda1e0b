"""The addresses at which statistics are told, in our words and in uWSGI's."""

import pytest

from emperor.config.problems import Invalid
from emperor.config.stats_addresses import STATS, STATS_HTTP, stats_address, stats_addresses
from emperor.uwsgi.stats import stats_url


@pytest.mark.parametrize(
    ("url", "protocol", "key"),
    [
        ("tcp://127.0.0.1:9191", STATS, "tcp:127.0.0.1:9191"),
        ("tcp://:9191", STATS, "tcp::9191"),
        ("http://[::1]:9191/", STATS_HTTP, "tcp:::1:9191"),
        ("unix:///run/a.stats", STATS, "unix:/run/a.stats"),
        ("http+unix:///run//a.stats", STATS_HTTP, "unix:/run/a.stats"),
        ("unix://@blog", STATS, "unix:@blog"),
    ],
)
def test_an_address_has_a_protocol_and_one_key(url: str, protocol: str, key: str) -> None:
    found = stats_address(url)
    assert (found.protocol, found.key) == (protocol, key)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:9191", "is no address for statistics"),
        ("uwsgi://127.0.0.1:1", "is no address for statistics"),
        ("tcp:///run/a.sock", "has no port"),
        ("tcp://127.0.0.1", "has no port"),
        ("unix://run/a.sock", "begins with /"),
        ("unix://@", "is no name of a socket"),
        ("unix://@" + "a" * 108, "is no name of a socket"),
        ("unix://@a\0b", "control character"),
    ],
)
def test_what_is_none_is_explained(url: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        stats_address(url)


def test_two_spellings_of_one_address_exclude_each_other() -> None:
    with pytest.raises(Invalid, match="exclude each other"):
        stats_addresses(["tcp://:9191", "http://127.0.0.1:9191"])


@pytest.mark.parametrize(
    ("address", "http", "url"),
    [
        ("127.0.0.1:9191", False, "tcp://127.0.0.1:9191"),
        (":9191", True, "http://:9191"),
        ("*:9191", False, "tcp://:9191"),
        ("/tmp/../run/a.sock", False, "unix:///run/a.sock"),
        ("a.sock", True, "http+unix:///srv/a.sock"),
        ("@blog", False, "unix://@blog"),
        ("\\0blog", False, "unix://@blog"),
    ],
)
def test_uwsgis_addresses_are_urls_of_ours(address: str, http: bool, url: str) -> None:
    assert stats_url(address, http, "/srv") == url
    stats_address(url)


@pytest.mark.parametrize("address", ["", "udp://127.0.0.1:1", "127.0.*:1", "a,b"])
def test_what_uwsgi_would_not_listen_at_is_refused(address: str) -> None:
    with pytest.raises(Invalid):
        stats_url(address, False, "/srv")
