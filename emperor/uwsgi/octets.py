"""Text of which every character is one byte: uWSGI's rules are about bytes. Pure.

Inside, a file is such text; what leaves is proper text again.
"""


def inner(text: str) -> str:
    """Return proper text byte by byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def outer(text: str) -> str:
    """Return proper text of text that is byte by byte."""
    return text.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
