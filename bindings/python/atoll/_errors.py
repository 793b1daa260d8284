"""Exceptions, one class for each thing a program may want to tell apart."""

from __future__ import annotations

from . import _core


class Error(Exception):
    """Something went wrong. `status` is the number of atoll.h, `errno` the operating system's or 0."""

    status: int = 0
    errno: int = 0


class Corrupt(Error):
    """Bytes on disk are not what was written; the message names file and offset. Other keys stay readable."""


class Closed(Error):
    """The store, or what was made from it, has been closed."""


class Busy(Error):
    """The object serves one call at a time, and another thread is in one."""


class Locked(Error):
    """Another process has the store open; the message names it."""


class Forked(Error):
    """The store was opened before this process forked: open it again after the fork."""


class DiskFull(Error):
    """No space is left; nothing was written and reads go on."""


class NotPrimary(Error):
    """This copy does not take writes."""


class StaleEpoch(Error):
    """Another primary has taken over."""


class Unavailable(Error):
    """Nobody who could answer can be reached; nothing was written."""


class AllNodesFailed(Unavailable):
    """Not one copy of the shard is in service; nothing was read or written."""


class Indeterminate(Error):
    """It cannot be known whether the write was done."""


class WriteLost(Error):
    """A write that was seen has been lost with its primary."""


class CrossSlot(Error):
    """The keys of one atomic operation live in different places."""


class CallbackFailed(Error):
    """A function of the program could not do its part; what it raised is the cause."""


class Conflict(Error):
    """What a transaction has read is no longer so; nothing was written. Run it again."""


class TooOld(Error):
    """What the snapshot shows is gone; take a new one."""


class InvalidArgument(Error, ValueError):
    """An argument is wrong; the message says which and what would be right."""


_BY_NAME: dict[str, type[Error]] = {
    "ATOLL_CONFLICT": Conflict,
    "ATOLL_E_INVALID": InvalidArgument,
    "ATOLL_E_CORRUPT": Corrupt,
    "ATOLL_E_CALLBACK": CallbackFailed,
    "ATOLL_E_CLOSED": Closed,
    "ATOLL_E_BUSY": Busy,
    "ATOLL_E_LOCKED": Locked,
    "ATOLL_E_FORKED": Forked,
    "ATOLL_E_NO_QUORUM": AllNodesFailed,
    "ATOLL_E_STALE_EPOCH": StaleEpoch,
    "ATOLL_E_DISK_FULL": DiskFull,
    "ATOLL_E_NOT_PRIMARY": NotPrimary,
    "ATOLL_E_UNAVAILABLE": Unavailable,
    "ATOLL_E_INDETERMINATE": Indeterminate,
    "ATOLL_E_WRITE_LOST": WriteLost,
    "ATOLL_E_CROSS_SLOT": CrossSlot,
    "ATOLL_E_TOO_OLD": TooOld,
}

_MESSAGES = {
    "ATOLL_CONFLICT": "what the transaction has read was written by somebody else: nothing was written, run it again",
    "ATOLL_E_BUSY": "another thread uses this object: it serves one call at a time",
    "ATOLL_E_CLOSED": "the snapshot has been released",
}


def _make(status: int, message: str, errno: int) -> Error:
    name = _core.status_name(status)
    error = _BY_NAME.get(name, Error)(message or _MESSAGES.get(name, name))
    error.status, error.errno = status, errno
    return error


_core.set_make_error(_make)
