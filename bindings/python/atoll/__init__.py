"""Atoll: a sharded, replicated key-value engine that lives inside your program.

>>> import atoll, tempfile
>>> db = atoll.open(tempfile.mkdtemp())
>>> db[b"k"] = b"v"
>>> db.get("k")
b'v'
>>> with db.batch() as b:
...     b.put(b"a", b"1")
...     b.delete(b"k")
>>> list(db.scan())
[(b'a', b'1')]
>>> db.close()

Keys and values are bytes; a str means its UTF-8 bytes. Every object may be used from several threads; those
that serve one call at a time (batches, transactions, scans) raise `atoll.Busy` instead of racing.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, Union, overload

from . import _core
from ._errors import (
    AllNodesFailed,
    Busy,
    Closed,
    Conflict,
    Corrupt,
    CrossSlot,
    DiskFull,
    Error,
    Forked,
    Indeterminate,
    InvalidArgument,
    Locked,
    NotPrimary,
    StaleEpoch,
    TooOld,
    Unavailable,
    WriteLost,
)

__version__: str = _core.version()

__all__ = [
    "AllNodesFailed", "Approximate", "Batch", "Busy", "Closed", "Cluster", "Conflict", "Corrupt", "CrossSlot", "DiskFull",
    "Error", "Forked", "Indeterminate", "InvalidArgument", "Locked", "NotPrimary", "Option", "Router", "Session", "Snapshot",
    "StaleEpoch", "Store", "TooOld", "Transaction", "Unavailable", "VectorClock", "WriteLost", "encode_key",
    "merge_tokens", "open", "open_cluster", "options",
]  # fmt: skip

#: What keys and values may be given as.
Bytes = Union[bytes, str, bytearray, memoryview]
#: What encode_key() takes.
Key = Union[bytes, str, int, uuid.UUID, tuple["Key", ...]]
T = TypeVar("T")

_DURABILITIES = {"buffered": 0, "synced": 1}
_REVERSE, _PREFIX = 1, 2


def _durability(name: str) -> int:
    try:
        return _DURABILITIES[name]
    except KeyError:
        raise InvalidArgument(f"durability {name!r} does not exist: it is 'buffered' or 'synced'") from None


def _ttl_ms(seconds: float | None) -> int:
    """Seconds as whole milliseconds, at least one."""
    if seconds is None:
        return 0
    if not seconds > 0:
        raise InvalidArgument(f"a value cannot live for {seconds!r} seconds")
    return max(1, round(seconds * 1000))


def _text(value: object) -> str:
    """An option's value as the engine reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Option(NamedTuple):
    """One option of stores or clusters."""

    scope: str
    name: str
    unit: str
    default: str
    min: str | None
    max: str | None
    doc: str


def options() -> list[Option]:
    """Every option there is, with its unit, default, bounds and what it does."""
    return [Option(*row) for row in _core.options()]


class Approximate(NamedTuple):
    """About how much a range holds; the errors hold in about 19 of 20 cases, 0 means counted."""

    records: int
    bytes: int
    records_error: int
    bytes_error: int


def open(path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False, **settings: object) -> Store:
    """Opens the store in a directory, and makes it if it is not there and `create` is true.

    `read_only` opens it beside the process that writes it, and follows what that does. Every option of
    `atoll.options()` is a keyword: `open("data", segment_max_bytes="16MiB", compaction="manual")`.

    Raises Locked if another process writes it, Corrupt, DiskFull, InvalidArgument, Error.
    """
    if read_only and settings:
        raise InvalidArgument(f"a store that is opened read_only takes no options: {', '.join(settings)}")
    texts = {name: _text(value) for name, value in settings.items()}
    texts["create"] = _text(create)
    return Store._open(os.fsdecode(path), texts, read_only)


class Snapshot(_core.Snapshot):
    """A store as it was. A context manager; what it shows is kept until it is released."""

    _store: Store

    def get(self, key: Bytes, default: T | None = None) -> bytes | T | None:
        """The value of a key as it was then."""
        return self._store._get_at(key, self, default)

    def get_many(self, keys: Iterable[Bytes]) -> list[bytes | None]:
        """The values of many keys as they were then, in the order of the keys."""
        return self._store._get_many(keys, self)

    def __getitem__(self, key: Bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: Bytes) -> bool:
        return self.get(key) is not None

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """As Store.scan(), of the store as it was then."""
        return self._store._scan(*_range(start, end, prefix, limit, reverse), False, self)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def _range(
    start: Bytes | None, end: Bytes | None, prefix: Bytes | None, limit: int | None, reverse: bool
) -> tuple[Bytes | None, Bytes | None, int, int]:
    flags = _REVERSE if reverse else 0
    if prefix is not None:
        if start is not None or end is not None:
            raise InvalidArgument("give a prefix, or start and end")
        start, flags = prefix, flags | _PREFIX
    if limit is not None and limit < 0:
        raise InvalidArgument(f"limit {limit} is negative")
    if limit == 0:
        # The engine's 0 means "no limit": an empty range shows nothing.
        start, end, flags = b"", b"", flags & ~_PREFIX
    return start, end, flags, limit or 0


class Batch(_core.Batch):
    """Writes that take effect together: all of them or none, also after a crash.

    As a context manager it is written at the end of the block, unless that raises.
    """

    _store: Store | None = None
    _level: int = 0

    def put(self, key: Bytes, value: Bytes, *, ttl: float | None = None) -> None:
        """Gives a key a value; `ttl` in seconds takes it away again."""
        self._put(key, value, _ttl_ms(ttl))

    def __setitem__(self, key: Bytes, value: Bytes) -> None:
        self._put(key, value, 0)

    def __delitem__(self, key: Bytes) -> None:
        self.delete(key)

    def write(self) -> int:
        """Applies the batch; the position after it. It can be filled and written again."""
        if self._store is None:
            raise InvalidArgument("the batch belongs to no store: make it with store.batch()")
        return self._store._write(self, self._level)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.write()
        self.clear()


class Transaction(_core.Transaction):
    """Reads and writes that hold together.

    As a context manager it commits at the end of the block, and rolls back if that raises. A commit raises Conflict
    if somebody else has written what the transaction has read: Store.transact() runs it again.
    """

    _level: int = 0

    def put(self, key: Bytes, value: Bytes, *, ttl: float | None = None) -> None:
        """Gives a key a value when the transaction commits; the transaction sees it at once."""
        self._put(key, value, _ttl_ms(ttl))

    def __getitem__(self, key: Bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Bytes, value: Bytes) -> None:
        self._put(key, value, 0)

    def __delitem__(self, key: Bytes) -> None:
        self.delete(key)

    def __contains__(self, key: Bytes) -> bool:
        return self.get(key) is not None

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """As Store.scan(), with the transaction's own writes. The range is read whole at once: give it a limit."""
        return self._scan(*_range(start, end, prefix, limit, reverse), False)

    def commit(self) -> int:
        """Makes the writes visible together; the position after them. Raises Conflict: nothing was written."""
        return self._commit(self._level)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()


class Store(_core.Db):
    """An open store: a mapping from bytes to bytes that survives. Made by `atoll.open()`.

    Any number of threads may use it at once. `db[key]` raises KeyError for a missing key, `del db[key]` too.
    """

    def put(
        self, key: Bytes, value: Bytes, *, durability: str = "buffered", ttl: float | None = None
    ) -> None:
        """Gives a key a value.

        durability "buffered" survives the end of the process, "synced" a power cut. `ttl` in seconds takes the value
        away again by itself.
        """
        self._put(key, value, _durability(durability), _ttl_ms(ttl))

    def delete(self, key: Bytes, *, durability: str = "buffered") -> None:
        """Takes a key's value away; a key without one is no error."""
        self._delete(key, _durability(durability))

    def get_many(self, keys: Iterable[Bytes]) -> list[bytes | None]:
        """The values of many keys in their order, None where there is none: several times as fast as single gets."""
        return self._get_many(keys, None)

    def compare_and_set(
        self, key: Bytes, expected: Bytes | None, value: Bytes | None, *, durability: str = "buffered",
        ttl: float | None = None,
    ) -> bool:  # fmt: skip
        """Gives a key a value (None takes it away) if it has the value `expected` (None: if it has none).

        One step that no other write comes between; whether it was done.
        """
        return self._compare_and_set(key, expected, value, _durability(durability), _ttl_ms(ttl))

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """Keys from `start` to `end` (exclusive) in byte order, with their values, as they are now.

        What is written while it goes on does not show. Open bounds are None.
        """
        return self._scan(*_range(start, end, prefix, limit, reverse), False, None)

    def keys(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Iterator[bytes]:  # fmt: skip
        """As scan(), keys only."""
        return self._scan(*_range(start, end, prefix, limit, reverse), True, None)

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def batch(self, *, durability: str = "buffered") -> Batch:
        """A batch of writes; see Batch."""
        batch = Batch()
        batch._store, batch._level = self, _durability(durability)
        return batch

    def snapshot(self) -> Snapshot:
        """The store as it is now, for as long as it is wanted; see Snapshot."""
        snapshot: Snapshot = self._snapshot(Snapshot)
        snapshot._store = self
        return snapshot

    def transaction(self, *, durability: str = "buffered") -> Transaction:
        """Begins a transaction; see Transaction."""
        transaction: Transaction = self._begin(Transaction)
        transaction._level = _durability(durability)
        return transaction

    def transact(
        self, body: Callable[[Transaction], T], *, durability: str = "buffered", attempts: int = 100
    ) -> T:
        """Runs `body(transaction)` and commits; after a Conflict again. Returns what it returned.

        `body` may run several times, and may change nothing but through its transaction.
        """
        for left in reversed(range(attempts)):
            transaction = self.transaction(durability=durability)
            try:
                result = body(transaction)
                transaction.commit()
                return result
            except Conflict:
                if left == 0:
                    raise
            finally:
                transaction.rollback()
        raise InvalidArgument(f"attempts must be at least 1, not {attempts}")

    def approximate(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None
    ) -> Approximate:
        """About how many records and bytes a range holds; takes milliseconds however large it is."""
        return Approximate(*self._count_approximate(*_range(start, end, prefix, None, False), False))

    def stats(self) -> dict[str, Any]:
        """Figures: keys, segments, runs, tables, bytes, how compaction has fared."""
        figures: dict[str, Any] = json.loads(self._stats_json())
        return figures

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_KINDS = {bytes: 0, bytearray: 0, str: 1}


def _part(key: Any) -> tuple[int, int, bytes]:
    if isinstance(key, bool):
        raise InvalidArgument("a bool is no key: say which integer is meant")
    if isinstance(key, int):
        return 2, key, b""
    if isinstance(key, uuid.UUID):
        return 3, 0, key.bytes
    if isinstance(key, str):
        return 1, 0, key.encode()
    return 0, 0, bytes(key)


def encode_key(key: Key, *, encoding: str = "binary") -> bytes:
    """The bytes of a typed key, as they are stored and routed: the same in every language and in SQL.

    Integers of up to 64 bits keep their order; `encoding="decimal"` makes them their decimal text. A tuple is ordered
    part by part.

    >>> encode_key(42).hex()
    '800000000000002a'
    """
    try:
        number = {"binary": 0, "decimal": 1}[encoding]
    except KeyError:
        raise InvalidArgument(f"there is no key encoding {encoding!r}: it is 'binary' or 'decimal'") from None
    try:
        parts = [_part(one) for one in key] if isinstance(key, tuple) else [_part(key)]
        return _core.encode_key(parts, number)
    except OverflowError:
        raise InvalidArgument(f"{key!r} does not fit into 64 bits") from None


class Router(_core.Router):
    """Where keys live. Immutable; answers the same in every language and in SQL.

    >>> r = Router.ring(["a", "b=2", "c"], hash="sha1")
    >>> r.node(b"user123"), r.nodes(b"user123", 3)
    ('b', ['b', 'a', 'c'])
    >>> Router.jump(8).node(b"user123")
    5

    A node is `"NAME"` or `"NAME=WEIGHT"`. Keys are bytes or str; for other types see encode_key().
    """

    @classmethod
    def _build(
        cls, algorithm: str, nodes: Iterable[str] | int | None, splits: Iterable[Bytes] = (), **settings: object
    ) -> Router:
        given = {name: _text(value) for name, value in settings.items() if value is not None}
        specs: list[tuple[str, int, None, None]] = []
        if isinstance(nodes, int):
            given["buckets"] = str(nodes)
        else:
            for node in nodes or ():
                name, equals, weight = node.rpartition("=")
                if equals and not weight.isdigit():
                    raise InvalidArgument(f"the weight of node {node!r} is not a whole number")
                specs.append((name, int(weight), None, None) if equals else (node, 1, None, None))
        return cls._make(algorithm, specs, given, list(splits))

    @classmethod
    def ring(
        cls, nodes: Iterable[str], *, vnodes: int = 160, hash: str | None = None, locality: str | None = None
    ) -> Router:
        """Consistent hashing: a node has `vnodes` points for each unit of weight."""
        return cls._build("ring", nodes, vnodes=vnodes, hash=hash, locality=locality)

    @classmethod
    def slots(
        cls, nodes: Iterable[str], *, slots: int | None = None, replicas: int | None = None, hash: str | None = None,
        vnodes: int | None = None,
    ) -> Router:  # fmt: skip
        """Hash slots placed on nodes, moved minimally afterwards: what clusters use."""
        return cls._build("slots", nodes, slots=slots, replicas=replicas, hash=hash, vnodes=vnodes)

    @classmethod
    def range(cls, splits: Iterable[Bytes], nodes: Iterable[str] | None = None) -> Router:
        """Ranges of encoded keys: each split is the first key of the range after it."""
        return cls._build("range", nodes, splits)

    @classmethod
    def modulo(
        cls, nodes: Iterable[str] | int, *, hash: str | None = None, locality: str | None = None
    ) -> Router:
        """hash mod N: numbers for a number of buckets, names for nodes."""
        return cls._build("modulo", nodes, hash=hash, locality=locality)

    @classmethod
    def jump(cls, nodes: Iterable[str] | int) -> Router:
        """Jump consistent hash: numbers for a number of buckets, names for nodes."""
        return cls._build("jump", nodes)

    @classmethod
    def hrw(cls, nodes: Iterable[str]) -> Router:
        """Rendezvous hashing: the node with the highest score of the key."""
        return cls._build("hrw", nodes)

    @classmethod
    def maglev(cls, nodes: Iterable[str], *, table_size: int | None = None) -> Router:
        """The table of Google's load balancer."""
        return cls._build("maglev", nodes, table_size=table_size)

    @classmethod
    def ketama(cls, nodes: Iterable[str]) -> Router:
        """As libmemcached's weighted ketama."""
        return cls._build("ketama", nodes)

    @classmethod
    def nginx(cls, nodes: Iterable[str]) -> Router:
        """As nginx's `hash ... consistent`."""
        return cls._build("nginx", nodes)

    @classmethod
    def redis(cls) -> Router:
        """The slot of Redis Cluster, with its tag rule."""
        return cls._build("redis", None)

    @classmethod
    def cassandra(cls) -> Router:
        """The Murmur3 token of Cassandra."""
        return cls._build("cassandra", None)

    def plan_add(self, node: str, weight: int = 1) -> dict[str, Any]:
        """What adding a node would move: shares of keys, the least possible, slot by slot for slots."""
        plan: dict[str, Any] = json.loads(self._plan(False, True, node, weight))
        return plan

    def plan_remove(self, node: str) -> dict[str, Any]:
        """What taking a node away would move."""
        plan: dict[str, Any] = json.loads(self._plan(False, False, node, 1))
        return plan

    def with_node(self, node: str, weight: int = 1) -> Router:
        """The router with one node more; not of slots, which change as their plan is carried out."""
        after: Router = self._plan(True, True, node, weight)
        return after

    def without_node(self, node: str) -> Router:
        """The router with one node less."""
        after: Router = self._plan(True, False, node, 1)
        return after

    def __reduce__(self) -> tuple[Callable[[bytes], Router], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Router) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


_CLUSTER_DURABILITIES = {"buffered": 0, "synced": 1, "replicated": 2}
_CONSISTENCIES = {"strong": 0, "eventual": 1, "read_your_writes": 2}


def _cluster_durability(name: str) -> int:
    try:
        return _CLUSTER_DURABILITIES[name]
    except KeyError:
        known = ", ".join(map(repr, _CLUSTER_DURABILITIES))
        raise InvalidArgument(f"durability {name!r} does not exist: there are {known}") from None


def _consistency(name: str) -> int:
    try:
        return _CONSISTENCIES[name]
    except KeyError:
        known = ", ".join(map(repr, _CONSISTENCIES))
        raise InvalidArgument(f"consistency {name!r} does not exist: there are {known}") from None


def merge_tokens(a: bytes, b: bytes) -> bytes:
    """A token that asks for what either of two asks for; either may be empty."""
    return _core.token_merge(a, b)


def open_cluster(
    path: str | os.PathLike[str], *, shards: int | None = None, replicas: int = 1,
    nodes: Iterable[str] | None = None, **settings: object,
) -> Cluster:  # fmt: skip
    """Opens the cluster in a directory, and makes it if the directory is missing or empty and `shards` is given.

    A new one has so many shards, each on so many of the nodes (n1, n2, ... unless `nodes` names them, with weights as in
    "n2=2"). A cluster that is there keeps its shape: `shards`, `replicas` and `nodes` are not looked at. Every option of
    `atoll.options()` with the scope "cluster" is a keyword.

    Raises Locked if another process has it open, Corrupt, InvalidArgument, Error.
    """
    place = os.fsdecode(path)
    texts = {name: _text(value) for name, value in settings.items()}
    is_new = not os.path.isdir(place) or not os.listdir(place)
    if not is_new:
        return Cluster._open(place, texts, None, 0, 0)
    if shards is None:
        raise InvalidArgument(f"there is no cluster in {place}: say how many shards a new one shall have")
    names = [f"n{i + 1}" for i in range(max(shards, replicas))] if nodes is None else list(nodes)
    return Cluster._open(place, texts, ",".join(names), shards, replicas)


class Cluster(_core.Cluster):
    """Shards times replicas in one directory. Made by `open_cluster()`; any number of threads may use it at once."""

    def put(
        self, key: Bytes, value: Bytes, *, durability: str = "synced", ttl: float | None = None
    ) -> bytes:
        """Gives a key a value; a token that proves the write to later reads, in any program and language.

        durability: "buffered", "synced", or "replicated": on the devices of as many copies as the quorum has. Raises
        Unavailable (nothing was written), Indeterminate (it may have been).
        """
        return self._put(key, value, _cluster_durability(durability), _ttl_ms(ttl))

    def delete(self, key: Bytes, *, durability: str = "synced") -> bytes:
        """Takes a key's value away; the token of that."""
        return self._put(key, None, _cluster_durability(durability), 0)

    def write(self, batch: Batch, *, durability: str = "synced") -> bytes:
        """Applies a `Batch()` whole or not at all; its keys must be of one slot, or it raises CrossSlot."""
        return self._write(batch, _cluster_durability(durability))

    def get(
        self, key: Bytes, default: T | None = None, *, consistency: str = "strong", token: bytes | None = None
    ) -> bytes | T | None:
        """The value of a key.

        consistency: "strong" is the newest acknowledged value; "eventual" one that was current a moment ago, from any
        copy; "read_your_writes" everything `token` speaks of. Raises WriteLost if that went with its primary.
        """
        return self._get(key, default, _consistency(consistency), token)

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, consistency: str = "strong", token: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """Keys from `start` to `end` (exclusive) of all shards in byte order, with their values."""
        return self._scan(*_range(start, end, prefix, limit, False), False, _consistency(consistency), token)

    def count(self, *, consistency: str = "strong", token: bytes | None = None) -> int:
        """The number of keys, counted one by one."""
        return self._count(_consistency(consistency), token)

    def router(self) -> Router:
        """Where every key lives, as of now."""
        router: Router = self._router(Router)
        return router

    def status(self) -> dict[str, Any]:
        """The state of nodes, shards and replicas."""
        found: dict[str, Any] = json.loads(self._status_json())
        return found

    def session(self) -> Session:
        """A session, which reads what it has written; see Session."""
        return Session(self)

    def __getitem__(self, key: Bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Bytes, value: Bytes) -> None:
        self.put(key, value)

    def __delitem__(self, key: Bytes) -> None:
        if self.get(key) is None:
            raise KeyError(key)
        self.delete(key)

    def __contains__(self, key: Bytes) -> bool:
        return self.get(key) is not None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Session:
    """Reads from any copy that has everything this session has written. One thread at a time.

    `token` may be handed to another session, in any language: what that reads then includes what this has written.
    """

    def __init__(self, cluster: Cluster, token: bytes = b"") -> None:
        self._cluster = cluster
        self.token = token

    def see(self, token: bytes) -> None:
        """Asks from now on for what a token of somebody else speaks of, too."""
        self.token = merge_tokens(self.token, token)

    def put(self, key: Bytes, value: Bytes, *, durability: str = "synced", ttl: float | None = None) -> None:
        """As Cluster.put()."""
        self.see(self._cluster.put(key, value, durability=durability, ttl=ttl))

    def delete(self, key: Bytes, *, durability: str = "synced") -> None:
        """As Cluster.delete()."""
        self.see(self._cluster.delete(key, durability=durability))

    def get(self, key: Bytes, default: T | None = None) -> bytes | T | None:
        """The value of a key, with everything this session has written or been told of."""
        if not self.token:
            return self._cluster.get(key, default, consistency="eventual")
        return self._cluster.get(key, default, consistency="read_your_writes", token=self.token)


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
        text = counts if isinstance(counts, str) else json.dumps(dict(counts or {}))
        clock: VectorClock = cls._from_text(text)
        return clock

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
