"""Names attempts to serve, for which addresses are bound: "a/2" is generation 2 of the master "a",
"a" whatever that one builds first. Pure."""


def attempt_of(token: str, number: int) -> str:
    """Return what the attempt of a master to serve a generation is called."""
    return f"{token}/{number}"


def is_over(one: str, ended: str) -> bool:
    """Return whether the attempt `one` has come to its end with the attempt `ended`.

    All of a master's end with it, and of two of its generations only the later one can be under
    way.
    """
    token, _, number = one.partition("/")
    ended_token, _, ended_number = ended.partition("/")
    if token != ended_token or not ended_number:
        return token == ended_token
    return number != "" and int(number) <= int(ended_number)
