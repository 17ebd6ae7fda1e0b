"""What a master writes into its log when somebody asks for statistics. Pure."""

from collections.abc import Iterator

from vassal.messages import Description

ROWS_MAX = 64
"""The log is the tenant's own, and still nobody reads more."""


def lines(found: Description) -> Iterator[str]:
    """Yield a line for the vassal, and one for each thread of its workers."""
    totals = found.totals
    yield (
        f"event=statistics generation={found.generation} workers={len(found.workers)} "
        f"requests={totals.requests} exceptions={totals.exceptions} "
        f"harakiris={totals.harakiris} worker_deaths={totals.worker_deaths} "
        f"bytes_sent={totals.bytes_sent}"
    )
    for row in found.workers[:ROWS_MAX]:
        running = f" request={f'{row.method} {row.uri}'!r}" if row.uri else ""
        yield (
            f"event=worker_statistics slot={row.slot} worker={row.worker} pid={row.ns_pid} "
            f"state={row.state} requests={row.requests} exceptions={row.exceptions} "
            f"harakiris={row.harakiris} bytes_sent={row.bytes_sent} age_s={row.age_s:.0f}{running}"
        )
