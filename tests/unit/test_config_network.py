"""Listen URLs and host names."""

import pytest

from emperor.config.network import host_names, listen_address, listen_addresses, overlaps
from emperor.config.problems import Invalid


def faults_of(parse, value):
    with pytest.raises(Invalid) as caught:
        parse(value)
    return [f"{fault.problem}; {fault.remedy}" for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("url", "protocol", "key"),
    [
        ("http://127.0.0.1:8000", "http", "tcp:127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http", "tcp:127.0.0.1:8000"),
        ("HTTP://localhost:8000", "http", "tcp:127.0.0.1:8000"),
        ("http://:8000", "http", "tcp::8000"),
        ("uwsgi://0.0.0.0:3031", "uwsgi", "tcp:0.0.0.0:3031"),
        ("fastcgi://[::1]:9000", "fastcgi", "tcp:::1:9000"),
        ("scgi://[0:0::1]:9000", "scgi", "tcp:::1:9000"),
        ("uwsgi+unix:///run/x.sock", "uwsgi", "unix:/run/x.sock"),
        ("http+unix:////run//./x.sock", "http", "unix:/run/x.sock"),
        ("unix:///run/x.sock", "http", "unix:/run/x.sock"),
        ("scgi+unix://@x", "scgi", "unix:@x"),
        ("scgi+unix://@x%00", "scgi", "unix:@x\0"),
    ],
)
def test_two_spellings_of_an_address_have_one_key(url, protocol, key):
    address = listen_address(url)
    assert (address.protocol, address.key, address.url) == (protocol, key, url)


IP = '"http://127.0.0.1:8000" or "uwsgi+unix:///run/emperor/blog.sock"'


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://:443",
            '"https://:443": TLS is not spoken here; write "http://:443" behind nginx',
        ),
        (
            "http://127.0.0.1",
            '"http://127.0.0.1" has no port; write "http://127.0.0.1:8000"',
        ),
        ("http://[::1]", '"http://[::1]" has no port; write "http://[::1]:8000"'),
        (
            "http://::1:80",
            '"http://::1:80": an IPv6 address stands in brackets; write "http://[::1]:80"',
        ),
        (
            "http+unix://run/x.sock",
            '"http+unix://run/x.sock": the path of a socket begins with /; '
            'write "http+unix:///run/x.sock"',
        ),
        (
            "uwsgi+unix://x.sock",
            '"uwsgi+unix://x.sock": the path of a socket begins with /; '
            'write "uwsgi+unix:///run/emperor/x.sock"',
        ),
        (
            "http+unix:///run/",
            '"http+unix:///run/" is a folder; write "http+unix:///run/blog.sock"',
        ),
        (
            "http+unix:///run/a/../b",
            '"http+unix:///run/a/../b" contains ".."; write the path without it',
        ),
        (
            "uwsgi+unix:///" + "x" * 107,
            "the path of the socket has 108 bytes; write at most 107: the kernel takes no more",
        ),
        (
            "uwsgi+unix:///" + "ü" * 60,
            "the path of the socket has 121 bytes; write at most 107: the kernel takes no more",
        ),
        (":3031", '":3031" has no protocol; write "http://:3031" or "uwsgi://:3031"'),
        (
            "/run/x.sock",
            '"/run/x.sock" has no protocol; '
            'write "http+unix:///run/x.sock" or "uwsgi+unix:///run/x.sock"',
        ),
        (
            "unix:/run/x.sock",
            '"unix:/run/x.sock" has no protocol; '
            'write "http+unix:///run/x.sock" or "uwsgi+unix:///run/x.sock"',
        ),
        ("http://*:80", '"http://*:80": "*" is not an address; write "http://:80"'),
        (
            "http://a.example:80",
            '"http://a.example:80": "a.example" is not an IP address; '
            'write "http://127.0.0.1:80", or "http://:80" for all addresses',
        ),
        (
            "http://127.0.0.1:80/x",
            '"http://127.0.0.1:80/x": an address ends with its port; write "http://127.0.0.1:80"',
        ),
        (
            "http:///run/x.sock",
            '"http:///run/x.sock": an address ends with its port; '
            'write "http+unix:///run/x.sock" for a unix socket',
        ),
        ("http://:0", '"http://:0": "0" is not a port; write 1 to 65535'),
        ("http://:99999", '"http://:99999": "99999" is not a port; write 1 to 65535'),
        (
            "gopher://:1",
            '"gopher://:1": unknown protocol "gopher"; '
            "write http, uwsgi, fastcgi or scgi, or one of them +unix",
        ),
        ("fcgi://:1", '"fcgi://:1": unknown protocol "fcgi"; write "fastcgi://…"'),
        ("nonsense", f'"nonsense" has no protocol; write {IP}'),
        (
            "http://[fe80::1%eth0]:80",
            '"http://[fe80::1%eth0]:80": "[fe80::1%eth0]" is not an IP address; '
            'write "http://127.0.0.1:80", or "http://:80" for all addresses',
        ),
    ],
)
def test_what_is_no_address_is_explained(url, message):
    assert faults_of(listen_address, url) == [message]


def test_longest_path_of_a_socket_is_taken():
    assert listen_address("http+unix:///" + "x" * 106).path == "/" + "x" * 106


def test_every_wrong_address_of_a_list_is_reported_with_its_place():
    with pytest.raises(Invalid) as caught:
        listen_addresses(["http://:80", 3, "https://:1"])
    assert [fault.path for fault in caught.value.faults] == [(1,), (2,)]


def test_number_for_listen_is_taken_for_a_port_or_uwsgis_queue():
    assert faults_of(listen_addresses, 8000) == [
        '8000 is not an address; write "http://127.0.0.1:8000"; the queue\'s length is backlog'
    ]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("http://:80", "http://127.0.0.1:80", True),
        ("http://0.0.0.0:80", "http://127.0.0.1:80", True),
        ("http://[::]:80", "http://[::1]:80", True),
        ("http://:80", "http://[::1]:80", True),
        ("http://:80", "uwsgi://:80", True),
        ("http+unix:///a", "uwsgi+unix:///a", True),
        ("http+unix:///a", "http+unix:///b", False),
        ("http://127.0.0.1:80", "http://127.0.0.2:80", False),
        ("http://0.0.0.0:80", "http://[::1]:80", False),
        ("http://:80", "http://:81", False),
        ("http+unix:///a", "http://:80", False),
    ],
)
def test_addresses_that_the_kernel_would_not_bind_together_overlap(one, other, clash):
    assert overlaps(listen_address(one), listen_address(other)) is clash
    assert overlaps(listen_address(other), listen_address(one)) is clash


def test_same_address_twice_is_refused_whatever_the_protocol():
    assert faults_of(listen_addresses, ["http+unix:///a", "uwsgi+unix:///b", "scgi+unix:///a"]) == [
        '"scgi+unix:///a" and "http+unix:///a" exclude each other; remove one of them'
    ]


def test_address_that_is_there_three_times_is_told_once_for_each_that_is_too_many():
    problem = '"http://:80" is in the list twice; remove one of them'
    assert faults_of(listen_addresses, ["http://:80"] * 3) == [problem] * 2


def test_address_is_no_host_name():
    problem = '"[::1]" is an address; write a name, or leave hosts out'
    assert faults_of(host_names, ["[::1]"]) == [problem]


def test_host_names_are_normalised_as_nginx_does():
    assert host_names("Blog.Example.") == ("blog.example",)
    assert host_names(["a.b", "10.0.0.1", "xn--bcher-kva.example"]) == (
        "a.b",
        "10.0.0.1",
        "xn--bcher-kva.example",
    )


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../x",
        "a..b",
        "/etc",
        "a/b",
        "-a.b",
        "a-.b",
        "a_b",
        "a" * 64,
        ".a",
        "",
        " a",
        "a b",
        "a:80",
        "[::1]",
        "*.a",
        "bücher.example",
        "a\nb",
        "a\0b",
        ".".join(["abcd"] * 60),
    ],
)
def test_host_name_that_could_leave_its_folder_or_is_none_is_refused(name):
    faults_of(host_names, name)


def test_same_host_twice_is_refused():
    assert faults_of(host_names, ["a.b", "A.b."]) == ['"a.b" is in the list twice; remove one']
