"""Copies of stores and clusters, the way back, checks, repairs, health, and what the library has to say.

In: directories, functions. Out: reports as dictionaries. Must never: call what is damaged sound.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from . import _core
from ._errors import InvalidArgument

#: Told how far long work is: done, and of how much.
Progress = Callable[[int, int], object]
_Path = str | os.PathLike[str]


class Checked(NamedTuple):
    """What a check or a repair found."""

    #: Places that are damaged, or ranges that were lost; 0 if all is well.
    damaged: int
    #: Names them, and what was looked at.
    report: dict[str, Any]


class Health(NamedTuple):
    """How well a store or a cluster is."""

    #: "ok"; "degraded" (it works, and something needs to be looked at); "read_only" (writes are refused, reads go on); "failed".
    state: str
    #: Why it is not well, a sentence for each cause.
    reasons: list[str]
    shards: int
    shards_writable: int
    replicas: int
    replicas_up: int
    #: Of the copy in service that lacks most.
    replication_lag_bytes: int
    replication_lag_ms: int
    #: 0 if this process holds no snapshot.
    oldest_snapshot_ms: int


_STATES = ("ok", "degraded", "read_only", "failed")


def health_of(row: tuple[int, str, int, int, int, int, int, int, int]) -> Health:
    state, reasons, *figures = row
    return Health(_STATES[state], reasons.split("\n") if reasons else [], *figures)


def checked(found: tuple[int, bytes]) -> Checked:
    return Checked(found[0], json.loads(found[1]))


def restore(backup: _Path, path: _Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Makes a store or a cluster, whichever was copied, in `path`, which is missing or empty, of the backup in a directory.

    It appears at the end, after everything has been checked. It is a new life: what was written to the old one after the copy is not
    in it, and a token that speaks of it raises WriteLost. `progress(done, total)` is told bytes. Raises InvalidArgument for what is no backup or a path that is not empty, Corrupt.
    """
    report: dict[str, Any] = json.loads(_core.restore(os.fsdecode(backup), os.fsdecode(path), progress))
    return report


def verify_backup(backup: _Path, *, progress: Progress | None = None) -> Checked:
    """Compares every checksum of the backup in a directory."""
    return checked(_core.verify_backup(os.fsdecode(backup), progress))


def repair(source: _Path, target: _Path, *, progress: Progress | None = None) -> Checked:
    """Saves what can be saved of a damaged store, which must be open nowhere, into a new one in `target`, which is missing or empty.

    `damaged` counts the ranges that were lost. `progress(done, total)` is told files.
    """
    return checked(_core.repair(os.fsdecode(source), os.fsdecode(target), progress))


_LEVELS = {"error": 1, "warning": 2, "info": 3, "debug": 4}
_NAMES = {number: name for name, number in _LEVELS.items()}
_LOGGING = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}


def set_logger(logger: logging.Logger | Callable[[str, str, str], object] | None, level: str = "info") -> None:
    """Hands what the library has to say (recoveries, failovers, failures of background work) to a logger, or to nobody.

    A function is called with the level ("error", "warning", "info", "debug"), the module it comes from, and a line of text, from a
    thread of the library's own, one message at a time; what it raises goes to sys.unraisablehook. It holds nothing up: if it is too
    slow, messages are dropped and their number is told. Returns once the logger before has been handed all its messages.

    >>> set_logger(logging.getLogger("storage"), "warning")
    >>> set_logger(None)
    """
    if level not in _LEVELS:
        raise InvalidArgument(f"level {level!r} does not exist: there are {', '.join(map(repr, _LEVELS))}")
    if logger is None:
        _core.set_logger(None, 0)
        return
    if isinstance(logger, logging.Logger):
        into = logger

        def hand_on(number: int, target: str, message: str) -> None:
            into.log(_LOGGING[number], "%s: %s", target, message)

    elif callable(logger):
        function = logger

        def hand_on(number: int, target: str, message: str) -> None:
            function(_NAMES[number], target, message)

    else:
        raise TypeError(f"a logger is a logging.Logger, a function or None, not {logger!r}")
    _core.set_logger(hand_on, _LEVELS[level])


# Its thread must not come back to an interpreter that has ended.
atexit.register(_core.set_logger, None, 0)
