"""What arguments of all kinds have in common: bytes, times, options as texts.

In: what a program gives. Out: what the C half takes. Must never: round, wrap or guess; what is not clear is refused.
"""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex, Union

from ._errors import InvalidArgument

#: What keys and values may be given as.
Bytes = Union[bytes, str, bytearray, memoryview]

REVERSE, PREFIX = 1, 2
_DURABILITIES = {"buffered": 0, "synced": 1}
_LONGEST_MS = (1 << 63) - 1


def durability_of(name: str) -> int:
    try:
        return _DURABILITIES[name]
    except (KeyError, TypeError):
        raise InvalidArgument(f"durability {name!r} does not exist: it is 'buffered' or 'synced'") from None


def whole(value: SupportsIndex, what: str) -> int:
    """An int, or what stands for one; a bool is one by accident, and a float never."""
    if isinstance(value, bool):
        raise TypeError(f"{what} must be a whole number, not {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, not {value!r}") from None


def ttl_ms(seconds: float | None) -> int:
    """Seconds as whole milliseconds, at least one; 0 for None."""
    if seconds is None:
        return 0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"ttl must be a number of seconds, not {seconds!r}")
    if not 0 < seconds * 1000 <= _LONGEST_MS:
        raise InvalidArgument(f"a value cannot live for {seconds!r} seconds")
    return max(1, round(seconds * 1000))


def text_of(value: object) -> str:
    """An option's value as the engine reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise TypeError(f"an option is a str, an int or a bool, not {value!r}")


def range_of(
    start: Bytes | None, end: Bytes | None, prefix: Bytes | None, limit: int | None, reverse: bool
) -> tuple[Bytes | None, Bytes | None, int, int]:
    flags = REVERSE if reverse else 0
    if prefix is not None:
        if start is not None or end is not None:
            raise InvalidArgument("give a prefix, or start and end")
        start, flags = prefix, flags | PREFIX
    if limit is None:
        return start, end, flags, 0
    limit = whole(limit, "limit")
    if limit < 0:
        raise InvalidArgument(f"limit {limit} is negative")
    if limit == 0:
        # The engine's 0 means "no limit": an empty range shows nothing.
        start, end, flags = b"", b"", flags & ~PREFIX
    return start, end, flags, limit


def names_of(names: Any, what: str) -> list[str]:
    """A list of names; one str is not one, although its letters could be."""
    if isinstance(names, (str, bytes)):
        raise TypeError(f"{what} is a list of names, not the one {names!r}")
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{what} is a list of names, and {name!r} is none")
    return found
