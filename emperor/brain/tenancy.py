"""Decides what a tenant's own file may not have done for it by root. Pure but for `os.stat`.

The emperor binds sockets as root: without these rules a tenant could put one into any
folder, or take a port that belongs to the host.
"""

import os
import posixpath
import stat
from collections.abc import Callable

from emperor.config.identity import Identity
from emperor.config.problems import Problem
from emperor.config.settings import VassalSettings

FIRST_FREE_PORT = 1024


def refusals(
    settings: VassalSettings, identity: Identity, sockets_dir: str, file: str
) -> list[Problem]:
    """Return what a file that a tenant owns asks for and may not have."""
    problems = []
    for address in settings.addresses:
        key = "listen" if address in settings.listen else "stats"
        if address.is_abstract:
            # Bound by root, it would look like root's to whoever asks whose it is.
            problems.append(
                _problem(
                    file,
                    key,
                    f"{address.url}: abstract names are the host's",
                    f"write a path in a folder of {identity.user}'s, or in {sockets_dir}",
                )
            )
        elif address.path is not None:
            folder = posixpath.dirname(address.path)
            if folder != sockets_dir and not _may_write(folder, identity):
                problems.append(
                    _problem(
                        file,
                        key,
                        f"{address.url}: {identity.user} may not write in {folder}",
                        f"write a path in a folder of {identity.user}'s, or in {sockets_dir}",
                    )
                )
        elif address.port is not None and address.port < FIRST_FREE_PORT:
            problems.append(
                _problem(
                    file,
                    key,
                    f"{address.url}: ports below {FIRST_FREE_PORT} are the host's",
                    f"write a port from {FIRST_FREE_PORT}, or let root own the file",
                )
            )
    owner = settings.socket.user
    if owner is not None and owner != identity.user:
        problems.append(
            _problem(
                file,
                "socket.user",
                f"{identity.user}, who owns the file, may not give its socket to {owner}",
                "remove it, and let others in with socket.group or socket.mode",
            )
        )
    return problems


def far_sockets(
    settings: VassalSettings, is_far: Callable[[str], bool], sockets_dir: str, file: str
) -> list[Problem]:
    """Return which sockets a tenant's file has where somebody else has to answer for theirs.

    Everybody would wait for that whenever one is bound, given away or removed.
    """
    return [
        _problem(
            file,
            "listen" if address in settings.listen else "stats",
            f"{address.url}: that is on a file system that others serve",
            f"write a path on a local one, or in {sockets_dir}",
        )
        for address in settings.addresses
        if address.file is not None and is_far(address.file)
    ]


def may_write(status: os.stat_result, identity: Identity) -> bool:
    """Return whether the mode bits let the user make files in this folder."""
    if not stat.S_ISDIR(status.st_mode):
        return False
    if status.st_uid == identity.uid:
        return bool(status.st_mode & stat.S_IWUSR)
    if status.st_gid in (identity.gid, *identity.groups):
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)


def _may_write(folder: str, identity: Identity) -> bool:
    try:
        return may_write(os.stat(folder), identity)
    except OSError:
        return True  # binding says what is wrong with it


def _problem(file: str, key: str, problem: str, remedy: str) -> Problem:
    return Problem(file=file, line=1, key=key, problem=problem, remedy=remedy)
