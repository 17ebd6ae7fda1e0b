"""What of a task's own keys is left out when it is kept, each with its word. Pure."""

from collections.abc import Mapping

from emperor.config.problems import quoted
from emperor.uwsgi.values import pairs

_USER = "it is the vassal's user's"
_LEGIONS = "there are no legions"
_WATCHED = "the service that runs it looks after it"
_DAEMON2: Mapping[str, str] = {
    "freq": _WATCHED,
    "control": "its end is not the vassal's: write BindsTo= in the unit",
    "uid": _USER,
    "gid": _USER,
    "stdin": "its standard input is empty",
    "ns_pid": "write PrivatePIDs= in the unit",
    "max_throttle": "write RestartSec= and RestartMaxDelaySec= in the unit",
    "legion": _LEGIONS,
    "notifypid": "a service tells its own pid",
}
"""Keys of attach-daemon2 that become nothing, and why or what to write instead."""

_KEPT: Mapping[str, frozenset[str]] = {
    "attach-daemon2": frozenset(
        (
            *("command", "cmd", "exec", "chdir", "pidfile", "daemonize", "daemon", "touch"),
            *("stopsignal", "stop_signal", "reloadsignal", "reload_signal"),
        )
    ),
    "cron2": frozenset(("minute", "hour", "day", "month", "week", "unique", "harakiri")),
}
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "attach-daemon2": _DAEMON2,
    "cron2": {"legion": _LEGIONS},
}


def dropped(option: str, value: str) -> str:
    """Return a word for each key of one task that is left out, "" if none is."""
    if option == "attach-control-daemon":
        return f"control: {_DAEMON2['control']}"
    if option.startswith("smart-attach-daemon"):
        pidfile = value.partition(" ")[0]
        return f"{quoted(pidfile.partition(',')[2])} seconds: {_WATCHED}" if "," in pidfile else ""
    if option not in _KEPT:
        return ""
    given = value if option != "cron2" else value.partition(" ")[0]
    if option == "cron2" and "=" not in given:
        return ""
    known = _OTHERS[option]
    words = [
        f"{key}: {known[key]}" if key in known else f"{quoted(key)} is no key of {option}"
        for key in pairs(given)
        if key not in _KEPT[option]
    ]
    return "; ".join(words)
