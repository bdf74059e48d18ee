"""The queries that the contracts promise, each as a call of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from runstore_storage.contract.artifacts import ArtifactFilter
from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.feed import FeedFilter
from runstore_storage.contract.heads import RunKey, RunStatus
from runstore_storage.contract.runs import ExternalFilter, PinFilter, RunFilter, RunOrder
from runstore_storage.contract.search import SearchFilter, SearchOrder, SearchQuery
from runstore_storage.contract.snapshots import SnapshotQuery, SnapshotSelector
from runstore_storage.contract.statistics import Dimension, StatisticsFilter, StatisticsQuery
from runstore_storage.postgres import PostgresStore

from bench.generate import LARGE, SMALL

Ask = Callable[[PostgresStore], Awaitable[object]]
LONG_RUN, OLD = RunKey(LARGE, ""), datetime(2026, 1, 10, tzinfo=UTC)
LATE = datetime(2026, 3, 25, tzinfo=UTC)


@dataclass(frozen=True)
class Query:
    """A query of a project; `whole` are tables it has a reason to read in full."""

    name: str
    ask: Ask
    project: str = LARGE
    whole: frozenset[str] = frozenset()
    why_whole: str = ""


def listing(
    name: str,
    where: RunFilter = RunFilter(),  # noqa: B008 - frozen
    order: RunOrder = RunOrder.CREATED_DESC,
    project: str = LARGE,
) -> Query:
    """The second page of a listing costs what the first does and is asked for too."""

    async def ask(store: PostgresStore) -> None:
        page = await store.list_runs(project, where, order, limit=20, after=None)
        if page.next_after:
            await store.list_runs(project, where, order, limit=20, after=page.next_after)

    return Query(f"ListRuns {name}", ask, project)


def statistics(
    name: str,
    *by: Dimension,
    where: StatisticsFilter = StatisticsFilter(),  # noqa: B008 - frozen
    project: str = LARGE,
    why_whole: str = "",
    **fields: object,
) -> Query:
    query = replace(StatisticsQuery(where, by), **fields)

    async def ask(store: PostgresStore) -> None:
        await store.statistics.get_statistics(project, query, limit=100)

    whole = frozenset({"usage_counts", "runs"}) if why_whole else frozenset()
    return Query(f"GetStatistics {name}", ask, project, whole, why_whole)


async def some_run(store: PostgresStore) -> RunKey:
    """A run of middling age."""
    where = RunFilter(created_before=LATE)
    page = await store.list_runs(LARGE, where, RunOrder.CREATED_DESC, limit=1, after=None)
    return page.items[0].key


def events(name: str, where: EventFilter, from_seq: int = 1) -> Query:
    async def ask(store: PostgresStore) -> None:
        key = await some_run(store)
        await store.read_events(key, from_seq, limit=100, where=where)

    return Query(f"ListEvents {name}", ask)


def feed(name: str, where: FeedFilter, project: str = LARGE) -> Query:
    async def ask(store: PostgresStore) -> None:
        await store.feed.read_feed(project, 1000, limit=100, where=where)

    return Query(f"ReadFeed {name}", ask, project)


def search(name: str, query: SearchQuery) -> Query:
    async def ask(store: PostgresStore) -> None:
        await store.search.search_events(LARGE, query, limit=20)

    return Query(f"SearchEvents {name}", ask)


async def _one_snapshot(store: PostgresStore) -> None:
    page = await store.list_snapshots(SnapshotQuery(LARGE), limit=1, after=None)
    key = RunKey(LARGE, page.items[0].run_id)
    await store.get_snapshot(key, "", SnapshotSelector(at_seq=2))


async def _snapshots(store: PostgresStore) -> None:
    page = await store.list_snapshots(SnapshotQuery(LARGE), limit=20, after=None)
    await store.list_snapshots(SnapshotQuery(LARGE), limit=20, after=page.next_after)


async def _snapshots_of_run(store: PostgresStore) -> None:
    key = await some_run(store)
    await store.list_snapshots(SnapshotQuery(LARGE, key.run_id), limit=20, after=None)


async def _configs(store: PostgresStore) -> None:
    await store.configs.list_configs(LARGE, kind="prompt", name_prefix="p1", limit=20, after=None)


async def _artifacts(store: PostgresStore) -> None:
    key = await some_run(store)
    await store.artifacts.list_artifacts(
        LARGE, ArtifactFilter(run_id=key.run_id), limit=20, after=None
    )


async def _get_run(store: PostgresStore) -> None:
    await store.get_run(await some_run(store))


ALL_OF_IT = "adds up the whole project"
QUERIES = (
    Query("GetRun", _get_run),
    listing("newest"),
    listing("oldest", order=RunOrder.CREATED_ASC),
    listing("newest, small project", project=SMALL),
    listing("by update", order=RunOrder.UPDATED_DESC),
    listing("by update, ascending", order=RunOrder.UPDATED_ASC),
    listing("by update, small project", order=RunOrder.UPDATED_DESC, project=SMALL),
    listing("by completion", order=RunOrder.COMPLETED_DESC),
    listing("by completion, ascending", order=RunOrder.COMPLETED_ASC),
    listing("by completion, small project", order=RunOrder.COMPLETED_DESC, project=SMALL),
    listing("running", RunFilter(statuses=(RunStatus.RUNNING,))),
    listing("succeeded", RunFilter(statuses=(RunStatus.SUCCEEDED,))),
    listing("failed, by update", RunFilter(statuses=(RunStatus.FAILED,)), RunOrder.UPDATED_DESC),
    listing("all of two tags", RunFilter(tags=("all", "tag-7"))),
    listing("any of two tags", RunFilter(any_tags=("tag-7", "tag-8"))),
    listing("a common tag", RunFilter(tags=("all",))),
    listing("a label", RunFilter(labels={"user": "user-7"})),
    listing("two labels", RunFilter(labels={"team": "team-3", "user": "user-7"})),
    listing("a plan", RunFilter(plan_id="plan-8")),
    listing("a parent", RunFilter(parent_run_id="run-100")),
    listing("a tree", RunFilter(root_run_id="run-100")),
    listing("an external ref", RunFilter(external=ExternalFilter("jira", "X-1000"))),
    listing("an external system", RunFilter(external=ExternalFilter("jira"))),
    listing("a model", RunFilter(model="model-0")),
    listing("a rare model", RunFilter(model="model-11")),
    listing("no such model", RunFilter(model="none")),
    listing("a tool", RunFilter(tool="tool-39")),
    listing("a config version", RunFilter(config=PinFilter("prompt", "p7", 1))),
    listing("saved long ago", RunFilter(created_before=OLD)),
    listing("saved lately, ascending", RunFilter(created_from=LATE), RunOrder.CREATED_ASC),
    listing("updated in a range", RunFilter(updated_from=OLD, updated_before=LATE)),
    listing("updated lately", RunFilter(updated_from=LATE), RunOrder.UPDATED_ASC),
    listing("completed before", RunFilter(completed_before=OLD), RunOrder.COMPLETED_DESC),
    listing("completed lately", RunFilter(completed_from=LATE)),
    listing("a rare word", RunFilter(text="word4321")),
    listing("common words", RunFilter(text="find task")),
    listing("no such word", RunFilter(text="nowhere")),
    events("by seq", EventFilter(), 5),
    events("by type", EventFilter(types=("tool.failed",))),
    events("by node", EventFilter(node_ids=("node-7",))),
    events("by tags", EventFilter(tags=("t7",))),
    Query("GetSnapshot at a seq", _one_snapshot),
    Query("ListSnapshots of a project", _snapshots),
    Query("ListSnapshots of a run", _snapshots_of_run),
    feed("of a project", FeedFilter()),
    feed("of all", FeedFilter(), ""),
    feed("of a small project", FeedFilter(), SMALL),
    feed("by type", FeedFilter(types=("tool.failed",))),
    feed("by tags", FeedFilter(tags=("t7",))),
    feed("by label", FeedFilter(labels={"team": "team-3"})),
    statistics("of all", why_whole=ALL_OF_IT),
    statistics("by model and day", Dimension.MODEL, Dimension.DAY, why_whole=ALL_OF_IT),
    statistics("by node", Dimension.NODE, why_whole=ALL_OF_IT),
    statistics("by label", Dimension.LABEL, label_key="team", why_whole=ALL_OF_IT),
    statistics("by run", Dimension.RUN),
    statistics("by run and tool", Dimension.RUN, Dimension.TOOL),
    statistics("by root", Dimension.RUN, roll_up=True, why_whole=ALL_OF_IT),
    statistics("of a small project", Dimension.TYPE, project=SMALL),
    statistics("of a run", Dimension.TYPE, where=StatisticsFilter(run_ids=("run-100",))),
    statistics(
        "of a tree",
        Dimension.RUN,
        where=StatisticsFilter(run_ids=("run-100",), with_descendants=True),
    ),
    statistics("of a label", Dimension.DAY, where=StatisticsFilter(labels={"user": "user-7"})),
    statistics("of a plan", Dimension.MODEL, where=StatisticsFilter(plan_id="plan-8")),
    statistics("of a model", Dimension.DAY, where=StatisticsFilter(models=("model-11",))),
    statistics("of two days", Dimension.TOOL, where=StatisticsFilter(from_day=date(2026, 3, 30))),
    Query("ListConfigs by prefix", _configs),
    Query("ListArtifacts of a run", _artifacts),
    search("a rare word", SearchQuery("word2000")),
    search("newest", SearchQuery("text", order=SearchOrder.NEWEST)),
    search("of a tool", SearchQuery("word7", SearchFilter(tool="tool-3"))),
)
