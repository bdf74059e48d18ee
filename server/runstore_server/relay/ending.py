"""The end of a process that works on the feed: its last writes, and then no more."""

from __future__ import annotations

import asyncio

import structlog
from runstore_storage.contract.store import Store

from runstore_server.relay.relay import Relay

CLOSE_SECONDS = 3.0

_log = structlog.get_logger(__name__)


async def end(relay: Relay, store: Store, patience_seconds: float) -> None:
    """Stop the relay as `Relay.stop` does and close the store.

    A database that does not answer is left behind a few seconds after the patience is over: what it
    was asked last may be stored or not.
    """
    ending = asyncio.create_task(_end(relay, store, patience_seconds))
    await asyncio.wait([ending], timeout=patience_seconds + CLOSE_SECONDS)
    if not ending.done():
        _log.warning("the database does not answer; what is still asked of it is abandoned")
        store.abandon()
    await ending


async def _end(relay: Relay, store: Store, patience_seconds: float) -> None:
    await relay.stop(patience_seconds)
    await store.close()
