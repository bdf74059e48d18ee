"""Writes end by themselves, whatever becomes of their callers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation


class Notes:
    """Writes a note once it may."""

    def __init__(self) -> None:
        self._in_flight = WritesInFlight()
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.written: list[str] = []

    @finish_despite_cancellation
    async def write(self, note: str, *, twice: bool = False) -> int:
        self.begun.set()
        await self.may_end.wait()
        if not note:
            raise ValueError("an empty note")
        self.written += [note] * (2 if twice else 1)
        return len(self.written)


@pytest.fixture
async def notes() -> Notes:
    return Notes()


@pytest.fixture
async def abandoned(notes: Notes) -> Callable[[str], Awaitable[None]]:
    """Begins a write and cancels its caller."""

    async def abandon(note: str) -> None:
        caller = asyncio.create_task(notes.write(note))
        await notes.begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    return abandon


async def test_a_write_answers_its_caller(notes: Notes) -> None:
    notes.may_end.set()

    assert await notes.write("a", twice=True) == 2


async def test_a_write_whose_caller_is_cancelled_is_finished_and_waited_for(
    notes: Notes, abandoned: Callable[[str], Awaitable[None]]
) -> None:
    await abandoned("a")

    waiting = asyncio.create_task(notes._in_flight.landed())
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()
    notes.may_end.set()
    await waiting

    assert notes.written == ["a"]


async def test_a_failure_reaches_the_caller(notes: Notes) -> None:
    notes.may_end.set()

    with pytest.raises(ValueError, match="empty"):
        await notes.write("")


async def test_a_failure_without_a_caller_disturbs_nobody(
    notes: Notes, abandoned: Callable[[str], Awaitable[None]]
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    await abandoned("")
    notes.may_end.set()
    await notes._in_flight.landed()

    asyncio.get_running_loop().set_exception_handler(None)
    assert complaints == []
