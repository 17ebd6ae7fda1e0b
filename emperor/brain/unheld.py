"""Listeners of a master in the foreground, which has no spawner."""

from emperor.brain.listeners import Listeners


def unheld() -> Listeners:
    """Return listeners that no spawner holds: they end with this process."""
    return Listeners(
        hold=lambda key, vassal, fd: None,
        drop=lambda key: None,
        keep=lambda attempts: None,
        is_wanted=lambda vassal: True,
        is_known=lambda vassal: True,
        asks=lambda vassal, key: False,
        leaves=lambda vassal, key: False,
        freed=lambda vassal: None,
        lives=lambda token: False,
        wanting=lambda key, uid, refused: (),
    )
