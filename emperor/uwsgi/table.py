"""The one table of all options of uWSGI 2.0.31, its default build and its plugins. Pure.

What a vassal's file says is looked up here; what is SUPPORTED has a rule in
emperor.uwsgi.rules. To take up an option: move its name to a row of supported(), and
write the rule.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from emperor.uwsgi.rows import Known, Support
from emperor.uwsgi.table_application import APPLICATION
from emperor.uwsgi.table_control import CLUSTER, CONTROL, EMPEROR, FILES
from emperor.uwsgi.table_languages import LANGUAGES
from emperor.uwsgi.table_logs import LOGS, STATISTICS
from emperor.uwsgi.table_network import HTTP, SOCKETS, STATIC, TLS
from emperor.uwsgi.table_privileges import HOOKS, PRIVILEGES
from emperor.uwsgi.table_routers import FRONTS, ROUTING
from emperor.uwsgi.table_tasks import TASKS
from emperor.uwsgi.table_workers import HARAKIRI, LIMITS, RECYCLING, WORKERS

ROWS = (
    *APPLICATION,
    *SOCKETS,
    *HTTP,
    *TLS,
    *STATIC,
    *WORKERS,
    *HARAKIRI,
    *RECYCLING,
    *LIMITS,
    *PRIVILEGES,
    *HOOKS,
    *LOGS,
    *STATISTICS,
    *FILES,
    *CONTROL,
    *EMPEROR,
    *CLUSTER,
    *TASKS,
    *ROUTING,
    *FRONTS,
    *LANGUAGES,
)

KNOWN: Mapping[str, Known] = {row.name: row for row in ROWS}
"""Every option by its name."""


def counts(names: Iterable[str] = KNOWN) -> Mapping[Support, int]:
    """Return how many of the options have which verdict."""
    found = Counter(KNOWN[name].support if name in KNOWN else Support.UNKNOWN for name in names)
    return {support: found[support] for support in Support}
