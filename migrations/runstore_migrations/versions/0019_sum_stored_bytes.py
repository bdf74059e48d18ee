"""Add what a project stores, summed: the tables that a duty keeps the sums in, and a limit of them.

No write waits for a sum. Events are added from the feed. Of everything else, triggers note in the
write's own transaction how much it adds or takes: by a row of `stored_changes`, which the duty
takes into `stored_bytes`. So whatever deletes rows gives their bytes back, and servers of the
version before are counted. What is there already is summed by the duty, some runs at a time:
`stored_scan` is how far it has come. Until it has reached a run, changes of that are left out, as
they are in the rows that it will sum.

A change is of a kind: 1 of a run, 2 of an object, 3 of a config, with the number of that as its
key. Events that are deleted are of kind 0, whose changes always count.

`stored_bytes` and `stored_scan` are small enough to stand on every node; `stored_changes` is part
of what is in one order, beside the outbox.

Locks: ACCESS EXCLUSIVE on project_limits, SHARE ROW EXCLUSIVE on each table that gets a trigger,
one after the other and no two at once, all for a moment. Rows touched: one.
"""

from collections.abc import Iterator

from alembic import op

revision = "0019"
down_revision = "0018"

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS stored_bytes (
        project text COLLATE "C" NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT pk_stored_bytes PRIMARY KEY (project)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE IF NOT EXISTS stored_changes (
        id bigint GENERATED ALWAYS AS IDENTITY,
        kind smallint NOT NULL,
        key bigint NOT NULL,
        project text COLLATE "C" NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT pk_stored_changes PRIMARY KEY (id),
        CONSTRAINT ck_stored_changes_kind CHECK (kind BETWEEN 0 AND 3)
    )
    """,
    """
    ALTER TABLE stored_changes SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS stored_scan (
        is_only boolean NOT NULL DEFAULT true,
        kind smallint NOT NULL DEFAULT 1,
        key bigint NOT NULL DEFAULT 0,
        CONSTRAINT pk_stored_scan PRIMARY KEY (is_only),
        CONSTRAINT ck_stored_scan_is_only CHECK (is_only)
    )
    """,
    "INSERT INTO stored_scan DEFAULT VALUES ON CONFLICT DO NOTHING",
    """
    ALTER TABLE project_limits
        ADD COLUMN IF NOT EXISTS stored_bytes bigint NOT NULL DEFAULT 0,
        DROP CONSTRAINT IF EXISTS ck_project_limits_stored_bytes,
        ADD CONSTRAINT ck_project_limits_stored_bytes CHECK (stored_bytes >= 0)
    """,
    # Servers of the version before write on meanwhile, as roles that have no right to new tables.
    """
    DO $$
    DECLARE
        writer text;
    BEGIN
        FOR writer IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(relacl)
            WHERE c.relname = 'events' AND n.nspname = current_schema()
                AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT INSERT ON stored_changes TO ' || writer;
        END LOOP;
    END $$
    """,
)


def payload(name: str) -> str:
    """How many bytes a payload has."""
    return f"coalesce(octet_length({name}_json::text), octet_length({name}_binary), 0)"


# What the rows of a table hold, the kind of the change and its key, and where the project is.
HELD = {
    "events": ("sum(payload_bytes) FILTER (WHERE payload_blob IS NULL)", 0, "run", "runs"),
    "blobs": ("sum(raw_bytes)", 1, "run", "runs"),
    "snapshots": (f"sum(octet_length(manifest) + {payload('metadata')})", 1, "run", "runs"),
    "task_writes": (f"sum({payload('payload')})", 1, "run", "runs"),
    "outputs": (
        f"sum({payload('payload')} + {payload('provenance')} + {payload('statistics')})",
        *(1, "run", "runs"),
    ),
    "objects": ("sum(size)", 2, "object", "changed"),
    "config_versions": (f"sum(raw_bytes + {payload('metadata')})", 3, "config", "configs"),
}
FUNCTION = """
    CREATE OR REPLACE FUNCTION note_stored_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT {kind}, {key}, project, TG_ARGV[0]::integer * held
        FROM (SELECT {key}, {held} AS held FROM changed GROUP BY {key}) AS sums
            JOIN {owners} USING ({key})
        WHERE held <> 0;
        RETURN NULL;
    END $$
"""
TRIGGER = """
    CREATE OR REPLACE TRIGGER tr_{table}_stored_{name} AFTER {event} ON {table}
        REFERENCING {rows} TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_{table}('{sign}')
"""
ADDED = {"name": "added", "event": "INSERT", "rows": "NEW", "sign": 1}
REMOVED = {"name": "removed", "event": "DELETE", "rows": "OLD", "sign": -1}
BEFORE = {"name": "before", "event": "UPDATE", "rows": "OLD", "sign": -1}
AFTER = {"name": "after", "event": "UPDATE", "rows": "NEW", "sign": 1}
# Rows of the others are never changed, and events are added from the feed.
TRIGGERS = {table: (ADDED, REMOVED) for table in HELD if table not in {"events", "task_writes"}} | {
    "events": (REMOVED,),
    "task_writes": (ADDED, REMOVED, BEFORE, AFTER),
}
# Most runs have no plan, and are saved at no cost.
PLAN_FUNCTION = """
    CREATE OR REPLACE FUNCTION note_stored_plan() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        VALUES (1, NEW.run, NEW.project, {plan});
        RETURN NULL;
    END $$
"""
PLAN_TRIGGER = """
    CREATE OR REPLACE TRIGGER tr_runs_stored_added AFTER INSERT ON runs FOR EACH ROW
        WHEN (NEW.plan_json IS NOT NULL OR NEW.plan_binary IS NOT NULL)
        EXECUTE FUNCTION note_stored_plan()
"""


def functions() -> Iterator[str]:
    for table, (held, kind, key, owners) in HELD.items():
        yield FUNCTION.format(table=table, held=held, kind=kind, owners=owners, key=key)
    yield PLAN_FUNCTION.format(plan=payload("NEW.plan"))


def triggers() -> Iterator[str]:
    for table, each in TRIGGERS.items():
        yield from (TRIGGER.format(table=table, **parts) for parts in each)
    yield PLAN_TRIGGER


def upgrade() -> None:
    for statement in (*TABLES, *functions()):
        op.execute(statement)
    # Each in a transaction of its own: writers hold locks on several of the tables.
    with op.get_context().autocommit_block():
        for statement in triggers():
            op.execute(statement)


def downgrade() -> None:
    """Forget the sums, and the limits of them."""
    for table in HELD:
        op.execute(f"DROP FUNCTION note_stored_{table}() CASCADE")
    op.execute("DROP FUNCTION note_stored_plan() CASCADE")
    op.execute("ALTER TABLE project_limits DROP COLUMN stored_bytes")
    for table in ("stored_scan", "stored_changes", "stored_bytes"):
        op.execute(f"DROP TABLE {table}")
