import msgspec
import pytest

from limits.confinement import Confinement
from limits.landlock import LandlockRules


def test_confinement_survives_the_way_through_json():
    asked = Confinement(
        uid=33,
        gid=34,
        groups=(1, 2),
        rlimits={"nofile": (1024, 4096), "core": (0, -1)},
        umask=0o027,
        nice=-3,
        oom_score_adjust=300,
        new_session=True,
        no_new_privs=True,
        drop_capabilities=True,
        pid_namespace=True,
        death_signal=9,
        dumpable=False,
        system_call_filter=bytes(range(16)),
        landlock=LandlockRules(writable=("/srv/app",), deny_tcp_bind=True),
        capability_bounding_set=("CAP_CHOWN", "CAP_NET_BIND_SERVICE"),
        ambient_capabilities=("CAP_NET_BIND_SERVICE",),
        keyring="private",
        io_priority=("best-effort", 7),
        cpu_affinity=(0, 3),
    )

    packet = msgspec.json.encode(asked)

    assert msgspec.json.decode(packet, type=Confinement) == asked
    assert b'"nofile":[1024,4096]' in packet


def test_confinement_of_nothing_leaves_everything_as_it_is():
    assert msgspec.json.decode(b"{}", type=Confinement) == Confinement()


@pytest.mark.parametrize(
    ("packet", "problem"),
    [
        (b'{"uid": 33}', "uid without gid and groups"),
        (b'{"uid": 33, "gid": 33}', "uid without gid and groups"),
        (b'{"groups": []}', "groups without gid"),
        (b'{"uid": -1, "gid": 1, "groups": []}', "id -1"),
        (b'{"gid": 4294967295}', "id 4294967295"),
        (b'{"gid": 1, "groups": [-5]}', "id -5"),
        (b'{"nice": 20}', "nice 20"),
        (b'{"nice": -21}', "nice -21"),
        (b'{"oom_score_adjust": -1000}', "oom_score_adjust -1000"),
        (b'{"umask": 512}', "umask 512"),
        (b'{"death_signal": 0}', "death_signal 0"),
        (b'{"rlimits": {"files": [1, 1]}}', "no such rlimit: 'files'"),
        (b'{"rlimits": {"nofile": [2, 1]}}', "soft limit 2 is above the hard limit 1"),
        (b'{"rlimits": {"nofile": [-1, 1]}}', "soft limit -1 is above the hard limit 1"),
        (b'{"rlimits": {"nofile": [-2, -1]}}', "nofile soft limit -2"),
        (b'{"rlimits": {"as": [1, 9223372036854775808]}}', "as hard limit 9223372036854775808"),
        (b'{"rlimits": {"nofile": [1]}}', "Expected `array` of length 2"),
        (b'{"system_call_filter": ""}', "0 bytes are no seccomp program"),
        (b'{"system_call_filter": "AAAA"}', "3 bytes are no seccomp program"),
        (b'{"system_call_filter": "%s"}' % (b"AAAA" * 11000), "33000 bytes are no seccomp program"),
        (b'{"landlock": {"writable": ["a"]}}', "'a' is not an absolute path"),
        (
            b'{"drop_capabilities": true, "capability_bounding_set": ["CAP_CHWON"]}',
            'did you mean "CAP_CHOWN"?',
        ),
        (b'{"capability_bounding_set": ["CAP_CHOWN"]}', "where drop_capabilities drops"),
        (
            b'{"drop_capabilities": true, "ambient_capabilities": ["CAP_CHOWN"]}',
            "ambient_capabilities: CAP_CHOWN is not in capability_bounding_set",
        ),
        (b'{"keyring": "shared"}', "keyring 'shared' is not \"private\""),
        (b'{"io_priority": ["high", 1]}', "io_priority 'high' is not one of realtime"),
        (b'{"io_priority": ["idle", 8]}', "io_priority level 8"),
        (b'{"cpu_affinity": []}', "cpu_affinity without a CPU"),
        (b'{"cpu_affinity": [-1]}', "CPU -1"),
    ],
)
def test_confinement_with_an_illegal_value_is_refused_by_name(packet, problem):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(packet, type=Confinement)

    assert problem in str(caught.value)
