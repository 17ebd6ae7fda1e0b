"""The spawner: main process of the unit. Forks and reaps; parses nothing, never dies."""
