"""Clusters: shards times replicas behind the verbs of a store, with tokens and sessions.

In: a directory, keys, values, how fresh. Out: values, tokens. Must never: answer with less than the token asks for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from . import _core
from ._arguments import Bytes, names_of, range_of, text_of, ttl_ms, whole
from ._errors import InvalidArgument
from ._routing import Router
from ._store import Batch

T = TypeVar("T")

_CLUSTER_DURABILITIES = {"buffered": 0, "synced": 1, "replicated": 2}
#: As topologies have them.
_MOST = 65535
_CONSISTENCIES = {"strong": 0, "eventual": 1, "read_your_writes": 2}


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
        return self._put(key, value, _cluster_durability(durability), ttl_ms(ttl))

    def delete(self, key: Bytes, *, durability: str = "synced") -> bytes:
        """Takes a key's value away; the token of that."""
        return self._delete(key, _cluster_durability(durability))

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
