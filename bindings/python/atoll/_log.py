"""Logs: what is written to a store, in order, as it is written.

In: a store and a position. Out: frames of whole records, which can be kept, sent and applied to a replica, and the writes in them. Must
never: hold up an event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from . import _core


class Change(NamedTuple):
    """One write; `value` is None for a deletion, `expires_at` in seconds since 1970 or None."""

    key: bytes
    value: bytes | None
    lsn: int
    hlc: int
    expires_at: float | None
    more_in_batch: bool


class Frame(bytes):
    """Whole records of a log as bytes that any language, and any copy of the store, understands."""

    first: int
    next: int

    def __iter__(self) -> Iterator[Change]:  # type: ignore[override]
        return iter(changes(self))


def changes(frame: bytes) -> list[Change]:
    """The writes in a frame, in order. Raises Corrupt for bytes that are none."""
    return [Change(*row[:4], row[4] / 1000 if row[4] else None, row[5]) for row in _core.log_entries(frame)]


class Log:
    """A place in the log of a store that moves on as it is read. A context manager; one thread at a time: others get Busy.

    The store keeps its log from this place on: close it when it has served. What is read may not be durable yet.
    """

    def __init__(self, core: _core.Log) -> None:
        self._core = core

    def next(self, timeout: float | None = None, *, max_bytes: int = 1 << 20) -> Frame | None:
        """The next records, about `max_bytes` of them and at least one; None if none come within `timeout` seconds."""
        if max_bytes < 1:
            raise ValueError(f"max_bytes is at least 1, not {max_bytes}")
        found = self._core._next(max_bytes, -1 if timeout is None else max(0, round(timeout * 1000)))
        if found is None:
            return None
        frame = Frame(found[0])
        frame.first, frame.next = found[1:]
        return frame

    def fileno(self) -> int:
        """The descriptor that is readable when next() has something to give; for select and event loops."""
        return self._core.fileno()

    def interrupt(self) -> None:
        """Ends a next() that waits in another thread, or the next one that would wait: it gives None."""
        self._core.interrupt()

    def close(self) -> None:
        """Lets the log go. Closing twice is allowed; Busy while another thread waits in next()."""
        self._core.close()

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Frames as they come, without a thread: `async for frame in log`. Ends when the store is closed, with Closed."""
        loop = asyncio.get_running_loop()
        while True:
            frame = self.next(0)
            if frame is not None:
                yield frame
                continue
            ready = asyncio.Event()
            loop.add_reader(self.fileno(), ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(self.fileno())

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
