"""No project waits behind all that another has put into the queue, or keeps it full."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from runstore_storage.contract.errors import Overloaded
from runstore_storage.contract.heads import NO_GUARD, RunKey
from runstore_storage.contract.scope import Scope, own
from runstore_storage.writing import backlog, fair_queue
from runstore_storage.writing.backlog import Backlog
from runstore_storage.writing.fair_queue import QUANTUM, FairQueue
from runstore_storage.writing.lanes import Append, Lane

A, B, C = (Scope(name) for name in "abc")
MOST_COST = 1000


STEPS = st.lists(
    st.none() | st.tuples(st.sampled_from([A, B, C]), st.integers(1, MOST_COST)), max_size=200
)


@settings(deadline=None)
@given(STEPS)
def test_each_project_keeps_its_order(steps: list[tuple[Scope, int] | None]) -> None:
    queue: FairQueue[tuple[Scope, int]] = FairQueue()
    model: dict[Scope, deque[int]] = defaultdict(deque)
    for number, step in enumerate(steps):
        if step:
            scope, cost = step
            queue.put(scope, (scope, number), cost)
            model[scope].append(number)
        elif len(queue):
            scope, taken = queue.take()
            assert taken == model[scope].popleft()
        else:
            with pytest.raises(IndexError):
                queue.take()
        assert len(queue) == sum(map(len, model.values()))


@settings(deadline=None)
@given(st.lists(st.integers(1, MOST_COST), min_size=3, max_size=3), st.integers(1, 500))
def test_projects_that_wait_get_as_much_as_each_other(costs: list[int], count: int) -> None:
    queue: FairQueue[Scope] = FairQueue()
    of = dict(zip([A, B, C], costs, strict=True))
    for scope, cost in of.items():
        for _ in range(count + 1):
            queue.put(scope, scope, cost)

    got = Counter(dict.fromkeys(of, 0))
    for _ in range(count):
        taken = queue.take()
        got[taken] += of[taken]
        assert max(got.values()) - min(got.values()) <= 2 * MOST_COST + 3 * QUANTUM


MOST, MOST_BYTES = 16, 1600


class Backlogs(RuleBasedStateMachine):
    """However projects come and go, the bounds hold and whoever waits little may come in."""

    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(backlog, "MAX_WAITING_APPENDS", MOST)
        self.patch.setattr(backlog, "MAX_WAITING_BYTES", MOST_BYTES)
        self.backlog = Backlog()
        self.sizes: dict[Scope, list[int]] = defaultdict(list)

    def teardown(self) -> None:
        self.patch.undo()

    @rule(target=waiting, scope=st.sampled_from([A, B, C]), size=st.integers(0, 300))
    def add(self, scope: Scope, size: int) -> tuple[Scope, int] | None:
        own, others = self.sizes[scope], [each for each in self.sizes if each != scope]
        is_alone = not any(self.sizes[each] for each in others)
        part = 1 if is_alone else backlog.SHARE
        fits_alone = len(own) < MOST * part and sum(own) + size <= MOST_BYTES * part
        everything = [each for sizes in self.sizes.values() for each in sizes]
        whole = 1 if is_alone else 1 + backlog.SHARE
        fits = len(everything) < MOST * whole and sum(everything) + size <= MOST_BYTES * whole
        try:
            self.backlog.add(scope, size)
        except Overloaded:
            assert not (fits and (fits_alone or not own))
            return None
        assert fits
        assert not own or fits_alone
        own.append(size)
        return scope, size

    @rule(left=consumes(waiting))
    def remove(self, left: tuple[Scope, int] | None) -> None:
        if left:
            self.backlog.remove(*left)
            self.sizes[left[0]].remove(left[1])

    @invariant()
    def forgets_whoever_waits_no_more(self) -> None:
        assert set(self.backlog._of) == {each for each, sizes in self.sizes.items() if sizes}


TestBacklogs = Backlogs.TestCase


async def test_a_project_that_filled_a_lane_lets_another_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "MAX_WAITING_APPENDS", 8)
    monkeypatch.setattr(fair_queue, "QUANTUM", 1)
    committed: list[str] = []
    has_begun, may_commit = asyncio.Event(), asyncio.Event()

    async def commit(batch: Sequence[Append]) -> None:
        has_begun.set()
        await may_commit.wait()
        for each in batch:
            committed.append(each.run.scope.project)
            each.settle(())

    def put(project: str) -> Append:
        append = Append(own(RunKey(project, "run")), (), NO_GUARD, 0)
        lane.put(append)
        return append

    lane = Lane(commit)
    put("first")
    await has_begun.wait()
    waiting = [put("a") for _ in range(8)]
    with pytest.raises(Overloaded):
        await put("a").answered
    waiting += [put("b"), put("b")]
    for project in ("a", "b"):
        with pytest.raises(Overloaded):
            await put(project).answered

    may_commit.set()
    await asyncio.gather(*(each.answered for each in waiting))
    await lane.close()

    assert committed[1:] == ["b", "a", "b", *"aaaaaaa"]
