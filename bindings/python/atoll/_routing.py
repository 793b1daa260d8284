"""Where keys live: routers of every kind, plans, places in topologies.

In: nodes, options, keys. Out: names and numbers, the same in every language and in SQL. Must never: take something that is nearly a list
of nodes for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Union

from . import _core
from ._arguments import Bytes, text_of, whole
from ._errors import InvalidArgument


class Node(NamedTuple):
    """A node with its share and its failure domains, which keep copies apart. The state is an answer: nobody sets it."""

    name: str
    weight: int = 1
    zone: str | None = None
    rack: str | None = None
    state: str = "active"


#: Nodes as routers take them.
Nodes = Iterable[Union[str, Node]]


class Location(NamedTuple):
    """Where a slot lives. `phase` is "none", "copying" or "frozen"; `moving_to` the same shard if it does not move."""

    version: int
    slot: int
    shard: int
    phase: str
    moving_to: int
    residency: int


_ENCODINGS = ["binary", "decimal"]
_PHASES = ["none", "copying", "frozen"]
_STATES = ["active", "leaving", "gone"]


def _location(row: tuple[int, int, int, int, int, int]) -> Location:
    version, slot, shard, phase, moving_to, residency = row
    return Location(version, slot, shard, _PHASES[phase], moving_to, residency)


def _node(node: str | Node) -> tuple[str, int, str | None, str | None]:
    """(name, weight, zone, rack) of "NAME", "NAME=WEIGHT" or a Node."""
    if isinstance(node, Node):
        return node.name, node.weight, node.zone, node.rack
    if not isinstance(node, str):
        raise TypeError(f"a node is a str or a Node, not {node!r}")
    name, equals, weight = node.rpartition("=")
    if not equals:
        return node, 1, None, None
    if not (weight.isascii() and weight.isdigit()):
        raise InvalidArgument(f"the weight of node {node!r} is not a whole number")
    return name, int(weight), None, None


class Router(_core.Router):
    """Where keys live. Immutable; answers the same in every language and in SQL.

    >>> r = Router.ring(["a", "b=2", "c"], hash="sha1")
    >>> r.node(b"user123"), r.nodes(b"user123", 3)
    ('b', ['b', 'a', 'c'])
    >>> Router.jump(8).node(b"user123")
    5

    A node is `"NAME"`, `"NAME=WEIGHT"` or a `Node`. Keys are bytes or str; for other types see encode_key().
    """

    @classmethod
    def _build(
        cls, algorithm: str, nodes: Nodes | int | None, splits: Iterable[Bytes] = (), **settings: object
    ) -> Router:
        given = {name: text_of(value) for name, value in settings.items() if value is not None}
        specs: list[tuple[str, int, str | None, str | None]] = []
        if isinstance(nodes, (str, bytes)):
            raise TypeError(f"nodes is a list of nodes, not the one {nodes!r}")
        if isinstance(splits, (str, bytes)):
            raise TypeError(f"splits is a list of keys, not the one {splits!r}")
        if isinstance(nodes, int):
            given["buckets"] = str(whole(nodes, "the number of buckets"))
        else:
            specs = [_node(node) for node in nodes or ()]
        return cls._make(algorithm, specs, given, list(splits))

    @classmethod
    def ring(
        cls, nodes: Nodes, *, vnodes: int = 160, hash: str | None = None, locality: str | None = None
    ) -> Router:
        """Consistent hashing: a node has `vnodes` points for each unit of weight."""
        return cls._build("ring", nodes, vnodes=vnodes, hash=hash, locality=locality)

    @classmethod
    def slots(
        cls, nodes: Nodes, *, slots: int | None = None, replicas: int | None = None, hash: str | None = None,
        vnodes: int | None = None,
    ) -> Router:  # fmt: skip
        """Hash slots placed on nodes, moved minimally afterwards: what clusters use."""
        return cls._build("slots", nodes, slots=slots, replicas=replicas, hash=hash, vnodes=vnodes)

    @classmethod
    def range(cls, splits: Iterable[Bytes], nodes: Nodes | None = None) -> Router:
        """Ranges of encoded keys: each split is the first key of the range after it."""
        return cls._build("range", nodes, splits)

    @classmethod
    def modulo(
        cls, nodes: Nodes | int, *, hash: str | None = None, locality: str | None = None
    ) -> Router:
        """hash mod N: numbers for a number of buckets, names for nodes."""
        return cls._build("modulo", nodes, hash=hash, locality=locality)

    @classmethod
    def jump(cls, nodes: Nodes | int) -> Router:
        """Jump consistent hash: numbers for a number of buckets, names for nodes."""
        return cls._build("jump", nodes)

    @classmethod
    def hrw(cls, nodes: Nodes) -> Router:
        """Rendezvous hashing: the node with the highest score of the key."""
        return cls._build("hrw", nodes)

    @classmethod
    def maglev(cls, nodes: Nodes, *, table_size: int | None = None) -> Router:
        """The table of Google's load balancer."""
        return cls._build("maglev", nodes, table_size=table_size)

    @classmethod
    def ketama(cls, nodes: Nodes) -> Router:
        """As libmemcached's weighted ketama."""
        return cls._build("ketama", nodes)

    @classmethod
    def nginx(cls, nodes: Nodes) -> Router:
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
        plan: dict[str, Any] = json.loads(self._plan(False, "add", node, weight))
        return plan

    def plan_remove(self, node: str) -> dict[str, Any]:
        """What taking a node away would move."""
        plan: dict[str, Any] = json.loads(self._plan(False, "remove", node, 1))
        return plan

    def plan_reweight(self, node: str, weight: int) -> dict[str, Any]:
        """What giving a node another weight would move; 0 empties it."""
        plan: dict[str, Any] = json.loads(self._plan(False, "reweight", node, weight))
        return plan

    def plan(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """What a change would move, as plans show it: {"add": {"name": "d", "weight": 2, "zone": "x"}}."""
        plan: dict[str, Any] = json.loads(self._plan(False, "change", json.dumps(dict(change)), 1))
        return plan

    def with_change(self, change: Mapping[str, Any]) -> Router:
        """The router after a change, as plan() takes it; of a topology its next version, with the moves under way."""
        after: Router = self._plan(True, "change", json.dumps(dict(change)), 1)
        return after

    def with_weight(self, node: str, weight: int) -> Router:
        """The router with another weight of a node."""
        after: Router = self._plan(True, "reweight", node, weight)
        return after

    def with_node(self, node: str, weight: int = 1) -> Router:
        """The router with one node more; not of slots, which change as their plan is carried out."""
        after: Router = self._plan(True, "add", node, weight)
        return after

    def without_node(self, node: str) -> Router:
        """The router with one node less."""
        after: Router = self._plan(True, "remove", node, 1)
        return after

    def node_info(self) -> list[Node]:
        """Every node with what is known of it."""
        return [
            Node(name, weight, zone or None, rack or None, _STATES[state])
            for name, weight, zone, rack, state in self._node_info()
        ]

    def encoding(self) -> str:
        """How the router wants integers encoded: for encode_key()."""
        return _ENCODINGS[self._encoding()]

    def locate(self, key: Bytes) -> Location:
        """Slot and shard of a key, and where it is going; of topologies alone."""
        return _location(self._locate(key))

    def slot_at(self, slot: int) -> Location:
        """Where a slot lives. Raises IndexError past the last one."""
        return _location(self._slot_at(slot))

    def shard_nodes(self, shard: int) -> list[str]:
        """Names of the nodes of a shard, preferred primary first. Raises IndexError for a shard that there is not."""
        names = self.node_list()
        return [names[number][0] for number in self._shard_nodes(shard)]

    def __reduce__(self) -> tuple[Callable[[bytes], Router], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Router) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())
