"""The master: one per vassal, never imports tenant code, kills on time."""
