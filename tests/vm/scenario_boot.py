"""The service as systemd sees it, and what a provider does: enable, drop a file."""

import json
import re

from tests.vm.guest import RUNTIME_DIR, Machine, get, processes, run


def test_unit_is_valid_for_this_systemd(machine: Machine) -> None:
    complaints = run("systemd-analyze", "verify", "emperor.service", check=False)
    assert "emperor" not in complaints, complaints


def test_status_of_the_unit_counts_the_vassals(machine: Machine) -> None:
    assert 'Status: "empty"' in machine.systemctl("status", "emperor")
    machine.drop("blog")
    machine.wait_state("blog", "ready")
    assert 'Status: "1 ready"' in machine.systemctl("status", "emperor")


def test_main_process_of_the_unit_is_the_spawner(machine: Machine) -> None:
    emperor = machine.status()["emperor"]
    assert emperor["spawner_pid"] == machine.spawner_pid()
    assert emperor["mode"] == "root"
    assert machine.show("NotifyAccess") == "main"


def test_enabling_the_unit_and_dropping_a_file_is_all_there_is_to_do(machine: Machine) -> None:
    machine.systemctl("disable", "--now", "emperor")
    machine.systemctl("enable", "--now", "emperor")
    machine.drop("blog")
    machine.wait_served("blog")


def test_dropped_file_is_served_through_nginx_and_removed_with_it(machine: Machine) -> None:
    assert get("blog.example").status == 503
    machine.drop("blog")
    page = machine.wait_served("blog")
    pid, uid = re.fullmatch(r"hello from (\d+) (\d+)", page).groups()  # type: ignore[union-attr]
    assert uid == run("id", "-u", "alice").strip()
    # The vassal has a PID namespace of its own: its numbers are small.
    assert int(pid) < 20
    machine.remove("blog")
    machine.wait_gone("blog")
    assert get("blog.example").status == 503
    assert not (RUNTIME_DIR / "hosts" / "blog.example.sock").exists()
    assert [p for p in processes() if p.uid == int(uid)] == []


def test_broken_file_is_told_in_the_journal_and_in_status(machine: Machine) -> None:
    machine.drop("blog", workers="many")
    failure = machine.wait_state("blog", "parked")["last_failure"]
    assert 'blog.toml:6: workers: "many" is not a whole number' in failure["message"]
    assert "event=file_refused" in machine.journal(lines=20)


def test_commands_that_the_package_installs_work(machine: Machine) -> None:
    machine.drop("blog")
    machine.wait_state("blog", "ready")
    assert "blog" in machine.emperor("status")
    assert json.loads(machine.emperor("status", "--json"))["vassals"][0]["name"] == "blog"
    assert "emperor " in machine.emperor("version")
    completed = run(
        "bash",
        "-c",
        ". /usr/share/bash-completion/completions/emperor;"
        " COMP_WORDS=(emperor reload ''); COMP_CWORD=2; _emperor emperor '' reload;"
        ' echo "${COMPREPLY[@]}"',
    )
    assert completed.split() == ["blog"]
