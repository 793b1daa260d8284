"""Versions of a key that did not know each other, and the rules that decide between them.

In: versions, rules by name or as functions. Out: what they come to. Must never: hide what a function raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Union, overload

from . import _core
from ._arguments import Bytes, names_of, whole


#: The context of a writer that had read nothing; b"" stands for it, too.
NOTHING_SEEN: bytes = _core.context_merge(b"", b"")


class Version(NamedTuple):
    """One write of a key, named for ever by node, incarnation and sequence. A deletion has no value."""

    value: bytes
    #: What its writer had read: bytes of a causal context.
    context: bytes = NOTHING_SEEN
    #: When its node stamped it: Stamp.packed.
    stamp: int = 0
    #: xxh3_64 of the name of the node.
    node: int = 0
    sequence: int = 1
    incarnation: int = 0
    deleted: bool = False

    def to_bytes(self) -> bytes:
        """The bytes of the version, which every language can read."""
        return _core.version_encode(*self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Version:
        """A version from its bytes, of any language."""
        return cls(*_core.version_decode(data))


def compare_contexts(left: bytes, right: bytes) -> str:
    """How a causal context stands to another: "equal", "before", "after" or "concurrent". Empty ones have seen nothing."""
    return _core.context_compare(left, right)


def merge_contexts(left: bytes, right: bytes) -> bytes:
    """The context that has seen what both have: that of a write which replaces two values."""
    return _core.context_merge(left, right)


#: A rule: the key and at least two versions, in the order of who wrote them, to a value, one of the versions, or None for a deletion.
Rule = Callable[[bytes, Sequence[Version]], Union[Bytes, Version, None]]
_Row = tuple[bytes, bytes, int, int, int, int, bool]


class Resolver(_core.Resolver):
    """A rule for versions that did not know each other. Made by `resolver()`; any number of threads may use it at once."""

    def resolve(self, key: Bytes, versions: Iterable[Version]) -> list[Version]:
        """What versions of a key come to: one, or several where the rule leaves the choice to the reader.

        Raises Error if a function could not decide; what it raised is the cause.
        """
        return [Version(*row) for row in self._resolve(key, [version.to_bytes() for version in versions])]

    def check(self, values: Iterable[Bytes], *, seed: int = 1, cases: int = 2000) -> str | None:
        """Searches for versions on which the rule breaks what every rule owes: the same result each time, in any order and
        grouping, and with repetitions. None if there were none, otherwise a text that shows the smallest."""
        return self._check(values, whole(seed, "seed"), whole(cases, "cases"))

    def __repr__(self) -> str:
        return f"<atoll.Resolver {self.name()}>"


class SiblingSet(_core.SiblingSet):
    """The writes of one key that stand side by side: none has seen another. One thread at a time.

    Two nodes that have taken in the same writes, in any order and however often, hold equal sets.

    >>> here, there = SiblingSet(), SiblingSet()
    >>> first = here.put(Version(b"seoul", stamp=1, node=1))
    >>> second = there.put(Version(b"busan", stamp=2, node=2))
    >>> here.apply(second); there.apply(first); here == there
    True
    >>> here.values()
    [b'seoul', b'busan']
    >>> [version.value for version in here.resolve(resolver("lww"), b"k")]
    [b'busan']
    >>> _ = here.put(Version(b"both", here.context, stamp=3, node=1, sequence=2)); here.values()
    [b'both']
    """

    def __new__(cls) -> SiblingSet:
        return cls._make()

    def put(self, version: Version) -> bytes:
        """A write of this node: replaces exactly what its context has seen; an empty context replaces nothing.

        The sequence must be new for its node and incarnation, the stamp above those it replaces, otherwise InvalidArgument. The bytes
        are for the other nodes, to apply().
        """
        return self._put(version.to_bytes())

    def apply(self, version: Version | bytes) -> None:
        """Takes in a write of another node. Order and repetition do not matter."""
        self._apply(version.to_bytes() if isinstance(version, Version) else version)

    def versions(self) -> list[Version]:
        """The versions, deletions too, in the order of who wrote them."""
        return [Version(*row) for row in self._rows()]

    def values(self) -> list[bytes]:
        """The values that stand side by side, in the order of who wrote them."""
        return [version.value for version in self.versions() if not version.deleted]

    def resolve(self, rule: Resolver, key: Bytes) -> list[Version]:
        """What a rule makes of the versions; the set is unchanged. As Resolver.resolve()."""
        return rule.resolve(key, self.versions())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SiblingSet) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<atoll.SiblingSet {self.values()!r}>"

    def __reduce__(self) -> tuple[Callable[[bytes], SiblingSet], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)


def _deciding(rule: Rule) -> Callable[[bytes, list[_Row]], Bytes | int | None]:
    def decide(key: bytes, rows: list[_Row]) -> Bytes | int | None:
        versions = [Version(*row) for row in rows]
        answer = rule(key, versions)
        for i, version in enumerate(versions):
            if answer is version:
                return i
        if answer is None or isinstance(answer, (bytes, str, bytearray, memoryview)):
            return answer
        raise TypeError(f"a rule gives bytes, str, one of the versions or None, not {answer!r}")

    return decide


@overload
def resolver(rule: str, *, nodes: Iterable[str] | None = None) -> Resolver: ...
@overload
def resolver(rule: Rule, *, name: str | None = None) -> Resolver: ...
def resolver(rule: str | Rule, *, name: str | None = None, nodes: Iterable[str] | None = None) -> Resolver:
    """A rule that is built in, by its name, or one of a function; also as a decorator.

    Built in: lww (the latest write), node_priority (with `nodes`, the most important first), fields, set_union, counter,
    max, min, siblings. A function must be deterministic, as every replica runs it, and give the same whatever versions were
    merged first: `check()` looks for where it does not.

    >>> @resolver
    ... def longest(key, versions):
    ...     return max(versions, key=lambda version: (len(version.value), version.value))
    >>> [version.value for version in longest.resolve(b"k", [Version(b"a", node=1), Version(b"abc", node=2)])]
    [b'abc']
    >>> resolver("max").name()
    'max'
    """
    if isinstance(rule, str):
        if name is not None:
            raise TypeError("a rule that is built in has its name")
        if nodes is None:
            return Resolver._builtin(rule)
        if rule != "node_priority":
            raise TypeError(f"the rule {rule!r} takes no nodes: node_priority does")
        return Resolver._priority(names_of(nodes, "nodes"))
    if nodes is not None:
        raise TypeError("a rule that is a function takes no nodes")
    if not callable(rule):
        raise TypeError(f"a rule is a name or a function, not {rule!r}")
    return Resolver._function(name if name is not None else getattr(rule, "__name__", "function"), _deciding(rule))
