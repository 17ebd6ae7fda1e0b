"""Which options of uWSGI change what runs, without new processes. Pure.

uwsgi.opt tells the application of them, so a change of any other builds a generation.
"""

LIVE = frozenset({"limit-as", "limit-nproc", "max-fd"})
"""Those that become resource limits, and nothing else."""
