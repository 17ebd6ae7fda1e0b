"""The passes over values: $(ENV), @(file), %(placeholder), as uwsgi_apply_config_pass. Pure.

All text is byte by byte.
"""

from collections.abc import Callable

VALUE_BYTES_MAX = 64 * 1024
ROUNDS_MAX = 1000
SCANNED_MAX = 1_000_000
"""Each round looks at the value from its beginning."""


class TooMuchError(ValueError):
    """A value that grows without end, or beyond all sense."""


def expand(value: str, symbol: str, hook: Callable[[str], str | None]) -> str:
    """Replace each SYMBOL(KEY) by what `hook` returns for KEY, and look again from the start.

    Where it returns None the text stays. Raises TooMuchError.
    """
    rounds = scanned = 0
    begin = 0
    while (found := _next(value, symbol, begin, hook)) is not None:
        start, end, text = found
        value = value[:start] + text + value[end:]
        rounds += 1
        scanned += len(value)
        if rounds > ROUNDS_MAX or scanned > SCANNED_MAX or len(value) > VALUE_BYTES_MAX:
            raise TooMuchError(f"{symbol}(…) does not come to an end")
        begin = 1  # as there: the first character is not looked at again
    return value


def _next(
    value: str, symbol: str, begin: int, hook: Callable[[str], str | None]
) -> tuple[int, int, str] | None:
    """Return where the first reference that can be replaced is, and what comes there."""
    count = 0  # 1 = behind the symbol, from 2 on = behind the bracket
    depth = 0
    key_at = 0
    for at in range(begin, len(value)):
        char = value[at]
        if char == symbol:
            count = 1
        elif char == "(" and count == 1:
            count, depth, key_at = 2, 0, at + 1
        elif count > 1:
            if char == "(":
                depth += 1
            elif char == ")":
                if depth == 0:
                    text = hook(value[key_at : key_at + count - 2]) if count > 2 else None
                    if text is not None:
                        return key_at - 2, key_at + count - 1, text
                    count = 0
                    continue
                depth -= 1
            count += 1
        else:
            count = 0
    return None


def computed(key: str, get: Callable[[str], str | None]) -> str | None:
    """Return what %(KEY) is: an option's first value, or arithmetic from left to right.

    Neighbours are joined: %(a b + 3) is the number ab, and three.
    """
    if " " not in key:
        return get(key)
    current: str | None = None
    sign = ""
    for token in key.split(" "):
        if not token:
            continue
        if token in ("+", "-", "*", "/"):
            sign = token
            continue
        if token in ("++", "--"):
            if current is not None:
                current = str(_wrapped(_number(current) + (1 if token == "++" else -1)))
            sign = ""
            continue
        value = token if _is_number(token) else get(token) or ""
        if sign:
            current = str(_reckoned(sign, _number(current or ""), _number(value)))
        else:
            current = (current or "") + value
            if len(current) > VALUE_BYTES_MAX:
                raise TooMuchError("%(…) does not come to an end")
        sign = ""
    return current


def _reckoned(sign: str, left: int, right: int) -> int:
    if sign == "+":
        return _wrapped(left + right)
    if sign == "-":
        return _wrapped(left - right)
    if sign == "*":
        return _wrapped(left * right)
    if right == 0:
        return 0
    quotient = abs(left) // abs(right)
    return _wrapped(quotient if (left < 0) == (right < 0) else -quotient)


def _number(text: str) -> int:
    """Return what strtoll makes of it."""
    text = text.lstrip(" \t\n\v\f\r")
    sign = -1 if text[:1] == "-" else 1
    digits = ""
    for char in text[1:] if text[:1] in ("+", "-") else text:
        if char not in "0123456789":
            break
        digits += char
        if len(digits) > 19:
            break
    most = (1 << 63) - 1
    return max(-most - 1, min(most, sign * int(digits or "0")))


def _wrapped(number: int) -> int:
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _is_number(text: str) -> bool:
    return bool(text) and all(char in "0123456789" for char in text)
