"""The kernel's list of a process's children."""

from limits import kernel_files


def children(pid: int) -> list[int]:
    """Return the pids of the children of `pid`, which must have one thread; [] if it is gone.

    While others come or go some may be left out (proc(5)). Not psutil's children(): that
    reads every process of the host.
    """
    try:
        listing = kernel_files.read(f"/proc/{pid}/task/{pid}/children")
    except OSError:
        return []
    return [int(word) for word in listing.split()]
