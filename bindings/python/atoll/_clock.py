"""Vector clocks, and the time stamps of nodes.

In: names of nodes, counts, milliseconds; texts and bytes of any language. Out: the same, and who came first. Must never: take a count
for another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from . import _core
from ._arguments import whole
from ._errors import InvalidArgument


class VectorClock(_core.VectorClock):
    """For each node the number of its writes that are known.

    >>> a, b = VectorClock({"A": 1}), VectorClock({"B": 1})
    >>> a.compare(b)
    'concurrent'
    >>> a.merge(b); a.tick("A"); str(a)
    2
    '{"A":2,"B":1}'
    """

    def __new__(cls, counts: Mapping[str, int] | str | None = None) -> VectorClock:
        if isinstance(counts, str):
            return cls._from_text(counts)
        if counts is None:
            counts = {}
        if not isinstance(counts, Mapping):
            raise TypeError(f"a clock is made of {{node: count}} or its text, not of {counts!r}")
        for node, count in counts.items():
            if not isinstance(node, str):
                raise TypeError(f"the name of a node is a str, not {node!r}")
            if whole(count, "a count") < 0:
                raise InvalidArgument(f"the count of {node!r} cannot be {count}")
        return cls._from_text(json.dumps({node: whole(count, "a count") for node, count in counts.items()}))

    def to_dict(self) -> dict[str, int]:
        """The counts that are not 0."""
        counts: dict[str, int] = json.loads(str(self))
        return counts

    def __getitem__(self, node: str) -> int:
        return self.get(node)

    def __repr__(self) -> str:
        return f"VectorClock({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VectorClock) and self.compare(other) == "equal"

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Callable[[bytes], VectorClock], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)


def compare_stamps(left: bytes, right: bytes) -> int:
    """-1, 0 or 1, as a stamp in its bytes comes before, with or after another: by time, then by the bytes of the names."""
    return _core.hlc_compare(left, right)


class Stamp(NamedTuple):
    """A time stamp of a hybrid logical clock: packed milliseconds and counter, then the node. Sorts by time, then by name.

    >>> stamp = Stamp.at(1_700_000_000_123, 7, "n1")
    >>> str(stamp), stamp.wall_ms, stamp.counter
    ('2023-11-14T22:13:20.123Z/0007@n1', 1700000000123, 7)
    >>> Stamp.from_bytes(stamp.to_bytes()) == stamp == Stamp.from_text(str(stamp))
    True
    """

    packed: int
    node: str

    @classmethod
    def at(cls, wall_ms: int, counter: int, node: str) -> Stamp:
        """The stamp of a millisecond since 1970 (48 bits) and a counter within it (16 bits)."""
        stamp = cls(_core.hlc_pack(wall_ms, counter), node)
        stamp.to_bytes()
        return stamp

    @classmethod
    def from_text(cls, text: str) -> Stamp:
        """A stamp from 2026-11-23T02:00:00.123Z/0007@node, and from nothing else."""
        return cls(*_core.hlc_from_text(text))

    @classmethod
    def from_bytes(cls, data: bytes) -> Stamp:
        """A stamp from its bytes, of any language."""
        return cls(*_core.hlc_decode(data))

    @property
    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.packed >> 16

    @property
    def counter(self) -> int:
        """Which of the stamps of its millisecond it is."""
        return self.packed & 0xFFFF

    def to_bytes(self) -> bytes:
        """The bytes of the stamp, which every language can read."""
        return _core.hlc_encode(self.packed, self.node)

    def __str__(self) -> str:
        return _core.hlc_to_text(self.packed, self.node)
