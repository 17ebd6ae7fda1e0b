"""A reboot of the machine: what was dropped before serves again, without anybody's doing."""

import pytest

from tests.vm.guest import TENANTS, Machine, wait_until


@pytest.mark.keep
def test_before_the_reboot_the_unit_is_enabled_and_vassals_are_dropped(machine: Machine) -> None:
    machine.systemctl("enable", "--now", "emperor")
    for tenant in TENANTS:
        machine.drop(f"of-{tenant}", user=tenant)
    for tenant in TENANTS:
        machine.wait_served(f"of-{tenant}")


@pytest.mark.boot(2)
def test_after_the_reboot_all_vassals_serve_again(machine: Machine) -> None:
    wait_until(machine.is_active, what="the unit is active")
    for tenant in TENANTS:
        machine.wait_served(f"of-{tenant}")
    assert machine.show("StatusText") == f"{len(TENANTS)} ready"
    assert machine.show("NRestarts") == "0"
