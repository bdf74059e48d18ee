"""What clients have not read is bounded, and neither a client nor a flood takes all of it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable

import pytest
from runstore_server.edge import unread as unread_module
from runstore_server.edge.unread import SMALL_BYTES, TURNS, Room, Unread
from runstore_storage.contract.errors import Overloaded

UNIT = SMALL_BYTES + 1
LIMIT = 10 * UNIT


class Page:
    def __init__(self, size: int = UNIT) -> None:
        self.size = size


def size_of(page: Page) -> int:
    return page.size


class Sending:
    """A message that waits for room, and then is being sent until it is read."""

    def __init__(self, room: Room, size: int) -> None:
        self.is_sent = asyncio.Event()
        self._is_read = asyncio.Event()
        self.task = asyncio.create_task(self._send(room, size))

    async def _send(self, room: Room, size: int) -> None:
        async with room:
            await room.take(size)
            self.is_sent.set()
            await self._is_read.wait()
            room.sent()

    async def read(self) -> None:
        self._is_read.set()
        await self.task


Send = Callable[..., Sending]


@pytest.fixture
async def unread() -> Unread:
    return Unread(LIMIT)


@pytest.fixture
async def send(unread: Unread) -> AsyncIterator[Send]:
    """Sends a message of so many units to a client of one server, of whose stream one was read."""
    sent = list[Sending]()

    def begin(client: str, units: int = 0, *, size: int = 0, is_first: bool = False) -> Sending:
        room = unread.room(client)
        room.has_been_read = not is_first
        sent.append(Sending(room, size or units * UNIT))
        return sent[-1]

    yield begin
    for each in sent:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in sent), return_exceptions=True)


async def turns_pass() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def has_begun(*sent: Sending) -> bool:
    """Whether all of them have room: those that have none wait for others, not for the clock."""
    await turns_pass()
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


async def test_streams_that_were_never_read_leave_a_quarter_to_those_that_were(send: Send) -> None:
    flood = [send(f"client {number}", 1, is_first=True) for number in range(20)]
    assert await has_begun(*flood[:7])
    assert not any(each.is_sent.is_set() for each in flood[7:])

    readers = [send("a", 1), send("b", 2)]

    assert await has_begun(*readers)
    await readers[0].read()
    assert not await has_begun(flood[7])


async def test_streams_of_one_client_leave_it_a_quarter_as_well(send: Send) -> None:
    flood = [send("a", 1, is_first=True) for _ in range(20)]
    assert await has_begun(*flood[:3])
    assert not await has_begun(flood[3])

    assert await has_begun(send("a", 2), send("b", 2, is_first=True))


async def test_small_messages_are_not_counted(send: Send) -> None:
    small = [send("a", size=SMALL_BYTES) for _ in range(100)]
    large = [send("b", 5), send("c", 5)]

    assert await has_begun(*small, *large)
    assert await has_begun(send("d", size=SMALL_BYTES))
    assert not await has_begun(send("d", size=SMALL_BYTES + 1))


async def test_what_waits_is_sent_in_order_as_soon_as_there_is_room(send: Send) -> None:
    first, second = send("a", 5), send("b", 5)
    waiting = [send("a", 5), send("c", 5), send("d", 1)]
    assert not await has_begun(waiting[1])

    await second.read()

    assert await has_begun(waiting[1])
    assert not any(each.is_sent.is_set() for each in (waiting[0], waiting[2]))
    await first.read()
    assert await has_begun(waiting[0])
    await waiting[1].read()
    assert await has_begun(waiting[2])


async def test_what_stops_waiting_leaves_its_place_and_its_room(send: Send) -> None:
    sent = send("a", 10)
    waiting = [send("b", 6), send("c", 5), send("d", 5)]
    assert not await has_begun(waiting[0])

    waiting[0].task.cancel()
    await sent.read()

    assert await has_begun(*waiting[1:])
    waiting[1].task.cancel()
    assert await has_begun(send("e", 5))


async def test_one_message_waits_however_large_it_is(send: Send) -> None:
    sent = send("a", 1)
    large = send("b", 20)
    assert not await has_begun(large)

    await sent.read()

    assert await has_begun(large)


async def test_what_waits_too_long_is_refused(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_module, "PATIENCE_SECONDS", 0.01)
    assert await has_begun(send("a", 10))

    with pytest.raises(Overloaded, match=f"{10 * UNIT} bytes") as refused:
        await send("b", 1).task

    assert refused.value.retry_after == 1


async def test_a_page_without_room_is_dropped_and_read_again(unread: Unread, send: Send) -> None:
    sent = send("a", 10)
    pages = list[weakref.ref[Page]]()

    async def read() -> Page:
        page = Page()
        pages.append(weakref.ref(page))
        return page

    assert await has_begun(sent)
    async with unread.room("b") as room:
        reading = asyncio.create_task(room.page(read, size_of))
        await turns_pass()
        assert [page() for page in pages] == [None]

        await sent.read()

        assert await reading is pages[1]()
        assert room.held == UNIT
    assert room.held == 0


async def test_a_page_that_has_grown_meanwhile_is_counted_as_it_is(
    unread: Unread, send: Send
) -> None:
    sent = send("a", 10)
    sizes = [UNIT, 4 * UNIT]

    async def read() -> Page:
        return Page(sizes.pop(0))

    assert await has_begun(sent)
    async with unread.room("b") as room:
        reading = asyncio.create_task(room.page(read, size_of))
        await turns_pass()
        await sent.read()
        await reading
        assert room.held == 4 * UNIT


async def test_streams_read_in_turns_but_for_what_is_in_memory(unread: Unread) -> None:
    may_return = asyncio.Event()
    begun = list[str]()

    async def read(name: str) -> Page:
        begun.append(name)
        await may_return.wait()
        return Page(1)

    def reading(name: str, *, is_in_memory: bool) -> asyncio.Task[Page]:
        room = unread.room(name)
        return asyncio.create_task(
            room.page(lambda: read(name), size_of, is_in_memory=is_in_memory)
        )

    tasks = [reading("database", is_in_memory=False) for _ in range(TURNS + 1)]
    tasks += [reading("memory", is_in_memory=True) for _ in range(2)]
    await turns_pass()

    assert sorted(begun) == ["database"] * TURNS + ["memory"] * 2
    may_return.set()
    await asyncio.gather(*tasks)
    assert begun.count("database") == TURNS + 1
