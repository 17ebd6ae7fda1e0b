"""The emperor: watches vassal files, decides what must run, and tells the spawner."""

__version__ = "0.1.0.dev0"
