"""Store.list_runs: what each filter selects, each order, and pages while others write."""

import random
from datetime import datetime, timedelta

import pytest
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY, USAGE_COUNTS
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.pages import Page
from runstore_storage.contract.runs import (
    ExternalFilter,
    ExternalRef,
    NewRun,
    Run,
    RunCursor,
    RunFilter,
    RunOrder,
)
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore


async def listed(
    store: PostgresStore,
    project: str,
    where: RunFilter = RunFilter(),  # noqa: B008 - frozen
    order: RunOrder = RunOrder.CREATED_ASC,
    limit: int = 2,
) -> list[str]:
    found: list[str] = []
    after: RunCursor | None = None
    while True:
        page = await store.list_runs(project, where, order, limit=limit, after=after)
        found += names(page)
        after = page.next_after
        if after is None:
            return found


def names(page: Page[Run, RunCursor]) -> list[str]:
    return [run.born.run_id for run in page.items]


async def saved(store: PostgresStore, project: str, run_id: str, **born: object) -> RunKey:
    return (await store.save_run(NewRun(project, run_id, **born))).run.key


async def backdate(store: PostgresStore, key: RunKey, *, hours: float) -> datetime:
    """Let a run have been updated hours ago; the new time."""
    async with store._engine.begin() as conn:
        found = await conn.execute(
            system(
                "UPDATE run_heads h SET updated_at = h.updated_at - CAST(:p1 AS interval)"
                " FROM runs r"
                " WHERE r.run = h.run AND r.project = :p2 AND r.run_id = :p3 RETURNING h.updated_at"
            ),
            {"p1": timedelta(hours=hours), "p2": key.project, "p3": key.run_id},
        )
        at: datetime = found.scalar_one()
        return at


async def test_some_of_the_tags_is_enough_for_any(store: PostgresStore, project: str) -> None:
    for name, tags in (("a", ("x", "y")), ("b", ("y",)), ("c", ("z",)), ("d", ())):
        await saved(store, project, name, tags=tags)

    assert await listed(store, project, RunFilter(any_tags=("x", "z"))) == ["a", "c"]
    assert await listed(store, project, RunFilter(any_tags=("x", "y"), tags=("y",))) == ["a", "b"]
    assert await listed(store, project, RunFilter(any_tags=("none",))) == []


async def test_a_tree_is_the_run_and_all_below_it(store: PostgresStore, project: str) -> None:
    for name, parent in (("a", ""), ("b", "a"), ("c", "b"), ("d", "a"), ("e", ""), ("f", "e")):
        await saved(store, project, name, parent_run_id=parent)
    await saved(store, project + "/other", "a")
    await saved(store, project + "/other", "x", parent_run_id="a")

    assert await listed(store, project, RunFilter(root_run_id="a")) == ["a", "b", "c", "d"]
    assert await listed(store, project, RunFilter(root_run_id="b")) == ["b", "c"]
    assert await listed(store, project, RunFilter(root_run_id="none")) == []


async def test_an_external_ref_is_compared_by_its_places(
    store: PostgresStore, project: str
) -> None:
    await saved(store, project, "a", external_ref=ExternalRef("jira", "X-1", "http://x"))
    await saved(store, project, "b", external_ref=ExternalRef("jira", "X-2"))
    await saved(store, project, "c", external_ref=ExternalRef("X-1", "jira", owns_status=True))
    await saved(store, project, "d", external_ref=ExternalRef("other", "X-9", "jira"))
    await saved(store, project, "e")

    async def of(system: str, id_: str = "") -> list[str]:
        return await listed(store, project, RunFilter(external=ExternalFilter(system, id_)))

    assert await of("jira") == ["a", "b"]
    assert await of("jira", "X-1") == ["a"]
    assert await of("X-1", "jira") == ["c"]
    assert await of("none") == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("fox", ["a", "b"]),
        ("FOX red", ["a"]),
        ('"red fox"', ["a"]),
        ('"fox red"', []),
        ("red or blue", ["a", "b"]),
        ("fox -red", ["b"]),
        ("foxes", []),
        ("late", []),
        ("&!|", []),
        ("';--", []),
    ],
)
async def test_words_of_the_objective_select(
    store: PostgresStore, project: str, words: str, found: list[str]
) -> None:
    await saved(store, project, "a", objective="find the red fox")
    await saved(store, project, "b", objective="a Fox, blue")
    await saved(store, project, "c", objective="x " * 5_000 + "late")

    assert await listed(store, project, RunFilter(text=words)) == found


async def test_no_objective_is_too_much_for_its_index(store: PostgresStore, project: str) -> None:
    for number, unit in enumerate(
        ("\U0001d49c\U0001d4b7-", "ñ", "a.b/c?d=", "字 ", "\U0001f680", "x@y.z ")
    ):
        await saved(store, project, f"r{number}", objective=(unit * 100_000)[:100_000])

    assert len(await listed(store, project)) == 6


async def test_runs_are_selected_by_when_they_were_updated_and_completed(
    store: PostgresStore, project: str
) -> None:
    keys = {name: await saved(store, project, name) for name in "abcd"}
    at = {name: await backdate(store, keys[name], hours=h) for name, h in (("a", 30), ("b", 2.5))}
    await store.complete_run(keys["c"], Completion(Outcome.SUCCEEDED))
    done = (await store.get_run(keys["c"])).completed_at
    assert done
    soon = done + timedelta(microseconds=1)

    async def of(**where: datetime) -> list[str]:
        return await listed(store, project, RunFilter(**where))

    assert await of(updated_from=at["b"]) == ["b", "c", "d"]
    assert await of(updated_before=at["b"]) == ["a"]
    assert await of(updated_from=at["a"], updated_before=soon - timedelta(hours=1)) == ["a", "b"]
    assert await of(completed_from=done) == ["c"]
    assert await of(completed_from=soon) == []
    assert await of(completed_before=soon) == ["c"]
    assert await of(completed_before=done) == []


async def test_each_order_is_the_one_of_its_times(store: PostgresStore, project: str) -> None:
    chance = random.Random(7)
    keys = [await saved(store, project, f"r{number}") for number in range(12)]
    for key in chance.sample(keys, 7):
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    for key in keys:
        await backdate(store, key, hours=chance.choice([0, 0, 0.4, 1, 1.5, 30]))
    runs = [await store.get_run(key) for key in keys]

    def ordered(name: str) -> list[str]:
        known = [run for run in runs if getattr(run, name)]
        return [run.born.run_id for run in sorted(known, key=lambda run: getattr(run, name))]

    for name in ("created", "updated", "completed"):
        for limit in (1, 5, 100):
            up, down = RunOrder[f"{name.upper()}_ASC"], RunOrder[f"{name.upper()}_DESC"]
            expected = ordered(f"{name}_at")
            assert await listed(store, project, order=up, limit=limit) == expected
            assert await listed(store, project, order=down, limit=limit) == expected[::-1]
    assert len(ordered("completed_at")) == 7


@pytest.mark.parametrize("order", list(RunOrder))
async def test_no_run_is_listed_twice_while_others_write(
    store: PostgresStore, project: str, order: RunOrder
) -> None:
    chance = random.Random(order.value)
    keys = [await saved(store, project, f"r{number}") for number in range(20)]
    for key in keys[::2]:
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    still = set(await listed(store, project, order=order))
    found: list[str] = []
    after: RunCursor | None = None
    while True:
        page = await store.list_runs(project, RunFilter(), order, limit=3, after=after)
        found += names(page)
        after = page.next_after
        if after is None:
            break
        for key in chance.sample(keys[1::2], 3):
            await store.append_events(key, [Event("x")])
            still.discard(key.run_id)
        await saved(store, project, f"new{len(found)}")

    assert len(found) == len(set(found))
    assert still <= set(found)


async def test_models_and_tools_select_before_and_after_they_are_counted(
    own: PostgresStore,
) -> None:
    for duty in (RELAY, USAGE_COUNTS):
        await own.feed.hold_duty(duty, "me")
    for number in range(6):
        key = await saved(own, "p", f"r{number}")
        await own.append_events(key, [Event("x"), Event("x", model=f"m{number % 2}", tool="t")])
    await own.append_events(await saved(own, "q", "r"), [Event("x", model="m1", tool="t")])
    wanted = (
        (RunFilter(model="m1"), ["r1", "r3", "r5"]),
        (RunFilter(tool="t", model="m0"), ["r0", "r2", "r4"]),
        (RunFilter(model="none"), []),
    )

    async def check() -> None:
        for where, found in wanted:
            assert await listed(own, "p", where) == found

    await check()
    await own.feed.publish("me")
    await check()
    await own.feed.count_usage("me")
    await check()
    await own.feed.forget_usage("me")
    await check()


async def test_appends_within_an_hour_do_not_touch_the_indexes_of_heads(
    own: PostgresStore,
) -> None:
    key = await saved(own, "p", "r")
    await own.append_events(key, [Event("x")])

    async with own._engine.begin() as conn:
        for _ in range(20):
            await conn.execute(
                system(
                    "UPDATE run_heads SET last_seq = last_seq + 1,"
                    " updated_at = updated_at + interval '1 microsecond'"
                )
            )
        found = await conn.execute(
            system(
                "SELECT pg_stat_get_xact_tuples_updated(c.oid),"
                " pg_stat_get_xact_tuples_hot_updated(c.oid) FROM pg_class c"
                " WHERE c.oid = 'run_heads'::regclass"
            )
        )
        updated, hot = found.one()

    assert updated >= 20
    assert hot >= updated - 1  # the clock may have struck since the run was saved


async def test_a_status_is_of_now(store: PostgresStore, project: str) -> None:
    key = await saved(store, project, "a")
    await saved(store, project, "b")

    await store.complete_run(key, Completion(Outcome.FAILED))

    async def of(status: RunStatus) -> list[str]:
        return await listed(store, project, RunFilter(statuses=(status,)))

    assert await of(RunStatus.RUNNING) == ["b"]
    assert await of(RunStatus.FAILED) == ["a"]
