"""What clients have not read is bounded, and one client leaves room for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from runstore_server.edge import unread as unread_module
from runstore_server.edge.unread import SMALL_BYTES, Unread
from runstore_storage.contract.errors import Overloaded

UNIT = SMALL_BYTES + 1
LIMIT = 10 * UNIT


class Sending:
    """A message that waits for room, and then is being sent until it is read."""

    def __init__(self, unread: Unread, client: str, size: int) -> None:
        self.is_sent = asyncio.Event()
        self._is_read = asyncio.Event()
        self.task = asyncio.create_task(self._send(unread, client, size))

    async def _send(self, unread: Unread, client: str, size: int) -> None:
        async with unread.held(client, size):
            self.is_sent.set()
            await self._is_read.wait()

    async def read(self) -> None:
        self._is_read.set()
        await self.task


Send = Callable[..., Sending]


@pytest.fixture
async def send() -> AsyncIterator[Send]:
    """Sends messages of so many units to clients of one server."""
    unread, sent = Unread(LIMIT), list[Sending]()

    def begin(client: str, units: int = 0, *, size: int = 0) -> Sending:
        sent.append(Sending(unread, client, size or units * UNIT))
        return sent[-1]

    yield begin
    for each in sent:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in sent), return_exceptions=True)


async def has_begun(*sent: Sending) -> bool:
    """Whether all of them have room: those that have none wait for others, not for the clock."""
    for _ in range(5):
        await asyncio.sleep(0)
    return all(each.is_sent.is_set() for each in sent)


@pytest.mark.parametrize(
    ("before", "last", "has_room"),
    [
        ([], ("a", 20), True),
        ([("a", 3)], ("a", 2), True),
        ([("a", 3)], ("a", 3), False),
        ([("a", 5)], ("b", 5), True),
        ([("a", 5)], ("b", 6), False),
        ([("a", 9)], ("b", 1), True),
        ([("a", 20)], ("b", 1), False),
        ([("a", 2), ("b", 3)], ("a", 3), True),
        ([("a", 2), ("b", 3)], ("a", 4), False),
    ],
)
async def test_a_client_has_half_of_the_room_or_one_message_where_others_leave_it(
    send: Send, before: list[tuple[str, int]], last: tuple[str, int], has_room: bool
) -> None:
    assert await has_begun(*(send(*each) for each in before))

    assert await has_begun(send(*last)) is has_room


async def test_small_messages_are_not_counted(send: Send) -> None:
    small = [send("a", size=SMALL_BYTES) for _ in range(100)]
    large = [send("b", 5), send("c", 5)]

    assert await has_begun(*small, *large)
    assert await has_begun(send("d", size=SMALL_BYTES))
    assert not await has_begun(send("d", size=SMALL_BYTES + 1))


async def test_what_waits_is_sent_as_soon_as_there_is_room(send: Send) -> None:
    first, second = send("a", 5), send("b", 5)
    waiting = [send("c", 5), send("a", 5)]
    assert not await has_begun(waiting[0])

    await second.read()

    assert await has_begun(waiting[0])
    assert not await has_begun(waiting[1])
    await first.read()
    assert await has_begun(waiting[1])


async def test_no_more_waits_than_there_may_be_unread(send: Send) -> None:
    sent = send("a", 20)
    waiting = [send("b", 6), send("c", 4)]
    assert not await has_begun(waiting[0])

    with pytest.raises(Overloaded, match=f"{20 * UNIT} bytes") as refused:
        await send("d", 1).task

    assert refused.value.retry_after == 1
    waiting[0].task.cancel()
    assert not await has_begun(send("d", 6))
    await sent.read()
    assert await has_begun(waiting[1])


async def test_one_message_waits_however_large_it_is(send: Send) -> None:
    sent = send("a", 1)
    large = send("b", 20)
    assert not await has_begun(large)

    await sent.read()

    assert await has_begun(large)


async def test_what_waits_too_long_is_refused(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_module, "PATIENCE_SECONDS", 0.01)
    assert await has_begun(send("a", 10))

    with pytest.raises(Overloaded):
        await send("b", 1).task
