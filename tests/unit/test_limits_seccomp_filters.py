import pytest

from limits.seccomp.filters import ESSENTIAL, allowed_names, check_names


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (["@hostin"], 'no such group of system calls; did you mean "@hosting"?'),
        (["@hosting", "~opne"], 'no such system call; did you mean "open"?'),
        (["network-io"], 'did you mean "@network-io"?'),
        (["mount:kill"], "an error number cannot be chosen"),
        (["@hosting", "~execve"], "no program starts without it"),
        (["~mount"], 'write "@hosting" before it'),
        ([""], "there is no such system call"),
        (["~~mount", "x" * 10000], "there is no such system call"),
    ],
)
def test_wrong_entry_of_a_list_is_named_with_what_was_meant(entries, problem):
    problems = check_names(entries)

    assert any(problem in text for text in problems)
    assert all(len(text) < 200 for text in problems)
    with pytest.raises(ValueError):
        allowed_names(entries)


def test_names_of_other_machines_are_no_mistake():
    assert check_names(["@hosting", "chown32", "riscv_flush_icache", "socketcall"]) == []
    assert "chown32" not in allowed_names(["@hosting", "chown32"])


def test_later_entries_win():
    assert "mount" in allowed_names(["@hosting", "@mount", "~umount2"])
    assert "umount2" not in allowed_names(["@hosting", "@mount", "~umount2"])
    assert "mount" not in allowed_names(["@mount", "~@mount"])
    assert "read" not in allowed_names(["@hosting", "~@basic-io"])


def test_programs_can_start_under_every_list():
    assert allowed_names(["@clock", "~@default", "~@basic-io", "~@signal"]) >= ESSENTIAL
