"""A stream ends when its caller would not be let in any more, whenever that came about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from runstore_server.edge.errors import PermissionDenied, Unauthenticated
from runstore_server.edge.identity import ANYBODY, Identity, Shown
from runstore_server.edge.standing import watched, while_standing
from runstore_storage.contract.access import Role
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.signals import Signal

WITHDRAWN = PermissionDenied("p", Role.READER, "withdrawn")


class Scripted:
    """Callers that are known, or not, as they are told."""

    def __init__(self) -> None:
        self.changed = Signal()
        self.failures: list[Exception] = []
        self.asked = asyncio.Event()

    async def identify(self, _shown: Shown) -> Identity:
        self.asked.set()
        if self.failures:
            raise self.failures.pop(0)
        return ANYBODY


async def endless() -> AsyncGenerator[int, None]:
    yield 1
    await asyncio.Event().wait()


async def drain(callers: Scripted) -> None:
    """Take the items of a stream until it ends."""
    async with watched(callers, Shown("peer"), lambda _: None, WITHDRAWN) as standing:
        async for _ in while_standing(endless(), standing):
            pass


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("failures", "ends_with"),
    [
        ([Unauthenticated()], "withdrawn"),
        ([PermissionDenied("p", Role.READER)], "no reader"),
        ([RuntimeError("a defect")], "a defect"),
        ([StorageUnavailable(), Unauthenticated()], "withdrawn"),
    ],
)
async def test_what_became_of_a_caller_before_it_was_watched_counts(
    failures: list[Exception], ends_with: str
) -> None:
    callers = Scripted()
    callers.failures = failures

    with pytest.raises(Exception, match=ends_with):
        await drain(callers)


@pytest.mark.timeout(30)
async def test_a_change_is_looked_at() -> None:
    callers = Scripted()
    draining = asyncio.create_task(drain(callers))
    await callers.asked.wait()

    callers.failures = [Unauthenticated()]
    callers.changed.wake()

    with pytest.raises(PermissionDenied, match="withdrawn"):
        await draining
