"""Says what a tenant's file does not get to see: homes of the host that are other people's."""

from emperor.config.problems import Problem
from emperor.config.settings import Remark, VassalSettings
from limits.real_path import real_path

_REMEDY = (
    "name a folder of {user}'s, let the provider own the file, or show it to the owner by "
    'bind_read_only_paths = ["{path}"] under [plan.….sandbox] in the emperor\'s file'
)


def explain(
    settings: VassalSettings, user: str, paths: tuple[str, ...], file: str
) -> tuple[Problem | None, tuple[Remark, ...]]:
    """Return why the file cannot be used, if its `directory` is among the withheld `paths`; and
    what is to be said of the others, without which the application may do."""
    directory = real_path(settings.directory)
    if directory in paths:
        problem = Problem(
            file=file,
            line=1,
            key="directory",
            problem=f"{directory} is, or leads to, homes that are not {user}'s",
            remedy=_REMEDY.format(user=user, path=directory),
        )
        return problem, ()
    return None, tuple(
        Remark(
            key="sandbox.protect_home",
            reason=f"{path} is, or leads to, homes that are not {user}'s, and is not shown: "
            + _REMEDY.format(user=user, path=path),
        )
        for path in paths
    )
