"""`python -m emperor.brain`: started by the spawner, with its channel as descriptor 3."""

from emperor.brain.main import main

if __name__ == "__main__":
    raise SystemExit(main())
