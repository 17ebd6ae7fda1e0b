"""Sockets are given to whom the file names, and who does not exist is told of."""

import os

from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.rootless import rootless_over


def test_unknown_owner_of_a_socket_costs_its_vassal_only(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    listen = [f"http+unix://{emperor.runtime_dir}/sockets/a.sock"]
    owners = '[socket]\nuser = "no-such-user"\ngroup = "no-such-group"\n'
    emperor.drop("bad", listen=listen, text=owners)
    port = emperor.drop("good")
    emperor.start()
    emperor.wait_state("good", "ready")
    message = emperor.wait_state("bad", "parked")["last_failure"]["message"]
    assert 'bad.toml:5: socket.user: there is no user "no-such-user"' in message
    assert 'bad.toml:6: socket.group: there is no group "no-such-group"' in message
    assert get(port)[0] == 200
    # Numbers are accounts too.
    emperor.drop("bad", listen=listen, text='[socket]\nuser = "0"\ngroup = "1"\n')
    emperor.wait_state("bad", "ready")
    status = os.stat(emperor.runtime_dir / "sockets/a.sock")
    assert (status.st_uid, status.st_gid) == (0, 1)


def test_without_root_it_is_said_whom_sockets_cannot_be_given_to() -> None:
    with rootless_over() as one:
        one.app("hello")
        listen = [f"http+unix://{one.runtime_dir}/sockets/a.sock"]
        one.drop("blog", listen=listen, text='[socket]\nuser = "root"\ngroup = "root"\n')
        one.start()
        one.wait_state("blog", "ready")
        said = one.unsupported("blog")
        if os.geteuid() == 0 or os.getgid() != 0:
            assert 'cannot give a socket to the group "root"' in said["socket.group"]
        assert 'cannot give a socket to the user "root"' in said["socket.user"]
        assert "run the emperor as root" in said["socket.user"]
