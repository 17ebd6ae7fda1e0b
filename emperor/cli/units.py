"""Numbers as people read them. Pure."""


def duration(seconds: float) -> str:
    """Return the two largest units: "0.4s", "12s", "3m 12s", "2d 5h"."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def since(then: float, now: float) -> str:
    """Return how long ago the Unix time `then` was; "-" for 0, which means never."""
    return duration(now - then) if then else "-"


def counted(number: int, noun: str) -> str:
    """Return "1 request", "2 requests"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def size(size_bytes: int, one: str = "") -> str:
    """Return bytes with a binary unit, as vassal files write them: "48.2M"; `one` is that of less
    than a kibibyte."""
    amount = float(size_bytes)
    for unit in ("", "K", "M", "G"):
        if amount < 1024:
            return f"{amount:.1f}{unit}" if unit else f"{size_bytes}{one and ' ' + one}"
        amount /= 1024
    return f"{amount:.1f}T"
