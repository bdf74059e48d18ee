"""Fill a schema with runs as if they had been recorded, published and counted over 90 days.

Everything is made by Postgres from the numbers of runs and events, by hashes instead of chance, so
the same size always gives the same rows. Runs have 5 to a few thousand events, 54 on average; the
project LARGE has four tenths of them, SMALL one hundredth.
"""

from __future__ import annotations

import sys
import time

from runstore_storage.contract.feed import RELAY, SEARCH, STORED_BYTES, USAGE_COUNTS
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import Scope, bind
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import partitions
from runstore_storage.sql.columns import USAGE
from runstore_storage.sql.usage_counts import _FACETS, _KEY

LARGE, SMALL = "large", "small"
EVENTS_PER_RUN = 54
SEARCHABLE = 50_000
# Rows a statement makes.
SLICE = 200_000
ME = "bench"


def chance(of: str, salt: int, high: int) -> str:
    """An expression: a number below `high` that depends on `of` alone."""
    return f"((hashint8extended({of}, {salt}) & 9223372036854775807) % {high})"


_RUNS = f"""
    INSERT INTO runs (run, project, run_id, plan_id, objective, parent, external_ref, config_refs,
                      tags, labels, body_hash, created_at)
    OVERRIDING SYSTEM VALUE
    SELECT n,
        CASE WHEN p < 40 THEN '{LARGE}' WHEN p = 40 THEN '{SMALL}' ELSE 'project-' || p % 30 END,
        'run-' || n, CASE WHEN p % 2 = 0 THEN 'plan-' || {chance("n", 2, 200)} ELSE '' END,
        'find word' || {chance("n", 3, 5000)} || ' and word' || {chance("n", 4, 50)} || ' in task '
            || n,
        NULL,
        CASE WHEN {chance("n", 5, 10)} = 0
            THEN jsonb_build_array('jira', 'X-' || n, '', false) END,
        jsonb_build_array(jsonb_build_array('prompt', 'p' || {chance("n", 6, 100)}, 1, 'd')),
        ARRAY['all', 'tag-' || {chance("n", 7, 500)}],
        jsonb_build_object('team', 'team-' || {chance("n", 8, 20)}, 'user',
                           'user-' || {chance("n", 9, 2000)}),
        '\\x00', timestamptz '2026-01-01Z' + n * (interval '90 days' / :runs)
    FROM (SELECT n, {chance("n", 1, 100)} AS p FROM generate_series(1, :runs) AS n) AS numbers
"""
# A fifth of the runs was started by one shortly before, of the same project.
_PARENTS = f"""
    UPDATE runs SET parent = before.run FROM (
        SELECT run, lag(run, 7) OVER (PARTITION BY project ORDER BY run) AS earlier FROM runs
    ) AS before(of, run) WHERE runs.run = before.of AND {chance("runs.run", 10, 5)} = 0
"""
_HEADS = f"""
    INSERT INTO run_heads (run, last_seq, last_hash, status, outcome, updated_at, completed_at)
    SELECT run, size, '\\x00', status, CASE WHEN status IN (1, 2) THEN 0 ELSE status - 2 END,
           created_at + size * interval '1 second',
           CASE WHEN status NOT IN (1, 2) THEN created_at + size * interval '1 second' END
    FROM (
        SELECT run, created_at,
            CASE WHEN s < 1 THEN 1 + {chance("run", 14, 2)} WHEN s < 85 THEN 3 WHEN s < 95 THEN 4
                ELSE 5 END AS status,
            CASE WHEN k < 700 THEN 5 + z % 20 WHEN k < 950 THEN 30 + z % 60
                WHEN k < 995 THEN 200 + z % 200 ELSE 2000 + z % 2000 END AS size
        FROM (
            SELECT run, created_at, {chance("run", 11, 100)} AS s, {chance("run", 12, 1000)} AS k,
                   {chance("run", 13, 10000)} AS z FROM runs
        ) AS drawn
    ) AS sized
"""
_EVENTS = f"""
    INSERT INTO events (run, seq, event_id, type, node_id, actor, model, tool, tags, payload_json,
        payload_bytes, input_tokens, output_tokens, cached_input_tokens, cost_micros, duration_us,
        recorded_at, is_terminal, body_hash, hash)
    SELECT run, seq, 'e' || seq,
        CASE WHEN ends THEN 'run.completed' ELSE (ARRAY['model.called', 'model.returned',
            'tool.called', 'tool.returned', 'tool.failed', 'message'])[kind] END,
        'node-' || {chance("n", 21, 30)}, '',
        CASE WHEN kind = 2 THEN 'model-' || least({chance("n", 22, 12)}, {chance("n", 23, 12)})
            ELSE '' END,
        CASE WHEN kind IN (3, 4, 5)
            THEN 'tool-' || least({chance("n", 24, 40)}, {chance("n", 25, 40)}) ELSE '' END,
        CASE WHEN {chance("n", 26, 10)} = 0
            THEN ARRAY['t' || {chance("n", 27, 50)}] ELSE '{{}}' END,
        json_build_object('content', 'the word' || {chance("n", 28, 3000)} || ' of '
            || repeat('text ', 30)), 200,
        CASE WHEN kind = 2 THEN {chance("n", 29, 4000)} END,
        CASE WHEN kind = 2 THEN {chance("n", 30, 800)} END, CASE WHEN kind = 2 THEN 10 END,
        CASE WHEN kind = 2 THEN {chance("n", 31, 20000)} END,
        CASE WHEN kind IN (2, 4) THEN {chance("n", 32, 3000000)} END,
        created_at + seq * interval '1 second', ends, '\\x00', decode(repeat('00', 32), 'hex')
    FROM (
        SELECT h.run, s.seq, r.created_at, h.run * 100000 + s.seq AS n,
               (ARRAY[1, 2, 1, 2, 3, 4, 3, 4, 5, 6])[
                   1 + {chance("h.run * 100000 + s.seq", 20, 10)}] AS kind,
               s.seq = h.last_seq AND h.completed_at IS NOT NULL AS ends
        FROM run_heads h JOIN runs r USING (run)
        CROSS JOIN LATERAL generate_series(1, h.last_seq) AS s(seq)
        WHERE h.run BETWEEN :first AND :last
    ) AS facts
"""
_FEED = """
    INSERT INTO feed (last_position, run, first_seq, last_seq, project, published_at)
    SELECT sum(last_seq - first_seq + 1) OVER (ORDER BY run + 37 * chunk, run), run, first_seq,
           last_seq, project, created_at + last_seq * interval '1 second'
    FROM (
        SELECT h.run, c.chunk, 8 * c.chunk + 1 AS first_seq,
               least(8 * c.chunk + 8, h.last_seq) AS last_seq, r.project, r.created_at
        FROM run_heads h JOIN runs r USING (run)
        CROSS JOIN LATERAL generate_series(0, (h.last_seq - 1) / 8) AS c(chunk)
    ) AS ranges
"""
_COUNTS = f"""
    INSERT INTO usage_counts ({_KEY}, facets, events, {", ".join(USAGE)})
    SELECT e.run, (e.recorded_at AT TIME ZONE 'UTC')::date, e.type, e.node_id, e.model, e.tool,
           {_FACETS}, count(*), {", ".join(f"coalesce(sum(e.{name}), 0)::bigint" for name in USAGE)}
    FROM events e WHERE e.run BETWEEN :first AND :last GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_NEXT_RUN = "SELECT setval(pg_get_serial_sequence('runs', 'run'), (SELECT max(run) FROM runs))"
_REST = (
    f"""
    INSERT INTO snapshots (run, namespace, snapshot_id, seq, reason, manifest, parts_bytes,
                           metadata_json, metadata_terms, created_at, content_hash)
    SELECT run, '', 's' || n, n, 1, :manifest, 0, '{{"step": 1}}', ARRAY['step:' || n],
           created_at, '\\x00'
    FROM runs CROSS JOIN generate_series(1, 3) AS n WHERE {chance("run", 40, 3)} = 0
    """,
    f"""
    INSERT INTO artifacts (run, name, version, artifact_id, project, type, url, created_at)
    SELECT run, 'report.md', 1, 'a' || run, project, 'report', 'https://x/' || run, created_at
    FROM runs WHERE {chance("run", 41, 3)} = 0
    """,
    f"""
    INSERT INTO configs (project, kind, name, last_version, created_at)
    SELECT '{LARGE}', 'prompt', 'p' || n, 0, now() FROM generate_series(1, 2000) AS n
    """,
    """INSERT INTO stored_bytes (project, bytes)
        SELECT project, sum(payload_bytes) FROM events JOIN runs USING (run) GROUP BY project""",
    "INSERT INTO duties (name, position) SELECT :usage, max(last_position) FROM feed",
    "INSERT INTO duties (name, position) SELECT :stored, max(last_position) FROM feed",
    """INSERT INTO duties (name, position)
        SELECT :search, greatest(max(last_position) - :searchable, 0) FROM feed""",
    """INSERT INTO duties (name, position) SELECT :relay, max(last_position) FROM feed
        ON CONFLICT ON CONSTRAINT pk_duties DO UPDATE SET position = excluded.position""",
)


async def fill(store: PostgresStore, events: int) -> None:
    """About so many events in a schema that is new."""
    engine, began = store._engine, time.monotonic()
    runs = max(events // EVENTS_PER_RUN, 100)
    await execute(engine, _RUNS, runs=runs)
    await execute(engine, "ALTER TABLE runs DISABLE TRIGGER USER")
    await execute(engine, _PARENTS)
    await execute(engine, "ALTER TABLE runs ENABLE TRIGGER USER")
    await execute(engine, _HEADS)
    for first in range(0, runs + 1, partitions.RUNS_PER_PARTITION):
        async with writing(engine) as conn:
            await partitions.ensure(conn, first)
    step = SLICE // EVENTS_PER_RUN
    for first in range(1, runs + 1, step):
        await execute(engine, _EVENTS, first=first, last=first + step - 1)
        await execute(engine, _COUNTS, first=first, last=first + step - 1)
    await execute(engine, _FEED)
    await execute(engine, _NEXT_RUN)
    bind(Scope("seed"))
    seed = (await store.save_run(NewRun("seed"))).run.key
    await store.put_snapshot(seed, Snapshot())
    async with reading(engine) as conn:
        manifest = (await conn.execute(system("SELECT manifest FROM snapshots"))).scalar_one()
    names = {
        "manifest": manifest,
        "usage": USAGE_COUNTS,
        "stored": STORED_BYTES,
        "search": SEARCH,
        "relay": RELAY,
        "searchable": SEARCHABLE,
    }
    for sql in _REST:
        used = {name: value for name, value in names.items() if f":{name}" in sql}
        await execute(engine, sql, **used)
    await store.feed.hold_duty(SEARCH, ME)
    while await store.search.index_text(ME):
        await store.feed.hold_duty(SEARCH, ME)
    await vacuum(engine)
    print(f"filled {events:,} events in {time.monotonic() - began:.0f} s", file=sys.stderr)


async def execute(engine: Database, sql: str, **values: object) -> None:
    async with writing(engine) as conn:
        await conn.execute(system("SET LOCAL statement_timeout = 0"))
        await conn.execute(system("SET LOCAL synchronous_commit = off"))
        await conn.execute(system("SET LOCAL work_mem = '128MB'"))
        await conn.execute(system(sql), values)


async def vacuum(engine: Database) -> None:
    """What autovacuum would have done long ago."""
    async with reading(engine) as conn:
        await conn.execute(system("SET statement_timeout = 0"))
        await conn.execute(system("VACUUM (ANALYZE)"))
        await conn.execute(system("RESET statement_timeout"))
