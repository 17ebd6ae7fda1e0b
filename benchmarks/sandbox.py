"""What the strict default costs: at the start of a vassal, and in every request.

Two emperors of ours side by side, one of which starts its vassals with everything off.
"""

import statistics
from functools import partial

from benchmarks.client import wait_for_answer
from benchmarks.deploy import drop_and_time
from benchmarks.load import wrk
from benchmarks.report import Row, Target
from benchmarks.servers import Application, Ours
from tests.support.ports import free_port

OFF = """[sandbox]
private_pids = false
private_ipc = false
private_tmp = false
private_devices = false
protect_system = "no"
protect_home = "no"
protect_proc = "default"
protect_hostname = false
protect_control_groups = false
protect_kernel_tunables = false
protect_kernel_modules = false
protect_kernel_logs = false
protect_clock = false
lock_personality = false
restrict_namespaces = false
restrict_realtime = false
restrict_suid_sgid = false
restrict_address_families = []
keyring_mode = "inherit"
system_call_filter = []
ip_address_deny = []
landlock = false
"""


def run(quick: bool) -> list[Row]:
    rounds, seconds = (3, 1.0) if quick else (25, 2.0)
    starts: tuple[list[float], list[float]] = ([], [])
    rates: tuple[list[float], list[float]] = ([], [])
    with Ours() as strict, Ours(OFF) as off:
        pair = (strict, off)
        for one in pair:
            one.start()
        order = [0, 1]
        for _ in range(rounds):
            for index in order:
                starts[index].append(drop_and_time(pair[index]) * 1000)
            order.reverse()
        loads = []
        for one in pair:
            port = free_port()
            app = Application(name="hello", module="hello", http=("127.0.0.1", port))
            one.drop(app)
            wait_for_answer(app.http)
            loads.append(partial(wrk, port, keepalive=False))
        for _ in range(rounds):
            for index in order:
                rates[index].append(loads[index](seconds).per_second)
            order.reverse()
    # Medians of differences: neighbours in time share what the machine did then.
    added = [one - other for one, other in zip(*starts, strict=True)]
    ratios = [one / other for one, other in zip(*rates, strict=True)]
    return [
        Row(
            what=f"strict default adds to a start, median of {rounds}",
            unit="ms",
            values={"emperord": statistics.median(added)},
            samples={"strict": starts[0], "off": starts[1]},
            targets=[Target(bound=10)],
            digits=1,
        ),
        Row(
            what="requests/s with the strict default : without",
            unit="ratio",
            values={"emperord": statistics.median(ratios)},
            samples={"strict": rates[0], "off": rates[1]},
            targets=[Target(bound=0.98, at_least=True)],
            digits=3,
        ),
    ]
