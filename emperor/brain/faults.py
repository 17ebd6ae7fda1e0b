"""Tells of faults of our own.

What nobody thought of, and one vassal's file or folder brings out, costs that vassal something and
the emperor a line in its log, but no other vassal anything.
"""

import traceback

TAIL_CHARACTERS = 1500

REMEDY = "this is a fault of emperord: report it with the line event=fault of its log"


def fault_fields(error: Exception, doing: str) -> dict[str, object]:
    """Return what the event `fault` says of an exception that was not to be raised."""
    told = "".join(traceback.format_exception(error))
    return {"doing": doing, "error": repr(error), "traceback": told[-TAIL_CHARACTERS:]}
