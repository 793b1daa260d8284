"""Typed keys as bytes, the same in every language and in SQL, and back.

In: bytes, texts, integers, UUIDs, tuples of them. Out: bytes whose order is theirs. Must never: make one key of two different ones.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Iterator
from typing import Any, Union

from . import _core
from ._errors import InvalidArgument

#: What encode_key() takes.
Key = Union[bytes, bytearray, memoryview, str, int, uuid.UUID, tuple["Key", ...]]

_BYTES, _TEXT, _INT, _UUID, _BEGIN, _END = range(6)
_DEEPEST = 32
_Part = tuple[int, int, bytes]


def _part(key: Any) -> _Part:
    if isinstance(key, bool):
        raise InvalidArgument("a bool is no key: say which integer is meant")
    if isinstance(key, (bytes, bytearray, memoryview)):
        return _BYTES, 0, bytes(key)
    if isinstance(key, str):
        return _TEXT, 0, key.encode()
    if isinstance(key, uuid.UUID):
        return _UUID, 0, key.bytes
    try:
        number = operator.index(key)
    except TypeError:
        raise TypeError(f"a key is bytes, str, int, UUID or a tuple of them, not {key!r}") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise InvalidArgument(f"{number} does not fit into 64 bits")
    return _INT, number, b""


def _parts(key: tuple[Any, ...], depth: int = 0) -> Iterator[_Part]:
    """The parts of a tuple, with those of tuples within it between their begin and end."""
    if depth > _DEEPEST:
        raise InvalidArgument(f"a key has at most {_DEEPEST} tuples within each other")
    for one in key:
        if isinstance(one, tuple):
            yield _BEGIN, 0, b""
            yield from _parts(one, depth + 1)
            yield _END, 0, b""
        else:
            yield _part(one)


def encode_key(key: Key, *, encoding: str = "binary") -> bytes:
    """The bytes of a typed key, as they are stored and routed: the same in every language and in SQL.

    Integers of up to 64 bits keep their order; `encoding="decimal"` makes them their decimal text. A tuple is ordered
    part by part, tuples within it too, and differs from its only part.

    >>> encode_key(42).hex()
    '800000000000002a'
    >>> decode_key(encode_key(("user", (42, b"x"))))
    ('user', (42, b'x'))
    """
    try:
        number = {"binary": 0, "decimal": 1}[encoding]
    except (KeyError, TypeError):
        raise InvalidArgument(f"there is no key encoding {encoding!r}: it is 'binary' or 'decimal'") from None
    if isinstance(key, tuple):
        return _core.encode_key(list(_parts(key)), number, True)
    return _core.encode_key([_part(key)], number, False)


def decode_key(key: bytes) -> tuple[Any, ...]:
    """The tuple that encode_key() made a key of. Other keys do not say what they were: InvalidArgument or nonsense."""
    open_tuples: list[list[Any]] = [[]]
    for kind, number, data in _core.decode_key(key):
        if kind == _BEGIN:
            open_tuples.append([])
        elif kind == _END:
            inner = tuple(open_tuples.pop())
            open_tuples[-1].append(inner)
        elif kind == _INT:
            open_tuples[-1].append(number)
        elif kind == _TEXT:
            open_tuples[-1].append(data.decode())
        else:
            open_tuples[-1].append(uuid.UUID(bytes=data) if kind == _UUID else data)
    return tuple(open_tuples[0])
