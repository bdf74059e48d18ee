"""What a client of Postgres does without us: the baselines over asyncpg."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import partial
from random import choice
from typing import Any
from uuid import uuid4

from runstore_storage.database.statements import system
from runstore_storage.sql.columns import insert_rows
from runstore_storage.sql.events import NEW_COLUMNS as COLUMNS

from bench.jobs.channels import pool
from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS

PAGE = 256

_INSERT = system(insert_rows("events", COLUMNS)).sql
_EMPTY = {"node_id": "", "actor": "", "model": "", "payload_type": "", "trace_parent": ""}


def _rows(run: int, after: int, count: int) -> list[list[object]]:
    """Columns of events as the store would write them; no columns are left out."""
    rows = []
    for seq in range(after + 1, after + count + 1):
        payload = choice(PAYLOADS)
        given = _EMPTY | {
            "run": run,
            "seq": seq,
            "event_id": str(uuid4()),
            "type": "tool.returned",
            "tool": "search",
            "tags": "{}",
            "payload_json": payload,
            "payload_bytes": len(payload),
            "recorded_at": datetime.now(UTC),
            "is_terminal": False,
            "body_hash": os.urandom(32),
            "hash": os.urandom(32),
        }
        rows.append([given.get(name) for name, _ in COLUMNS])
    return [list(column) for column in zip(*rows, strict=True)]


async def inserts(
    url: str, schema: str, runs: list[int], batch: int, seconds: float
) -> dict[str, Any]:
    """Transactions that insert a batch of events into the same table, one writer a run."""
    connections = await pool(url, schema)
    last = {run: await _last_seq(connections, run) for run in runs}

    async def insert(run: int) -> int:
        async with connections.acquire() as conn, conn.transaction():
            await conn.execute(_INSERT, *_rows(run, last[run], batch))
        last[run] += batch
        return batch

    return await repeated([partial(insert, run) for run in runs], seconds)


async def transactions(url: str, schema: str, run: int, calls: int) -> dict[str, Any]:
    """One event a transaction, one at a time: milliseconds of each, its commit included."""
    connections = await pool(url, schema)
    last, times = await _last_seq(connections, run), []
    async with connections.acquire() as conn:
        for seq in range(last, last + calls):
            rows = _rows(run, seq, 1)
            began = time.perf_counter()
            async with conn.transaction():
                await conn.execute(_INSERT, *rows)
            times.append((time.perf_counter() - began) * 1000)
    return {"times": times}


async def pages(url: str, schema: str, run: int) -> dict[str, Any]:
    """All events of a run in pages."""
    count = seq = 0
    async with (await pool(url, schema)).acquire() as conn:
        query = await conn.prepare(
            f"SELECT * FROM events WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT {PAGE}"
        )
        while rows := await query.fetch(run, seq):
            count, seq = count + len(rows), rows[-1]["seq"]
    return {"count": count}


async def row(url: str, schema: str, run_id: str, calls: int) -> dict[str, Any]:
    """One indexed row, read alone: milliseconds of each read."""
    times = []
    async with (await pool(url, schema)).acquire() as conn:
        query = await conn.prepare("SELECT * FROM runs WHERE project = $1 AND run_id = $2")
        for _ in range(calls):
            began = time.perf_counter()
            assert await query.fetchrow("bench", run_id)
            times.append((time.perf_counter() - began) * 1000)
    return {"times": times}


async def _last_seq(connections: Any, run: int) -> int:
    found: int = await connections.fetchval(
        "SELECT coalesce(max(seq), 0) FROM events WHERE run = $1", run
    )
    return found
