"""Row policies, under which `make service` runs the store's contract, hide other projects' rows."""

from __future__ import annotations

from collections import Counter

import asyncpg
import pytest
from conftest import make_served_store
from row_policies import EVERY, TELL, add
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.payloads.offloading import LargePayloads
from storage.every_call import furnish

MINE, THEIRS = "mine", "theirs"
# No call of a project fills the limits and the counts; the duties have taken what is in the others.
EMPTY = {"outbox", "project_limits", "stored_changes", "usage_counts"}


async def seen(conn: asyncpg.Connection, scopes: str) -> Counter[str]:
    """How many rows there are in each table that has policies, for calls of these projects."""
    await conn.fetch(TELL, scopes)
    tables = await conn.fetch(
        "SELECT tablename FROM pg_policies WHERE schemaname = current_schema()"
    )
    return Counter(
        {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for (table,) in tables}
    )


@pytest.fixture(autouse=True)
async def two_projects(database_url: str, own_schema: str, owner: asyncpg.Connection) -> None:
    """Both have the same things, in a schema with policies."""
    store = make_served_store(database_url, own_schema, large_payloads=LargePayloads(100))
    try:
        for project in (MINE, THEIRS):
            with bound(Scope(project)):
                await furnish(store, project)
    finally:
        await store.close()
    await add(owner)


async def test_each_project_sees_its_own_rows_of_every_table(
    serving: asyncpg.Connection,
) -> None:
    mine, theirs = [await seen(serving, f"={project}") for project in (MINE, THEIRS)]

    assert {table for table, count in mine.items() if not count} <= EMPTY
    assert {table for table, count in theirs.items() if not count} <= EMPTY
    assert await seen(serving, f"={MINE}\n={THEIRS}") == mine + theirs
    assert await seen(serving, EVERY) == mine + theirs
    assert not +await seen(serving, "=nobodys")


async def test_no_row_of_another_project_is_made_or_changed(
    owner: asyncpg.Connection, serving: asyncpg.Connection
) -> None:
    theirs = await owner.fetchval("SELECT run FROM runs WHERE project = $1", THEIRS)

    await serving.fetch(TELL, f"={MINE}")
    changed = await serving.execute(
        "UPDATE run_heads SET last_seq = last_seq WHERE run = $1", theirs
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await serving.execute(
            "INSERT INTO outbox (run, first_seq, last_seq) VALUES ($1, 1, 1)", theirs
        )

    assert changed == "UPDATE 0"
