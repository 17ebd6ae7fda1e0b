"""The table of uWSGI's options: each has a verdict, and what is supported has a rule."""

import pytest

from emperor.config.keys import VASSAL_KEYS
from emperor.uwsgi.rows import Support
from emperor.uwsgi.table import KNOWN, ROWS, counts
from emperor.uwsgi.translate import rule_names


def _words(text: str) -> list[str]:
    return text.split()


NEAR_UNIVERSAL = _words("""
    master processes workers socket module wsgi wsgi-file chdir uid gid threads enable-threads
    http-socket http vacuum chmod-socket die-on-term plugin plugins virtualenv home venv callable
    env pythonpath pp harakiri buffer-size max-requests lazy-apps single-interpreter need-app
    stats logto daemonize pidfile touch-reload
""")
COMMON = _words("""
    listen post-buffering chown-socket disable-logging log-4xx log-5xx log-date log-format logger
    req-logger log-maxsize log-master memory-report reload-on-rss reload-on-as limit-as
    max-worker-lifetime worker-reload-mercy reload-mercy harakiri-verbose cheaper cheaper-initial
    cheaper-algo cheaper-step cheaper-overload thunder-lock auto-procname procname-prefix
    procname-prefix-spaced no-orphans mount manage-script-name protocol ini include static-map
    offload-threads strict umask safe-pidfile socket-timeout master-fifo stats-http py-autoreload
    py-call-osafterfork http-timeout cpu-affinity ignore-sigpipe ignore-write-errors
    disable-write-exception
""")
HOSTING = _words("""
    idle die-on-idle cron cron2 attach-daemon attach-daemon2 smart-attach-daemon spooler mule
    evil-reload-on-rss limit-nproc touch-chain-reload touch-workers-reload touch-logreopen
    close-on-exec lazy subscribe2 zerg exec-as-root exec-pre-app hook-as-root unshare cap for
    if-env if-opt if-exists if-file if-dir set-ph gevent fallback-config heartbeat
    vassal-sos-backlog
""")

STATED: dict[str, str] = {}
"""Common options that are not supported, and a word of what stands in for them."""


KEYS = set(VASSAL_KEYS)
WITHOUT_KEY = {
    "read with the file",
    "an option that uWSGI does not have is an error",
    "none: Python and HTTP are built in",
}


def test_no_option_has_two_rows() -> None:
    assert len(ROWS) == len(KNOWN)


def test_each_row_says_its_reason() -> None:
    for row in ROWS:
        assert row.text, row.name
        assert row.support is not Support.UNKNOWN


def test_what_is_supported_names_keys_of_ours() -> None:
    texts = {row.text for row in ROWS if row.support is Support.SUPPORTED} - WITHOUT_KEY

    assert {key for text in texts for key in text.split(", ")} <= KEYS


def test_every_supported_option_has_a_rule_and_every_rule_is_of_a_supported_option() -> None:
    supported = {row.name for row in ROWS if row.support is Support.SUPPORTED}
    in_the_reader = {name for name in supported if KNOWN[name].text == "read with the file"}

    assert rule_names() == supported - in_the_reader


@pytest.mark.parametrize("name", NEAR_UNIVERSAL + COMMON)
def test_a_common_option_is_served_or_its_substitute_is_named(name: str) -> None:
    known = KNOWN[name]

    if known.support is Support.UNSUPPORTED:
        assert STATED[name] in known.text
    else:
        assert name not in STATED


def test_counts_of_all_options_and_of_those_in_real_files() -> None:
    for title, names in (
        ("all", list(KNOWN)),
        ("near-universal", NEAR_UNIVERSAL),
        ("common", COMMON),
        ("hosting", HOSTING),
    ):
        found = counts(names)
        print(f"{title}: {len(names)}", {str(each): count for each, count in found.items()})
        assert found[Support.UNKNOWN] == 0
        assert sum(found.values()) == len(names)
