"""Store.statistics: counts equal a recount from events, whatever is selected and grouped."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from runstore_storage.contract.errors import RunNotFound, StatisticsBehind
from runstore_storage.contract.events import MAX_DURATION_US, MAX_SUM, Event, Usage
from runstore_storage.contract.feed import RELAY, USAGE_COUNTS, FeedPoint
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.statistics import (
    Dimension,
    StatisticsFilter,
    StatisticsPage,
    StatisticsQuery,
    StatisticsRow,
)
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import usage_counts
from storage.plans import rows_read

ME = "me"
TYPES = ("tool.called", "tool.returned", "tool.failed", "model.error", "failed", "errors", "a.b.x")
ANSWERS = {"completed", "error", "failed", "result", "returned"}


@dataclass(frozen=True)
class Known:
    """An event as the test knows it, with what its run was saved with."""

    run: NewRun
    root: str
    day: date
    event: Event


@pytest.fixture
async def relayed(own: PostgresStore) -> PostgresStore:
    for duty in (RELAY, USAGE_COUNTS):
        await own.feed.hold_duty(duty, ME)
    return own


async def count(store: PostgresStore) -> None:
    while await store.feed.publish(ME):
        pass
    while await store.feed.count_usage(ME):
        pass


def made_run(chance: random.Random, number: int) -> NewRun:
    return NewRun(
        "p" if number % 5 else "q",
        f"r{number}",
        plan_id=chance.choice(["", "plan"]),
        labels={"team": chance.choice(["red", "blue"])} if chance.random() < 0.7 else {},
        tags=tuple(chance.sample(["t", "u", "v"], chance.randrange(3))),
        parent_run_id=f"r{chance.choice([n for n in range(number) if bool(n % 5)])}"
        if number % 5 and number > 2 and chance.random() < 0.6
        else "",
    )


def made_event(chance: random.Random) -> Event:
    return Event(
        chance.choice(TYPES),
        node_id=chance.choice(["", "n1", "n2", "ñ"]),
        model=chance.choice(["", "m1", "m2"]),
        tool=chance.choice(["", "", "x", "y"]),
        usage=Usage(*(chance.randrange(100) for _ in range(5))) if chance.random() < 0.5 else None,
    )


async def history(store: PostgresStore, chance: random.Random) -> list[Known]:
    """Runs of two projects in trees, their events interleaved, and spread over three days."""
    runs = [made_run(chance, number) for number in range(14)]
    parents = {run.run_id: run.parent_run_id for run in runs}
    for run in runs:
        await store.save_run(run)
    known = []
    for _ in range(60):
        run = chance.choice(runs)
        events = [made_event(chance) for _ in range(chance.randrange(1, 5))]
        root = run.run_id
        while parents[root]:
            root = parents[root]
        appended = await store.append_events(RunKey(run.project, run.run_id), events)
        known += [
            Known(run, root, place.recorded_at.date(), event)
            for place, event in zip(appended, events, strict=True)
        ]
    return known


def key_of(known: Known, dimension: Dimension, query: StatisticsQuery) -> str:
    event, run = known.event, known.run
    return {
        Dimension.RUN: known.root if query.roll_up else run.run_id,
        Dimension.NODE: event.node_id,
        Dimension.MODEL: event.model,
        Dimension.TOOL: event.tool,
        Dimension.TYPE: event.type,
        Dimension.DAY: known.day.isoformat(),
        Dimension.LABEL: run.labels.get(query.label_key, ""),
    }[dimension]


def is_chosen(known: Known, where: StatisticsFilter, parents: dict[str, str]) -> bool:
    event, run = known.event, known.run
    above = {run.run_id}
    at = run.run_id
    while where.with_descendants and parents[at]:
        at = parents[at]
        above.add(at)
    return (
        (not where.run_ids or bool(above & set(where.run_ids)))
        and (not where.plan_id or run.plan_id == where.plan_id)
        and where.labels.items() <= run.labels.items()
        and set(where.tags) <= set(run.tags)
        and (not where.types or event.type in where.types)
        and (not where.models or event.model in where.models)
        and (not where.tools or event.tool in where.tools)
        and (not where.node_ids or event.node_id in where.node_ids)
        and (where.from_day is None or known.day >= where.from_day)
        and (where.to_day is None or known.day <= where.to_day)
    )


def row_of(keys: tuple[str, ...], of: list[Known]) -> StatisticsRow:
    words = [(each.event.type.split(".")[-1], each.event.tool) for each in of]
    return StatisticsRow(
        keys,
        events=len(of),
        errors=sum(word in {"error", "failed"} for word, _ in words),
        tool_calls=sum(bool(tool) and word not in ANSWERS for word, tool in words),
        runs=len({each.run.run_id for each in of}),
        usage=sum((each.event.usage or Usage() for each in of), Usage()),
    )


def recount(known: Iterable[Known], project: str, query: StatisticsQuery) -> list[StatisticsRow]:
    """What the query has to answer, from the events themselves."""
    parents = {each.run.run_id: each.run.parent_run_id for each in known}
    groups: dict[tuple[str, ...], list[Known]] = defaultdict(list)
    if not query.group_by:
        groups[()] = []
    for each in known:
        if each.run.project == project and is_chosen(each, query.where, parents):
            groups[tuple(key_of(each, by, query) for by in query.group_by)].append(each)
    by_run_first = sorted(
        range(len(query.group_by)), key=lambda place: query.group_by[place] is not Dimension.RUN
    )
    order = sorted(groups, key=lambda keys: [keys[place].encode() for place in by_run_first])
    return [row_of(keys, groups[keys]) for keys in order]


def made_query(chance: random.Random) -> StatisticsQuery:
    by = tuple(chance.sample(list(Dimension), chance.randrange(4)))

    def some(*of: str) -> tuple[str, ...]:
        return tuple(chance.sample(of, chance.randrange(1, 3))) if chance.random() < 0.2 else ()

    run_ids = tuple(chance.sample([f"r{n}" for n in range(15)], chance.choice([0, 0, 1, 3])))
    today = datetime.now(UTC).date()
    return StatisticsQuery(
        StatisticsFilter(
            run_ids=run_ids,
            with_descendants=bool(run_ids) and chance.random() < 0.6,
            plan_id=chance.choice(["", "", "plan"]),
            labels=chance.choice([{}, {}, {"team": "red"}]),
            tags=some("t", "u", "v"),
            types=some(*TYPES),
            models=some("m1", "m2"),
            tools=some("x", "y"),
            node_ids=some("n1", "ñ"),
            from_day=chance.choice([None, None, today - timedelta(1)]),
            to_day=chance.choice([None, None, today - timedelta(1)]),
        ),
        by,
        label_key="team" if Dimension.LABEL in by else "",
        roll_up=Dimension.RUN in by and chance.random() < 0.5,
    )


async def all_pages(
    store: PostgresStore, project: str, query: StatisticsQuery, limit: int
) -> list[StatisticsRow]:
    rows: list[StatisticsRow] = []
    after = None
    while True:
        page = await store.statistics.get_statistics(project, query, limit=limit, after=after)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.next_after
        if after is None:
            return rows


@pytest.mark.owner
@pytest.mark.parametrize("seed", range(3))
async def test_counts_equal_a_recount_of_random_histories_also_after_a_rebuild(
    relayed: PostgresStore, seed: int
) -> None:
    chance = random.Random(seed)
    known = await history(relayed, chance)
    await count(relayed)
    known = await spread(relayed, known)

    for turn in range(120):
        query = made_query(chance)
        project = chance.choice(["p", "p", "q"])
        limit = chance.choice([1, 2, 7, 1000])
        found = await all_pages(relayed, project, query, limit)
        assert found == recount(known, project, query), query
        if turn == 80:
            await relayed.feed.forget_usage(ME)
            await count(relayed)


async def spread(store: PostgresStore, known: list[Known]) -> list[Known]:
    """Let a third of the events each be of yesterday and of the day before."""
    async with store._engine.begin() as conn:
        await conn.execute(system("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            system("UPDATE events SET recorded_at = recorded_at - (seq % 3) * interval '1 day'")
        )
    await store.feed.forget_usage(ME)
    await count(store)
    seqs: dict[str, int] = defaultdict(int)
    moved = []
    for each in known:
        seqs[each.run.run_id] += 1
        days = timedelta(seqs[each.run.run_id] % 3)
        moved.append(Known(each.run, each.root, each.day - days, each.event))
    return moved


async def test_without_a_grouping_there_is_a_row_also_of_nothing(relayed: PostgresStore) -> None:
    page = await relayed.statistics.get_statistics("nobody", StatisticsQuery(), limit=10)

    assert page == StatisticsPage((StatisticsRow((), 0, 0, 0, 0, Usage()),), None, 0)


async def test_no_group_comes_twice_while_others_are_counted(relayed: PostgresStore) -> None:
    key = (await relayed.save_run(NewRun("p", "r"))).run.key
    await relayed.append_events(key, [Event("x", node_id=f"n{n}") for n in range(0, 20, 2)])
    await count(relayed)
    query = StatisticsQuery(group_by=(Dimension.NODE,))

    first = await relayed.statistics.get_statistics("p", query, limit=5)
    await relayed.append_events(key, [Event("x", node_id=f"n{n}") for n in range(20)])
    await count(relayed)
    rest = await relayed.statistics.get_statistics("p", query, limit=99, after=first.next_after)

    keys = [row.keys[0] for row in (*first.rows, *rest.rows)]
    assert keys == sorted(set(keys))
    assert {row.events for row in rest.rows} == {1, 2}


async def test_sums_too_great_for_a_number_end_at_the_greatest(relayed: PostgresStore) -> None:
    key = (await relayed.save_run(NewRun("p", "r"))).run.key
    await relayed.append_events(key, [Event("x")])
    await count(relayed)
    async with relayed._engine.begin() as conn:
        await conn.execute(system(f"UPDATE usage_counts SET cost_micros = {2**63 - 1}"))
        await conn.execute(
            system(
                "INSERT INTO usage_counts SELECT run, day + 1, type, node_id, model, tool, facets,"
                " events, input_tokens, output_tokens, cached_input_tokens, cost_micros,"
                " duration_us FROM usage_counts"
            )
        )

    for by in ((), (Dimension.RUN,)):
        query = StatisticsQuery(group_by=by)
        (row,) = (await relayed.statistics.get_statistics("p", query, limit=1)).rows
        assert (row.events, row.usage.cost_micros) == (2, 2**63 - 1)


async def test_a_writer_waits_until_its_event_is_counted(relayed: PostgresStore) -> None:
    key = (await relayed.save_run(NewRun("p", "r"))).run.key
    await relayed.append_events(key, [Event("x")])

    with pytest.raises(StatisticsBehind) as behind:
        await relayed.statistics.wait_counted(FeedPoint(0, key, 1), 0)
    await relayed.feed.publish(ME)
    with pytest.raises(StatisticsBehind):
        await relayed.statistics.wait_counted(FeedPoint(1), 0.1)
    with pytest.raises(RunNotFound):
        await relayed.statistics.wait_counted(FeedPoint(0, RunKey("p", "none"), 1), 1)
    await count(relayed)

    await relayed.statistics.wait_counted(FeedPoint(1, key, 1), 5)
    assert behind.value.details == {"counted_position": "0", "awaited_position": "0"}


async def test_counting_an_event_of_a_long_run_reads_no_other(relayed: PostgresStore) -> None:
    key = (await relayed.save_run(NewRun("p", "long"))).run.key
    for _ in range(20):
        await relayed.append_events(key, [Event("x")] * 1000)
    await count(relayed)
    await relayed.append_events(key, [Event("y")])
    await relayed.feed.publish(ME)

    asked = {"duty": USAGE_COUNTS, "holder": ME, "limit": 2000}
    async with relayed._engine.connect() as conn:
        await conn.execute(system("ANALYZE events"))
        read = await rows_read(conn, usage_counts._ADD, asked)

    assert read < 100


async def test_a_sum_that_would_overflow_is_the_maximum(relayed: PostgresStore) -> None:
    largest = Usage(MAX_SUM, MAX_SUM, MAX_SUM, MAX_SUM, MAX_DURATION_US)
    for name in ("r1", "r2"):
        key = (await relayed.save_run(NewRun("p", name))).run.key
        for _ in range(2):
            await relayed.append_events(key, [Event("a", usage=largest)] * 2)
            await count(relayed)

    of_runs = await relayed.statistics.get_statistics(
        "p", StatisticsQuery(group_by=(Dimension.RUN,)), limit=10
    )
    of_all = await relayed.statistics.get_statistics("p", StatisticsQuery(), limit=10)

    assert [row.usage for row in of_runs.rows] == [largest, largest]
    assert [(row.events, row.usage) for row in of_all.rows] == [(8, largest)]
