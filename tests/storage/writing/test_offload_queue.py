"""A run's appends keep their order while large payloads are offloaded, whatever fails meanwhile."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runstore_storage.contract.errors import Overloaded, StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.scope import ScopedKey, own
from runstore_storage.prepared_events import PreparedEvent
from runstore_storage.writing import backlog
from runstore_storage.writing.offload_queue import OffloadQueue

RUN, OTHER = own(RunKey("p", "run")), own(RunKey("p", "other"))
LARGE = "large"
SMALL = "small"


class Appends:
    """Appends sent through a queue; each offloading ends when and how a test says."""

    def __init__(self) -> None:
        self.queue = OffloadQueue(self._offload, lambda events: events[0].event.type == LARGE)
        self.offloading: dict[str, asyncio.Future[None]] = {}
        self.received: list[str] = []
        self.refused: set[str] = set()
        self.tasks: dict[str, asyncio.Task[str]] = {}
        self.runs: dict[str, ScopedKey] = {}

    def arrive(self, name: str, kind: str, run: ScopedKey = RUN, payload: str = "") -> None:
        """An append whose answer is its own name."""
        events = (PreparedEvent(Event(kind, event_id=name, payload=Payload(payload)), None, b""),)
        self.runs[name] = run
        self.tasks[name] = asyncio.create_task(self.queue.pass_on(run, events, self._receive))

    def finish(self, name: str) -> None:
        if not self.offloading[name].done():
            self.offloading[name].set_result(None)

    def fail(self, name: str) -> None:
        if not self.offloading[name].done():
            self.offloading[name].set_exception(StorageUnavailable("the object store"))

    async def _offload(
        self, key: RunKey, events: Sequence[PreparedEvent]
    ) -> Sequence[PreparedEvent]:
        name = events[0].event.event_id
        assert key == self.runs[name].key
        if events[0].event.type == LARGE:
            self.offloading[name] = asyncio.get_running_loop().create_future()
            await self.offloading[name]
        return events

    def _receive(self, events: Sequence[PreparedEvent]) -> str:
        name = events[0].event.event_id
        if name in self.refused:
            raise Overloaded(1)
        self.received.append(name)
        return name


@pytest.fixture
def appends() -> Appends:
    return Appends()


async def pause() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_append_is_received_at_once_where_no_large_one_is_under_way(
    appends: Appends,
) -> None:
    appends.arrive("large", LARGE, OTHER)
    appends.arrive("small", SMALL)
    await asyncio.sleep(0)

    assert appends.received == ["small"]
    assert len(appends.queue) == 1


async def test_nothing_overtakes_a_large_append_of_its_run(appends: Appends) -> None:
    appends.arrive("a", LARGE)
    appends.arrive("b", SMALL)
    appends.arrive("c", LARGE)
    appends.arrive("d", SMALL)
    await pause()

    appends.finish("c")
    await pause()
    before = list(appends.received)
    appends.finish("a")
    await pause()

    assert before == []
    assert appends.received == ["a", "b", "c", "d"]
    assert len(appends.queue) == 0


async def test_appends_behind_a_large_one_are_bounded_by_number(
    appends: Appends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_WAITING_APPENDS", 3)
    for name, kind in [("a", LARGE), ("b", SMALL), ("c", SMALL), ("refused", SMALL)]:
        appends.arrive(name, kind)
    await pause()
    with pytest.raises(Overloaded):
        await appends.tasks["refused"]

    appends.finish("a")
    await pause()
    for name, kind in [("d", LARGE), ("e", SMALL), ("f", SMALL)]:
        appends.arrive(name, kind)
    await pause()
    appends.finish("d")
    await pause()

    assert appends.received == ["a", "b", "c", "d", "e", "f"]


async def test_appends_behind_a_large_one_are_bounded_by_bytes(
    appends: Appends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_WAITING_BYTES", 10)
    appends.arrive("a", LARGE, payload="12345")
    appends.arrive("b", SMALL, payload="12345")
    appends.arrive("refused", SMALL, payload="1")
    await pause()

    with pytest.raises(Overloaded):
        await appends.tasks["refused"]
    appends.finish("a")
    await pause()
    assert appends.received == ["a", "b"]


async def test_payloads_of_one_run_are_offloaded_side_by_side(appends: Appends) -> None:
    appends.arrive("a", LARGE)
    appends.arrive("b", LARGE)
    await pause()

    assert appends.offloading.keys() == {"a", "b"}


GONE: dict[str, Callable[[Appends], object]] = {
    "it fails": lambda appends: appends.fail("b"),
    "it is cancelled while it is offloaded": lambda appends: appends.tasks["b"].cancel(),
    "it is cancelled as its offloading ends": lambda appends: (
        appends.finish("b"),
        appends.tasks["b"].cancel(),
    ),
    "it is cancelled while it waits for its turn": lambda appends: (
        appends.finish("b"),
        asyncio.get_running_loop().call_soon(appends.tasks["b"].cancel),
    ),
}


@pytest.mark.parametrize("how", GONE)
async def test_the_order_holds_behind_an_append_that_is_gone(appends: Appends, how: str) -> None:
    appends.arrive("a", LARGE)
    appends.arrive("b", LARGE)
    await pause()

    GONE[how](appends)
    await asyncio.wait([appends.tasks["b"]])
    appends.arrive("c", SMALL)
    await pause()
    assert appends.received == []
    appends.finish("a")
    await pause()

    assert appends.received == ["a", "c"]
    assert appends.tasks["a"].result() == "a"
    assert appends.tasks["b"].cancelled() or appends.tasks["b"].exception()
    assert len(appends.queue) == 0


@pytest.mark.parametrize("end", [Appends.finish, Appends.fail])
async def test_an_append_cancelled_as_its_turn_comes_is_not_received(
    appends: Appends, end: Callable[[Appends, str], None]
) -> None:
    appends.arrive("a", LARGE)
    appends.arrive("b", SMALL)
    appends.arrive("c", SMALL)
    await pause()

    end(appends, "a")
    # Runs after a has left, which lets b go on, and before b does.
    asyncio.get_running_loop().call_soon(appends.tasks["b"].cancel)
    await pause()

    assert appends.tasks["b"].cancelled()
    assert appends.received == (["a", "c"] if end is Appends.finish else ["c"])
    assert (appends.tasks["a"].exception() is None) == (end is Appends.finish)
    assert len(appends.queue) == 0


async def test_an_append_that_is_refused_lets_the_next_pass(appends: Appends) -> None:
    appends.arrive("a", LARGE)
    appends.arrive("b", SMALL)
    appends.arrive("c", SMALL)
    appends.refused.add("b")
    await pause()

    appends.finish("a")
    await pause()

    assert isinstance(appends.tasks["b"].exception(), Overloaded)
    assert appends.received == ["a", "c"]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["large", "small", "large of other", "small of other"])
        | st.sampled_from(["finish", "fail", "cancel", "go on"]),
        st.integers(0, 7),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=400, deadline=None)
def test_whatever_happens_a_run_keeps_its_order(steps: list[Step]) -> None:
    asyncio.run(any_interleaving(steps))


async def any_interleaving(steps: list[Step]) -> None:
    appends, spoiled = Appends(), set[str]()
    for number, (what, which) in enumerate(steps):
        kind, _, of_other = what.partition(" ")
        names = list(appends.tasks)
        chosen = names[which % len(names)] if names else ""
        if kind in {LARGE, SMALL}:
            appends.arrive(str(number), kind, OTHER if of_other else RUN)
        elif what == "go on":
            await asyncio.sleep(0)
        elif what == "cancel" and chosen:
            if appends.tasks[chosen].cancel():
                spoiled.add(chosen)
        elif chosen in appends.offloading:
            if what == "fail" and not appends.offloading[chosen].done():
                spoiled.add(chosen)
            getattr(appends, what)(chosen)
    await pause()
    for name in appends.offloading:
        appends.finish(name)
    results = await asyncio.gather(*appends.tasks.values(), return_exceptions=True)

    for run in (RUN, OTHER):
        arrived = [name for name in appends.tasks if appends.runs[name] == run]
        received = [name for name in appends.received if appends.runs[name] == run]
        assert received == [name for name in arrived if name in received]
    # An append answered by an error was not received, and no append fails without a reason.
    answered = dict(zip(appends.tasks, results, strict=True))
    assert {name for name, answer in answered.items() if answer == name} == set(appends.received)
    assert appends.tasks.keys() - appends.received <= spoiled
    assert len(appends.received) == len(set(appends.received))
    assert len(appends.queue) == 0
