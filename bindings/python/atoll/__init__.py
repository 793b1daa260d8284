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

from . import _core
from ._clock import HybridClock, Stamp, Tick, VectorClock, compare_stamps
from ._cluster import Cluster, Session, merge_tokens, open_cluster
from ._errors import (
    AllNodesFailed,
    Busy,
    CallbackFailed,
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
from ._keys import decode_key, encode_key
from ._log import Change, Frame, Log, changes
from ._maintenance import Checked, Health, repair, restore, set_logger, verify_backup
from ._routing import Location, Node, Router
from ._store import Approximate, Batch, Option, Scan, Snapshot, Store, Stored, Transaction, open, open_replica, options
from ._versions import Resolver, SiblingSet, Version, compare_contexts, merge_contexts, resolver

__version__: str = _core.version()

__all__ = [
    "AllNodesFailed", "Approximate", "Batch", "Busy", "CallbackFailed", "Change", "Checked", "Closed", "Cluster", "Conflict", "Corrupt",
    "CrossSlot", "DiskFull", "Error", "Forked", "Frame", "Health", "HybridClock", "Indeterminate", "InvalidArgument", "Location", "Locked", "Log", "Node", "NotPrimary", "Option",
    "Resolver", "Router", "Scan", "Session", "SiblingSet", "Snapshot", "StaleEpoch", "Stamp", "Store", "Stored", "Tick", "TooOld", "Transaction",
    "Unavailable", "VectorClock", "Version", "WriteLost", "changes", "compare_contexts", "compare_stamps", "decode_key", "encode_key",
    "merge_contexts", "merge_tokens", "open", "open_cluster", "open_replica", "options", "repair", "resolver",
    "restore", "set_logger", "verify_backup",
]  # fmt: skip
