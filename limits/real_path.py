"""Where a path really leads: os.path.realpath, at the price of one system call for most.

Python looks at every folder on the way. Of a dozen paths of a birth, and of thousands of files
that an emperor reads as it starts, hardly one has a symbolic link on it.
"""

import os

from limits import mount_api


def real_path(path: str) -> str:
    """Return the absolute path without symbolic links; of what is not there, as far as it is."""
    if path.startswith("/") and os.path.normpath(path) == path and mount_api.has_no_link(path):
        return path
    return os.path.realpath(path)
