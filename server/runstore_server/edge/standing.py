"""Whether the caller of an open stream may still have it.

A credential that expires ends its streams as CREDENTIAL_EXPIRED, one that is withdrawn, or loses
the grant that the stream needs, as PERMISSION_DENIED: a client can tell "come back with a new
token" from "go away".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.signals import Watchable

from runstore_server.edge.errors import PermissionDenied, Unauthenticated
from runstore_server.edge.identity import Callers, Identity, Shown

T = TypeVar("T")

# Without news a caller is looked at again after this.
LOOK_SECONDS = 60.0
RETRY_SECONDS = 1.0

Still = Callable[[Identity], object]
"""Raises `PermissionDenied` if the stream would not be opened for this caller now."""


class Standing:
    """What became of the caller of one stream since it was opened."""

    def __init__(self, withdrawn: PermissionDenied, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        self._withdrawn = withdrawn
        self._refusal: Exception | None = None
        self._waiting: asyncio.Task[object] | None = None

    def check(self) -> None:
        """Raise why the stream has to end, if it has."""
        if self._refusal:
            raise self._refusal

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For waiting for the next item, which ends as soon as the stream has to."""
        self.check()
        self._waiting = task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if self._refusal and task and not task.uncancel():
                raise self._refusal from None
            raise
        finally:
            self._waiting = None

    def refuse(self, error: Exception) -> None:
        """End the stream, at once if it waits."""
        self._refusal = self._withdrawn if isinstance(error, Unauthenticated) else error
        if self._waiting:
            self._waiting.cancel()


@asynccontextmanager
async def watched(
    callers: Callers, shown: Shown, still: Still, withdrawn: PermissionDenied
) -> AsyncIterator[Standing]:
    """Watch over a caller for as long as the context lasts.

    `withdrawn` is what the stream ends with when its credential is no longer taken.
    """
    standing = Standing(withdrawn, is_watched=callers.changed is not None)
    if callers.changed is None:
        yield standing
        return
    watch = asyncio.create_task(_watch(callers, callers.changed, shown, still, standing))
    try:
        yield standing
    finally:
        watch.cancel()


def while_standing(items: AsyncGenerator[T, None], standing: Standing) -> AsyncGenerator[T, None]:
    """The items, until the caller may have no more; themselves where that is never."""
    return _while_standing(items, standing) if standing.is_watched else items


async def _while_standing(
    items: AsyncGenerator[T, None], standing: Standing
) -> AsyncGenerator[T, None]:
    async with aclosing(items):
        while True:
            try:
                with standing.waiting():
                    item = [await anext(items)]
            except StopAsyncIteration:
                return
            yield item.pop()  # not held while the client reads


async def _watch(
    callers: Callers, changed: Watchable, shown: Shown, still: Still, standing: Standing
) -> None:
    """Look at the caller at once, as something may have changed meanwhile, and at each change."""
    while True:
        mark = changed.mark
        try:
            identity = await callers.identify(shown)
            still(identity)
        except StorageUnavailable:
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:  # a stream whose caller cannot be looked at ends, too
            standing.refuse(error)
            return
        else:
            await changed.wait(mark, _seconds_left(identity))


def _seconds_left(identity: Identity) -> float:
    if identity.expires_at is None:
        return LOOK_SECONDS
    left = (identity.expires_at - datetime.now(UTC)).total_seconds()
    return min(max(left, 0.0), LOOK_SECONDS)
