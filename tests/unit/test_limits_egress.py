import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limits.egress import (
    EVERYTHING,
    NETWORKS_MAX,
    Hook,
    is_allowed,
    keeper_programs,
    program,
    programs,
    socket_program,
)
from tests.support.ebpf import address_in, call_to, run, socket_of, unreachable

METADATA = "169.254.169.254/32"


def verdict(address, allow, deny):
    version = ipaddress.ip_address(address).version
    return bool(run(program(allow, deny, version), call_to(address)))


def networks(version):
    size = 32 if version == 4 else 128
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    # Few different bits, so that addresses and networks meet.
    near = st.integers(0, 7).map(
        lambda low: int(kind("10.0.0.0" if size == 32 else "fd00::")) | low
    )
    numbers = st.one_of(near, st.integers(0, 2**size - 1))
    return st.tuples(numbers, st.integers(0, size)).map(lambda pair: f"{kind(pair[0])}/{pair[1]}")


def addresses():
    v4 = networks(4).map(lambda text: text.split("/")[0])
    v6 = networks(6).map(lambda text: text.split("/")[0])
    return st.one_of(
        v4, v6, v4.map(lambda text: f"::ffff:{text}"), st.sampled_from(["0.0.0.0", "::"])
    )


LISTS = st.lists(st.one_of(networks(4), networks(6)), max_size=5)


def expected(address, allow, deny):
    """systemd's rule, by the ipaddress module alone."""
    where = ipaddress.ip_address(address)
    where = getattr(where, "ipv4_mapped", None) or where
    if where.is_unspecified:
        where = ipaddress.ip_address("::1" if where.version == 6 else "127.0.0.1")

    def listed(texts):
        found = (ipaddress.ip_network(text, strict=False) for text in texts)
        return any(where in network for network in found if network.version == where.version)

    return listed(allow) or not listed(deny)


@given(addresses(), LISTS, LISTS)
@settings(max_examples=400, deadline=None)
def test_program_says_what_the_ipaddress_module_says(address, allow, deny):
    assert verdict(address, allow, deny) == expected(address, allow, deny)
    assert is_allowed(address, allow, deny) == expected(address, allow, deny)


@given(LISTS, LISTS)
@settings(max_examples=100, deadline=None)
def test_program_has_no_instruction_that_the_kernel_would_refuse(allow, deny):
    for one in programs(allow, deny):
        assert unreachable(one.code) == []


def test_nothing_listed_lets_everything_pass():
    assert verdict("8.8.8.8", (), ())
    assert verdict("2001:db8::1", (), ())


def test_allow_wins_over_deny():
    assert verdict("10.1.2.3", ("10.0.0.0/8",), EVERYTHING)
    assert not verdict("11.1.2.3", ("10.0.0.0/8",), EVERYTHING)


def test_mapped_address_is_its_ipv4_address_whatever_is_said_of_ipv6():
    assert not verdict("::ffff:169.254.169.254", ("::/0",), (METADATA,))
    assert verdict("::ffff:10.0.0.1", ("10.0.0.0/8",), EVERYTHING)
    assert verdict("::ffff:10.0.0.1", (), ("::/0",))


def test_network_of_mapped_addresses_is_an_ipv4_network():
    assert not verdict("10.1.1.1", (), ("::ffff:10.0.0.0/104",))


def test_unspecified_address_is_loopback_and_is_written_into_the_call():
    for address, becomes in (
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("::ffff:0.0.0.0", "::ffff:127.0.0.1"),
    ):
        version = ipaddress.ip_address(address).version
        call = call_to(address)
        assert not run(program((), ("127.0.0.0/8", "::1/128"), version), call)
        assert ipaddress.ip_address(address_in(call, version)) == ipaddress.ip_address(becomes)


def test_other_addresses_are_left_in_the_call():
    call = call_to("10.1.2.3")
    run(program((), EVERYTHING, 4), call)
    assert address_in(call, 4) == "10.1.2.3"


@pytest.mark.parametrize("protocol", [socket.IPPROTO_TCP, socket.IPPROTO_UDP])
def test_tcp_and_udp_sockets_may_be_made(protocol):
    assert run(socket_program(), socket_of(protocol))


@pytest.mark.parametrize("protocol", [socket.IPPROTO_SCTP, 262, 33, 136, socket.IPPROTO_ICMP])
def test_sockets_that_the_filter_would_not_see_may_not(protocol):
    assert not run(socket_program(), socket_of(protocol))


def test_every_hook_gets_a_program():
    assert {one.hook for one in programs((), ())} == set(Hook)


def test_longest_lists_still_fit_the_reach_of_a_jump():
    many = [f"10.{i // 256}.{i % 256}.0/25" for i in range(NETWORKS_MAX)]
    code = program(many, ["192.0.2.0/24"], 6)

    assert run(code, call_to("::ffff:10.3.231.5"))
    assert not run(code, call_to("::ffff:192.0.2.1"))


def test_too_many_networks_are_refused():
    with pytest.raises(ValueError, match="merge them"):
        program([f"10.{i // 256}.{i % 256}.0/25" for i in range(NETWORKS_MAX + 1)], (), 4)


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="example"):
        program(["example.org"], (), 4)


@given(st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1))
@settings(deadline=None)
def test_listeners_connect_for_processes_of_their_own_cgroup_only(keeper, caller):
    for one in keeper_programs(keeper):
        assert run(one.code, call_to("127.0.0.1"), cgroup_id=caller) == (keeper == caller)
        assert run(one.code, call_to("127.0.0.1"), cgroup_id=keeper) == 1
