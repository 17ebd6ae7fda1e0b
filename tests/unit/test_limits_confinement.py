import msgspec
import pytest

from limits.confinement import Confinement


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
    ],
)
def test_confinement_with_an_illegal_value_is_refused_by_name(packet, problem):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(packet, type=Confinement)

    assert problem in str(caught.value)
