"""Searches among very many events, asked of the store itself."""

from __future__ import annotations

from runstore_migrations import schema as schemas

from bench import search
from bench.figure import Taken, say
from bench.setting import Setting
from bench.store import opened

SCHEMA = "searches"


async def slowest(setting: Setting) -> list[Taken]:
    """p95 of the slowest of the queries of `bench.search`; all of them are in the notes."""
    await schemas.upgrade(setting.url, SCHEMA)
    store = opened(setting.url, SCHEMA)
    try:
        await search.fill(store, setting.options.events)
        say(f"{setting.options.events:,} events are searchable")
        await search.measure(store)
        rounds = [await search.measure(store) for _ in range(setting.options.rounds)]
    finally:
        await store.close()
    by_query = {name: [each[name].p95 for each in rounds] for name in search.QUERIES}
    worst = max(by_query, key=lambda name: max(by_query[name]))
    notes = {"slowest_query": worst, "p95_ms": by_query, "events": setting.options.events}
    return [Taken("search", by_query[worst], notes=notes)]
