"""Waiting for a wake-up, and giving up."""

from __future__ import annotations

import asyncio

import pytest
from runstore_storage.contract.signals import Signal


async def test_a_wait_that_is_cancelled_as_it_is_woken_is_cancelled() -> None:
    signal = Signal()
    waiting = asyncio.create_task(signal.wait(signal.mark, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    signal.wake()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_wait_ends_without_a_wake_up_after_its_time() -> None:
    signal = Signal()

    assert not await signal.wait(signal.mark, 0.01)


async def test_a_wake_up_between_mark_and_wait_is_not_missed() -> None:
    signal = Signal()
    mark = signal.mark

    signal.wake()

    assert await signal.wait(mark, 60)
