"""`python -m emperor.brain`: started by the spawner, with its channel as descriptor 3."""

import sys

# Nothing here speaks TLS. aiohttp, which serves the control socket, would load the machine's
# certificates as it is imported: a fifth of the time until a killed brain steers again, and
# 3.7 MB. Without ssl it does without.
sys.modules["ssl"] = None  # type: ignore[assignment]

from emperor.brain.main import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main())
