"""Reload, restart, stop of the unit; the death of each of its processes."""

import signal

from tests.vm.guest import TENANTS, Machine, get, processes, run, wait_until


def drop_for_each_tenant(machine: Machine) -> None:
    for tenant in TENANTS:
        machine.drop(f"of-{tenant}", user=tenant)
    for tenant in TENANTS:
        machine.wait_state(f"of-{tenant}", "ready")


def masters(machine: Machine) -> dict[str, int]:
    return {vassal["name"]: vassal["pid"] for vassal in machine.status()["vassals"]}


def tenants_processes() -> list[str]:
    uids = {int(run("id", "-u", tenant)) for tenant in TENANTS}
    return [f"{p.pid} {p.command}" for p in processes() if p.uid in uids]


def test_reload_makes_a_new_brain_over_the_same_masters_and_refuses_nobody(
    machine: Machine,
) -> None:
    drop_for_each_tenant(machine)
    brain, before = machine.brain_pid(), masters(machine)
    with machine.load("of-alice") as load:
        wait_until(lambda: load.answers, what="a first answer")
        machine.systemctl("reload", "emperor")
        wait_until(lambda: machine.brain_pid() not in (0, brain), what="a new brain")
        wait_until(lambda: machine.show("StatusText") == "3 ready", what="the new brain's count")
    assert masters(machine) == before
    assert load.failures == []
    assert machine.is_active()
    assert machine.show("NRestarts") == "0"


def test_upgrade_gives_every_vassal_a_new_master_and_refuses_nobody(machine: Machine) -> None:
    drop_for_each_tenant(machine)
    brain, before = machine.brain_pid(), masters(machine)
    with machine.load("of-carol") as load:
        wait_until(lambda: load.answers, what="a first answer")
        run("emperor", "upgrade", "--vassals", timeout=180)
        wait_until(lambda: machine.show("StatusText") == "3 ready", what="the new brain's count")
    assert machine.brain_pid() not in (0, brain)
    assert not set(masters(machine).values()) & set(before.values())
    assert load.failures == []
    assert machine.show("NRestarts") == "0"


def test_killed_brain_is_replaced_and_no_request_notices(machine: Machine) -> None:
    drop_for_each_tenant(machine)
    brain, spawner, before = machine.brain_pid(), machine.spawner_pid(), masters(machine)
    with machine.load("of-bob") as load:
        wait_until(lambda: load.answers, what="a first answer")
        machine.kill(brain)
        wait_until(lambda: machine.brain_pid() not in (0, brain), what="a new brain")
    assert masters(machine) == before
    assert load.failures == []
    assert machine.spawner_pid() == spawner
    assert machine.show("NRestarts") == "0"


def test_killed_spawner_is_restarted_by_systemd_and_whoever_comes_meanwhile_waits(
    machine: Machine,
) -> None:
    drop_for_each_tenant(machine)
    spawner, before = machine.spawner_pid(), masters(machine)
    restarts = int(machine.show("NRestarts"))
    with machine.load("of-alice") as load:
        wait_until(lambda: load.answers, what="a first answer")
        machine.kill(spawner)
        wait_until(lambda: machine.spawner_pid() not in (0, spawner), what="a new spawner")
        for tenant in TENANTS:
            machine.wait_state(f"of-{tenant}", "ready")
            machine.wait_served(f"of-{tenant}")
    # The one request that was being served ended with its worker. All others waited in the
    # queue of the socket, which systemd keeps.
    assert len(load.failures) <= 1, load.failures
    assert int(machine.show("NRestarts")) == restarts + 1
    assert not set(masters(machine).values()) & set(before.values())
    assert len([p for p in processes() if p.pid in before.values()]) == 0


def test_restart_stops_everything_and_brings_everything_back(machine: Machine) -> None:
    drop_for_each_tenant(machine)
    spawner, before = machine.spawner_pid(), masters(machine)
    machine.systemctl("restart", "emperor")
    # READY comes when the vassals have settled.
    assert [get(f"of-{tenant}.example").status for tenant in TENANTS] == [200, 200, 200]
    assert machine.spawner_pid() != spawner
    assert not set(masters(machine).values()) & set(before.values())


def test_stop_leaves_no_process_and_no_file(machine: Machine) -> None:
    drop_for_each_tenant(machine)
    machine.systemctl("stop", "emperor")
    assert machine.show("Result") == "success"
    assert tenants_processes() == []
    assert [p.command for p in processes() if "emperor" in p.command] == []
    assert run("find", "/run/emperor", check=False).count("\n") <= 1


def test_spawner_that_hangs_is_restarted_by_the_watchdog(machine: Machine) -> None:
    with machine.drop_in("[Service]\nWatchdogSec=8\n"):
        machine.drop("blog")
        machine.systemctl("restart", "emperor")
        machine.wait_served("blog")
        spawner = machine.spawner_pid()
        machine.kill(spawner, signal.SIGSTOP)
        wait_until(
            lambda: machine.spawner_pid() not in (0, spawner), what="a new spawner", every=0.5
        )
        machine.wait_served("blog")
        assert "Watchdog timeout" in machine.journal()
    machine.systemctl("restart", "emperor")
