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


class Tick(NamedTuple):
    """A stamp that a clock has given."""

    #: Stamp.packed.
    packed: int
    #: 0, or a mark that must be durable before the stamp leaves the process.
    persist: int
    #: By how much the stamp is ahead of the wall clock, in milliseconds: 0 in health.
    ahead_ms: int


class HybridClock(_core.HybridClock):
    """The clock of a node that stamps writes: never back, and never far from the wall clock. Any number of threads may use it at once.

    `mark` is the last one that send() or observe() told to persist: every stamp from now on is above it. A peer more than `max_skew_ms`
    ahead is set aside; a mark is due every `reserve_ms`, which must be less.

    >>> clock = HybridClock()
    >>> first = clock.send(1000)
    >>> clock.send(400).packed > first.packed  # the wall clock has been set back
    True
    >>> clock.observe(20_000 << 16, 1000) is None  # a peer that is far ahead
    True
    """

    def __new__(cls, mark: int = 0, *, max_skew_ms: int = 500, reserve_ms: int = 200) -> HybridClock:
        return cls._make(mark, max_skew_ms, reserve_ms)

    def send(self, wall_ms: int | None = None) -> Tick:
        """Stamps an event of this node: later than every stamp given or observed. None: the clock of this machine."""
        return Tick(*self._send(wall_ms))

    def observe(self, packed: int, wall_ms: int | None = None) -> int | None:
        """Joins the stamp of a peer; a mark to persist, or 0. None: it is too far ahead, the clock is untouched, and what carries it
        is to be set aside."""
        return self._observe(wall_ms, packed)

    @property
    def last(self) -> int:
        """The last stamp given or observed."""
        return self._last()[0]

    @property
    def mark(self) -> int:
        """The mark that must be durable by now."""
        return self._last()[1]
