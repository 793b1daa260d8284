"""Stores: a mapping from bytes to bytes that survives.

In: a directory, keys, values. Out: stores, and the snapshots, batches and transactions made from them. Must never: touch a handle but
through the C half, which knows who uses it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

from . import _core
from ._arguments import Bytes, durability_of, range_of, text_of, ttl_ms, whole
from ._errors import Conflict, InvalidArgument
from ._log import Log
from ._maintenance import Checked, Health, Progress, checked, health_of

T = TypeVar("T")
E = TypeVar("E", covariant=True)


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
    for flag, given in (("create", create), ("read_only", read_only)):
        if not isinstance(given, bool):
            raise TypeError(f"{flag} is True or False, not {given!r}")
    if read_only and settings:
        raise InvalidArgument(f"a store that is opened read_only takes no options: {', '.join(settings)}")
    texts = {name: text_of(value) for name, value in settings.items()}
    texts["create"] = text_of(create)
    return Store._open(os.fsdecode(path), texts, int(read_only))


def open_replica(path: str | os.PathLike[str], *, create: bool = True, **settings: object) -> Store:
    """Opens a copy of another store: it takes frames of that one's log by `apply()`, and no writes. Otherwise as open()."""
    texts = {name: text_of(value) for name, value in settings.items()}
    texts["create"] = text_of(create)
    return Store._open(os.fsdecode(path), texts, 2)


class Scan(Iterator[E], Protocol[E]):
    """Keys in order, with their values, as they were when it began. One thread at a time: others get Busy."""

    def seek(self, key: Bytes, /) -> None:
        """Goes on at a key, or at the next one there is, forward or back within the range. The limit counts anew."""
        ...


class Stored(NamedTuple):
    """A value and which write it is of; `expires_at` is its end in seconds since 1970, None if it stays."""

    value: bytes
    lsn: int
    hlc: int
    expires_at: float | None


def _stored(row: tuple[bytes, int, int, int] | None) -> Stored | None:
    return None if row is None else Stored(*row[:3], row[3] / 1000 if row[3] else None)


class Snapshot(_core.Snapshot):
    """A store as it was. A context manager; what it shows is kept until it is released."""

    _store: Store

    def get(self, key: Bytes, default: T | None = None) -> bytes | T | None:
        """The value of a key as it was then."""
        return self._store._get_at(key, self, default)

    def get_version(self, key: Bytes) -> Stored | None:
        """The value of a key as it was then, and which write it is of."""
        return _stored(self._store._get_version(key, self))

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
    ) -> Scan[tuple[bytes, bytes]]:  # fmt: skip
        """As Store.scan(), of the store as it was then."""
        return self._store._scan(*range_of(start, end, prefix, limit, reverse), False, self)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


class Batch(_core.Batch):
    """Writes that take effect together: all of them or none, also after a crash.

    As a context manager it is written at the end of the block, unless that raises.
    """

    _store: Store | None = None
    _level: int = 0

    def put(self, key: Bytes, value: Bytes, *, ttl: float | None = None) -> None:
        """Gives a key a value; `ttl` in seconds takes it away again."""
        self._put(key, value, ttl_ms(ttl))

    def put_many(self, entries: Mapping[Bytes, Bytes] | Iterable[tuple[Bytes, Bytes]]) -> None:
        """As put() of each entry, all of them or none, in one call: several times as fast."""
        pairs = list(entries.items() if isinstance(entries, Mapping) else entries)
        self._put_many([key for key, _ in pairs], [value for _, value in pairs])

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
        self._put(key, value, ttl_ms(ttl))

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
        return self._scan(*range_of(start, end, prefix, limit, reverse), False)

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
        self._put(key, value, durability_of(durability), ttl_ms(ttl))

    def delete(self, key: Bytes, *, durability: str = "buffered") -> None:
        """Takes a key's value away; a key without one is no error."""
        self._delete(key, durability_of(durability))

    def get_version(self, key: Bytes) -> Stored | None:
        """The value of a key and which write it is of, for compare_and_set(); None where there is none."""
        return _stored(self._get_version(key, None))

    def get_many(self, keys: Iterable[Bytes]) -> list[bytes | None]:
        """The values of many keys in their order, None where there is none: several times as fast as single gets."""
        return self._get_many(keys, None)

    def compare_and_set(
        self, key: Bytes, expected: Bytes | Stored | None, value: Bytes | None, *, durability: str = "buffered",
        ttl: float | None = None,
    ) -> bool:  # fmt: skip
        """Gives a key a value (None takes it away) if it has the value `expected` (None: if it has none).

        A `Stored` of get_version() means that very write: another one of the same value is refused. One step that no other
        write comes between; whether it was done.
        """
        if isinstance(expected, tuple) and not isinstance(expected, Stored):
            raise TypeError(f"what is expected is bytes, str, a Stored or None, not {expected!r}")
        wanted = (expected.lsn, expected.hlc) if isinstance(expected, Stored) else expected
        return self._compare_and_set(key, wanted, value, durability_of(durability), ttl_ms(ttl))

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Scan[tuple[bytes, bytes]]:  # fmt: skip
        """Keys from `start` to `end` (exclusive) in byte order, with their values, as they are now.

        What is written while it goes on does not show. Open bounds are None.
        """
        return self._scan(*range_of(start, end, prefix, limit, reverse), False, None)

    def keys(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, reverse: bool = False,
    ) -> Scan[bytes]:  # fmt: skip
        """As scan(), keys only."""
        return self._scan(*range_of(start, end, prefix, limit, reverse), True, None)

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def batch(self, *, durability: str = "buffered") -> Batch:
        """A batch of writes; see Batch."""
        batch = Batch()
        batch._store, batch._level = self, durability_of(durability)
        return batch

    def snapshot(self) -> Snapshot:
        """The store as it is now, for as long as it is wanted; see Snapshot."""
        snapshot: Snapshot = self._snapshot(Snapshot)
        snapshot._store = self
        return snapshot

    def transaction(self, *, durability: str = "buffered") -> Transaction:
        """Begins a transaction; see Transaction."""
        transaction: Transaction = self._begin(Transaction)
        transaction._level = durability_of(durability)
        return transaction

    def transact(
        self, body: Callable[[Transaction], T], *, durability: str = "buffered", attempts: int = 100
    ) -> T:
        """Runs `body(transaction)` and commits; after a Conflict again. Returns what it returned.

        `body` may run several times, and may change nothing but through its transaction.
        """
        for left in reversed(range(whole(attempts, "attempts"))):
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
        return Approximate(*self._count_approximate(*range_of(start, end, prefix, None, False), False))

    def delete_range(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None, durability: str = "buffered"
    ) -> int:
        """Takes away the values of all keys in a range; how many there were.

        Not one step: what is written into the range meanwhile may stay or go, and after an error some may have gone.
        """
        return self._delete_range(*range_of(start, end, prefix, None, False), False, durability_of(durability))

    def load(self, entries: Mapping[Bytes, Bytes] | Iterable[tuple[Bytes, Bytes]], *, ttl: float | None = None) -> int:
        """Loads pairs whose keys ascend in byte order, past the log: several times as fast as writes. How many there were.

        All of them are there and durable when it returns, or none after an error: InvalidArgument for a key that does not ascend. Who
        follows the log does not get them and is told so.
        """
        load, left = self._load(), ttl_ms(ttl)
        for key, value in entries.items() if isinstance(entries, Mapping) else entries:
            load._put(key, value, left)
        return self._finish_load(load)

    def health(self) -> Health:
        """How well the store is, and why if it is not."""
        return health_of(self._health())

    def backup(
        self, target: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Copies the store as it is now into a directory that is missing, empty or an earlier backup of it, of which only what is new is
        copied. Readers and writers go on. `link` gives files that never change a second name instead, on one file system.

        `progress(done, total)` is told bytes; what it raises comes out at the end. atoll.restore() is the way back.
        """
        report: dict[str, Any] = json.loads(self._backup(os.fsdecode(target), link, progress))
        return report

    def verify(self, *, progress: Progress | None = None) -> Checked:
        """Reads all of it and compares every checksum and every entry of the index. Readers and writers go on."""
        return checked(self._verify(progress))

    def log(self, start: int | None = None) -> Log:
        """Follows what is written to the store: from now on, from 0 all that the log still has, or from the `next` of a frame.

        Raises TooOld if that part of the log is gone: scan the store then, and go on from its snapshot's lsn().
        """
        return Log(self._log(start))

    def stats(self) -> dict[str, Any]:
        """Figures: keys, segments, runs, tables, bytes, how compaction has fared."""
        figures: dict[str, Any] = json.loads(self._stats_json())
        return figures

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
