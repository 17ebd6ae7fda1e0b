"""The capabilities by name. Pure: what a process has of them is in `facts`."""

from collections.abc import Iterable

# linux/capability.h, in the order of their numbers.
_NAMES = """
chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
"""

NUMBERS: dict[str, int] = {
    f"CAP_{name.upper()}": number for number, name in enumerate(_NAMES.split())
}


def check_names(names: Iterable[str]) -> list[str]:
    """Return what is wrong with a list of capabilities, one text for each wrong name."""
    problems = []
    for name in names:
        if name not in NUMBERS:
            from difflib import get_close_matches  # no master needs it

            near = get_close_matches(name[:40].upper(), NUMBERS, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            problems.append(f'"{name[:40]}": there is no such capability{hint}')
    return problems


def mask(names: Iterable[str]) -> int:
    """Return the capabilities as a bit mask."""
    return sum(1 << NUMBERS[name] for name in set(names))
