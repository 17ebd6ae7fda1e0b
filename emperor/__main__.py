"""The command `emperor` as a process of its own."""

import signal
import sys

# Ctrl-C ends it at once, and from here on. KeyboardInterrupt would come anywhere: in the middle of
# an import it leaves a traceback or is lost, and inside msgspec it is a segmentation fault.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from emperor.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
