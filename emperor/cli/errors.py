"""How a command ends: the exit statuses, and what is said before."""

DONE = 0
FAILED = 1
USAGE = 2
NO_EMPEROR = 3


class UsageError(Exception):
    """The command line cannot be carried out as it stands."""
