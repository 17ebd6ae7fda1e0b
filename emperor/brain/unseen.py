"""Says which folders that a file serves from its vassal will not see: they are in one that is the
emperor's own, or that the file itself hides.
"""

import os
from collections.abc import Collection, Iterator

from emperor.brain.binds import binds_of
from emperor.brain.release_links import BY_EMPEROR, hidden_by
from emperor.config.application import is_file, seen_from
from emperor.config.problems import Problem
from emperor.config.settings import Remark, VassalSettings
from limits.facts import HostFacts
from limits.landlock import ABI_MIN, LandlockRules
from limits.layout import Layout
from limits.mounts import is_below
from limits.real_path import real_path


def unseen(
    settings: VassalSettings,
    layout: Layout,
    facts: HostFacts,
    by_tenant: bool,
    withheld: Collection[str],
    file: str,
) -> tuple[list[Problem], tuple[Remark, ...]]:
    """Return why the file cannot be used, if code is not seen; and what is to be said of static
    files, without which the application may do. Of `withheld` folders that is said already."""
    problems = [
        Problem(
            file=file,
            line=1,
            key=key,
            problem=f"the vassal cannot see {path}: {reason}",
            remedy=_remedy(reason, os.path.dirname(path), by_tenant),
        )
        for key, path in _code(settings)
        if real_path(os.path.dirname(path)) not in withheld
        and (reason := _hidden(path, settings, layout, facts))
    ]
    remarks = tuple(
        Remark(key=key, reason=f"{path} is not seen: {reason}; {_remedy(reason, path, by_tenant)}")
        for key, path in _static(settings)
        if real_path(path) not in withheld and (reason := _hidden(path, settings, layout, facts))
    )
    return problems, remarks


def _code(settings: VassalSettings) -> Iterator[tuple[str, str]]:
    apps = [("app", settings.app), *(("mounts", app) for app in settings.mounts.values())]
    for key, app in apps:
        path = seen_from(app, settings.directory).partition(":")[0]
        if is_file(path):
            yield key, path


def _static(settings: VassalSettings) -> Iterator[tuple[str, str]]:
    yield from (("static", path) for path in settings.static.values())
    yield from (("check_static", path) for path in settings.check_static)


def _hidden(path: str, settings: VassalSettings, layout: Layout, facts: HostFacts) -> str | None:
    """Return what hides a path of the host, for people; None = nothing. Whether it exists is not
    looked at: it would tell tenants what is in folders that they cannot enter."""
    if binds_of(settings.sandbox).are_at(path):
        return None
    path, rules = real_path(path), layout.workload.landlock
    if rules is not None and rules.hidden:  # it stands in for a root that this host cannot give
        return _hidden_by_landlock(path, rules) if facts.landlock_abi >= ABI_MIN else None
    root = layout.birth.root
    if root is None or root.base != "/":
        return None
    return hidden_by(path, root)


def _hidden_by_landlock(path: str, rules: LandlockRules) -> str | None:
    marks = dict.fromkeys(rules.visible, True) | dict.fromkeys(rules.hidden, False)
    around = [one for one in marks if path == one or is_below(path, one)]
    nearest = max(around, key=len, default=None)
    return None if nearest is None or marks[nearest] else f"{nearest} is hidden by Landlock"


def _remedy(reason: str, folder: str, by_tenant: bool) -> str:
    if not reason.endswith(BY_EMPEROR):
        return "keep it elsewhere, or hide less"
    where = "under [plan.….sandbox] in the emperor's file" if by_tenant else "under [sandbox]"
    return f'keep it elsewhere, or write bind_read_only_paths = ["{folder}"] {where}'
