"""Clusters: shards times replicas behind the verbs of a store, with tokens and sessions.

In: a directory, keys, values, how fresh. Out: values, tokens. Must never: answer with less than the token asks for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from . import _core
from ._arguments import Bytes, names_of, range_of, text_of, ttl_ms, whole
from ._errors import InvalidArgument
from ._maintenance import Checked, Health, Progress, checked, health_of
from ._routing import Router
from ._store import Approximate, Batch

T = TypeVar("T")

_CLUSTER_DURABILITIES = {"buffered": 0, "synced": 1, "replicated": 2}
#: As topologies have them.
_MOST = 65535
_CONSISTENCIES = {"strong": 0, "eventual": 1, "read_your_writes": 2}


_AFTER = _CONSISTENCIES["read_your_writes"]


def _cluster_durability(name: str) -> int:
    try:
        return _CLUSTER_DURABILITIES[name]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, _CLUSTER_DURABILITIES))
        raise InvalidArgument(f"durability {name!r} does not exist: there are {known}") from None


def _consistency(name: str) -> int:
    try:
        return _CONSISTENCIES[name]
    except (KeyError, TypeError):
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
    texts = {name: text_of(value) for name, value in settings.items()}
    is_new = not os.path.isdir(place) or not os.listdir(place)
    if not is_new:
        return Cluster._open(place, texts, None, 0, 0)
    if shards is None:
        raise InvalidArgument(f"there is no cluster in {place}: say how many shards a new one shall have")
    shards, replicas = whole(shards, "shards"), whole(replicas, "replicas")
    if not (0 < shards <= _MOST and 0 < replicas <= _MOST):
        raise InvalidArgument(f"a cluster has from 1 to {_MOST} shards and replicas, not {shards} and {replicas}")
    if nodes is None:
        names = [f"n{i + 1}" for i in range(max(shards, replicas))]
    else:
        names = names_of(nodes, "nodes")
    for name in names:
        if "," in name:
            raise InvalidArgument(f"the name of node {name!r} has a comma")
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
        return self._put(key, value, _cluster_durability(durability), ttl_ms(ttl), None)

    def delete(self, key: Bytes, *, durability: str = "synced") -> bytes:
        """Takes a key's value away; the token of that."""
        return self._delete(key, _cluster_durability(durability), None)

    def write(self, batch: Batch, *, durability: str = "synced") -> bytes:
        """Applies a `Batch()` whole or not at all; its keys must be of one slot, or it raises CrossSlot."""
        return self._write(batch, _cluster_durability(durability), None)

    def get(
        self, key: Bytes, default: T | None = None, *, consistency: str = "strong", token: bytes | None = None
    ) -> bytes | T | None:
        """The value of a key.

        consistency: "strong" is the newest acknowledged value; "eventual" one that was current a moment ago, from any
        copy; "read_your_writes" everything `token` speaks of. Raises WriteLost if that went with its primary.
        """
        return self._get(key, default, _consistency(consistency), token)

    def get_many(
        self, keys: Iterable[Bytes], *, consistency: str = "strong", token: bytes | None = None
    ) -> list[bytes | None]:
        """The values of many keys in their order, None where there is none; the keys of a shard are read together."""
        return self._get_many(keys, _consistency(consistency), token)

    def delete_range(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None, durability: str = "synced"
    ) -> int:
        """Takes away the values of all keys in a range; how many there were. Not one step; see Store.delete_range()."""
        return self._delete_range(*range_of(start, end, prefix, None, False), False, _cluster_durability(durability), None)

    def approximate(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None, slot: int | None = None
    ) -> Approximate:
        """About how many records and bytes a range, or one slot of it, holds; takes milliseconds however large it is."""
        return Approximate(*self._count_approximate(*range_of(start, end, prefix, None, False), False, slot))

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None,
        limit: int | None = None, consistency: str = "strong", token: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """Keys from `start` to `end` (exclusive) of all shards in byte order, with their values."""
        return self._scan(*range_of(start, end, prefix, limit, False), False, _consistency(consistency), token)

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

    def plan(self, change: Mapping[str, Any] | str) -> dict[str, Any]:
        """What a change of members would move, with the keys and bytes that are there now; nothing moves.

        {"add": {"name": "n4", "weight": 2}}, {"remove": "n1"}, {"reweight": {"node": "n1", "weight": 3}}, {"together": [...]}, or
        "level". Raises InvalidArgument for one that does not fit.
        """
        found: dict[str, Any] = json.loads(self._plan(json.dumps(change if isinstance(change, str) else dict(change))))
        return found

    def rebalance(
        self, change: Mapping[str, Any] | str, *, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Carries out a change of members: moves what plan() says while reads and writes go on. What was moved.

        `progress(done, total)` is told bytes, and must not write to this cluster. After an error, or the end of the process, every key is
        where the router says; go on with resume_rebalance().
        """
        done = self._rebalance(json.dumps(change if isinstance(change, str) else dict(change)), progress)
        assert done is not None
        moved: dict[str, Any] = json.loads(done)
        return moved

    def resume_rebalance(self, *, progress: Progress | None = None) -> dict[str, Any] | None:
        """Goes on with a rebalance() that was interrupted; None if there is none."""
        done = self._rebalance(None, progress)
        return None if done is None else json.loads(done)

    def compact(self) -> list[dict[str, Any]]:
        """Brings the tables of every copy in service into as few runs as it can, now; what was done on each."""
        done: list[dict[str, Any]] = json.loads(self._compact())
        return done

    def events(self) -> list[Any]:
        """What has happened since it was opened, oldest first: recoveries, copies that failed and came back, failovers."""
        found: list[Any] = json.loads(self._events_json())
        return found

    def session(self, token: bytes = b"") -> Session:
        """A session, which reads what it has written and never goes back in time; see Session."""
        session = Session._make()
        session._cluster = self
        session.see(token)
        return session

    def health(self) -> Health:
        """How well the cluster is, and why if it is not."""
        return health_of(self._health())

    def backup(
        self, target: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Copies each shard once, all of them as they are at one instant; see Store.backup()."""
        report: dict[str, Any] = json.loads(self._backup(os.fsdecode(target), link, progress))
        return report

    def verify(self, *, progress: Progress | None = None) -> Checked:
        """Reads all replicas and compares them with each other; what they disagree about counts as damaged."""
        return checked(self._verify(progress))

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


class Session(_core.Session):
    """What one user of a cluster has seen: reads include everything the session has written or was told of, and never show an older
    state than an earlier read of it, from whichever copy. Any number of threads may use it at once. Made by `Cluster.session()`.

    `token` may be handed to another session, in any language: what that reads then includes what this has seen.
    """

    _cluster: Cluster

    def put(self, key: Bytes, value: Bytes, *, durability: str = "synced", ttl: float | None = None) -> None:
        """As Cluster.put()."""
        self._cluster._put(key, value, _cluster_durability(durability), ttl_ms(ttl), self)

    def delete(self, key: Bytes, *, durability: str = "synced") -> None:
        """As Cluster.delete()."""
        self._cluster._delete(key, _cluster_durability(durability), self)

    def write(self, batch: Batch, *, durability: str = "synced") -> None:
        """As Cluster.write()."""
        self._cluster._write(batch, _cluster_durability(durability), self)

    def get(self, key: Bytes, default: T | None = None) -> bytes | T | None:
        """The value of a key."""
        return self._cluster._get(key, default, _AFTER, self)

    def get_many(self, keys: Iterable[Bytes]) -> list[bytes | None]:
        """As Cluster.get_many()."""
        return self._cluster._get_many(keys, _AFTER, self)

    def scan(
        self, start: Bytes | None = None, end: Bytes | None = None, *, prefix: Bytes | None = None, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """As Cluster.scan()."""
        return self._cluster._scan(*range_of(start, end, prefix, limit, False), False, _AFTER, self)

    def count(self) -> int:
        """As Cluster.count()."""
        return self._cluster._count(_AFTER, self)
