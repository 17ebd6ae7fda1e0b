"""Turns a vassal's settings into what its master needs: a confinement and a generation.

Pure but for the interpreter, which the caller has chosen.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from emperor.brain.digest import digest
from emperor.config.identity import Identity
from emperor.config.settings import ListenAddress, VassalSettings
from emperor.uwsgi.live import LIVE
from limits.cgroups.writes import CgroupPlan
from limits.confinement import Confinement
from limits.directives import Limits, Subject
from limits.layout import Layout
from vassal.generation import AccessLog, Generation, Health, Listener, LogSettings

NOTHING: Mapping[str, str] = {}
NO_CGROUP = CgroupPlan((), ())
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One valid vassal file, ready to run. The digests tell what a change of it needs."""

    path: str  # of its file
    settings: VassalSettings
    identity: Identity
    subject: Subject
    confinement: Confinement
    generation: Generation  # number and fingerprint still to be filled in
    generation_digest: str
    birth_digest: str
    limits_digest: str
    cgroup: CgroupPlan = NO_CGROUP  # as the host's disks were when the file was read


class Logs(NamedTuple):
    """Where a vassal's lines go, as LogSettings has it."""

    target: str
    requests: str = ""
    own: str = ""


def build(
    path: str,
    settings: VassalSettings,
    identity: Identity,
    python: str,
    logs: Logs,
    lang: str,
    subject: Subject,
    layout: Layout,
    inherited: Mapping[str, str] = NOTHING,
    cgroup: CgroupPlan = NO_CGROUP,
) -> Spec:
    """Return the spec of a vassal that runs as `identity` in the interpreter `python`.

    `inherited` is of its environment what counts least.
    """
    env = {**inherited, **environment(settings, identity, python, lang)}
    generation = _generation(settings, identity, python, logs, env, layout.workload)
    return Spec(
        path=path,
        settings=settings,
        identity=identity,
        subject=subject,
        confinement=layout.birth,
        generation=generation,
        # Who may connect is seen to when a generation is born.
        generation_digest=digest((_without_limits(generation), settings.socket, settings.backlog)),
        # A master moves to another customer's cgroup as it is born: it cannot move later.
        birth_digest=digest((layout.birth, subject.customer)),
        limits_digest=digest((_without_slice(settings.limits), _egress(settings))),
        cgroup=cgroup,
    )


def _without_slice(limits: Limits) -> Limits:
    return msgspec.structs.replace(limits, slice=None)


def _egress(settings: VassalSettings) -> tuple[object, ...]:
    """Return what of the sandbox belongs to the cgroup, and changes with the limits."""
    sandbox = settings.sandbox
    return sandbox.network, sandbox.ip_address_allow, sandbox.ip_address_deny


def _generation(
    settings: VassalSettings,
    identity: Identity,
    python: str,
    logs: Logs,
    env: dict[str, str],
    confinement: Confinement,
) -> Generation:
    jitter = settings.max_requests_jitter
    return Generation(
        vassal=settings.name,
        number=0,
        fingerprint="",
        app=settings.app,
        mounts=settings.mounts,
        static=settings.static,
        static_index=settings.static_index,
        check_static=settings.check_static,
        directory=settings.directory,
        python=python,
        pythonpath=settings.pythonpath,
        env=env,
        workers=settings.workers.max,
        workers_min=settings.workers.min,
        workers_initial=settings.workers.initial,
        workers_step=settings.workers.step,
        threads=settings.threads,
        listeners=tuple(_listener(address) for address in settings.listen),
        stats_requests=settings.stats_requests,
        stats=tuple(_listener(address) for address in settings.stats),
        harakiri_s=settings.harakiri,
        harakiri_max_s=settings.harakiri_max,
        harakiri_soft_s=settings.harakiri_soft,
        spawn_timeout_s=settings.spawn_timeout,
        lazy_apps=settings.lazy_apps,
        worker_cpus=settings.worker_cpus,
        exec_start_pre=settings.exec_start_pre,
        exec_start_post=settings.exec_start_post,
        exec_stop_post=settings.exec_stop_post,
        stop_timeout_s=settings.stop_timeout,
        socket_timeout_s=settings.socket_timeout,
        keepalive_timeout_s=settings.keepalive_timeout,
        max_requests=settings.max_requests,
        max_requests_jitter=settings.max_requests // 10 if jitter is None else jitter,
        max_worker_lifetime_s=settings.max_worker_lifetime,
        reload_on_rss_bytes=settings.reload_on_rss,
        reload_on_as_bytes=settings.reload_on_as,
        autoreload_s=settings.autoreload,
        head_bytes_max=settings.max_head,
        body_bytes_max=settings.max_body,
        max_unavailable=settings.max_unavailable,
        settle_s=settings.health.settle,
        health=_health(settings),
        procname=settings.procname or "",
        uwsgi_api=settings.uwsgi_api,
        uwsgi_options=settings.uwsgi_options,
        pidfile=settings.pidfile or "",
        on_demand=settings.on_demand,
        fifo=settings.fifo,
        signals=settings.signals,
        access_log=_access_log(settings),
        idle_stop_s=settings.idle_stop if settings.on_demand else 0.0,
        confinement=confinement,
        memory_max_bytes=max(0, settings.limits.memory_max or 0),
        log=LogSettings(
            target=logs.target,
            own=logs.own,
            # Two that rotate one file would lose lines of one another.
            requests=logs.requests if logs.requests != logs.target else "",
            date=settings.log.date,
            max_bytes=settings.log.max_bytes,
            keep=settings.log.keep,
            lines_per_second=settings.log.lines_per_second,
        ),
    )


def _access_log(settings: VassalSettings) -> AccessLog | None:
    log = settings.access_log
    if log is None:
        return None
    return AccessLog(
        format=log.format, log_4xx=log.log_4xx, log_5xx=log.log_5xx, log_slow_s=log.log_slow
    )


def _health(settings: VassalSettings) -> Health | None:
    health = settings.health
    if health.path is None:
        return None
    host = health.host or next(iter(settings.hosts), "localhost")
    return Health(path=health.path, host=host, expect=health.expect, timeout_s=health.timeout)


def environment(
    settings: VassalSettings, identity: Identity, python: str, lang: str
) -> dict[str, str]:
    """Return the environment of the mold, in which nothing of the emperor's own is."""
    base = {
        "PATH": PATH,
        "HOME": identity.home,
        "USER": identity.user,
        "LOGNAME": identity.user,
        "SHELL": identity.shell,
        "LANG": lang,
        "EMPEROR_VASSAL": settings.name,
    }
    if settings.python is not None and python.endswith("/bin/python"):
        root = python.removesuffix("/bin/python")
        base |= {"VIRTUAL_ENV": root, "PATH": f"{root}/bin:{PATH}"}
    return base | settings.env


def _listener(address: ListenAddress) -> Listener:
    return Listener(
        key=address.key,
        url=address.url,
        protocol=address.protocol,
        host=address.host,
        port=address.port or 0,
    )


def _without_limits(generation: Generation) -> Generation:
    """Return the generation without what can be changed while it runs."""
    confinement = msgspec.structs.replace(generation.confinement, rlimits={})
    options = tuple(pair for pair in generation.uwsgi_options if pair[0] not in LIVE)
    return msgspec.structs.replace(
        generation, confinement=confinement, memory_max_bytes=0, uwsgi_options=options
    )
