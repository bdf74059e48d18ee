"""Create removals, and let what they name be removed.

`removals` says what was decided to go, `removal_steps` what each transaction removed of it. Both
only grow, and have numbers and hashes only: a ledger that named whom it forgot would be a copy.
`open_removals` has those that are not done, `unnamed_objects` what is still to be removed from the
object store, which no row names any more and none ever will again.

What is kept for good is deleted only in a transaction that has written a step for its run, whoever
deletes it. refuse_change() lets that pass, and a run's row be cleared of all but its identity: it
keeps its number, id and parent, so that no other run gets them. Three functions do that with the
rights of the tables' owner: those who may insert events may call them.

A run without a head was deleted.

The tables are keyed by run or project; those of runs that are removed are looked up by run.

Locks: SHARE ROW EXCLUSIVE on run_heads, artifacts and requests, one after the other, for a moment;
blobs is indexed beside its writers. Rows touched: none.
"""

from alembic import op

from runstore_migrations.owned import secure

revision = "0022"
down_revision = "0021"

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS removals (
        removal bigint GENERATED ALWAYS AS IDENTITY,
        removal_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        run bigint NOT NULL,
        kind smallint NOT NULL,
        birth bytea NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        record bigint NOT NULL,
        begun_at timestamptz NOT NULL,
        CONSTRAINT pk_removals PRIMARY KEY (removal),
        CONSTRAINT uq_removals_record UNIQUE (project, record),
        CONSTRAINT fk_removals_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT fk_removals_record FOREIGN KEY (project, record)
            REFERENCES admin_records (project, number),
        CONSTRAINT ck_removals_kind CHECK (kind = 1),
        CONSTRAINT ck_removals_birth CHECK (octet_length(birth) = 32)
    )
    """,
    "CREATE INDEX IF NOT EXISTS ix_removals_run ON removals (run)",
    """
    CREATE TABLE IF NOT EXISTS removal_steps (
        step bigint GENERATED ALWAYS AS IDENTITY,
        removal bigint NOT NULL,
        removed_events bigint NOT NULL,
        is_last boolean NOT NULL,
        transaction bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        begun_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_removal_steps PRIMARY KEY (step),
        CONSTRAINT fk_removal_steps_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS open_removals (
        removal bigint NOT NULL,
        CONSTRAINT pk_open_removals PRIMARY KEY (removal),
        CONSTRAINT fk_open_removals_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS unnamed_objects (
        location text COLLATE "C" NOT NULL,
        removal bigint NOT NULL,
        CONSTRAINT pk_unnamed_objects PRIMARY KEY (removal, location),
        CONSTRAINT fk_unnamed_objects_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    )
    """,
    "CREATE INDEX IF NOT EXISTS ix_removal_steps_removal ON removal_steps (removal, step)",
    "CREATE INDEX IF NOT EXISTS ix_removal_steps_transaction ON removal_steps (transaction)",
    """
    CREATE UNIQUE INDEX IF NOT EXISTS uq_removal_steps_last ON removal_steps (removal)
        WHERE is_last
    """,
)
LEDGERS = ("removals", "removal_steps")
LEDGER_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE OR REPLACE TRIGGER tr_{table}_truncate BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)
# The number of a transaction comes again in a cluster that a dump was restored to, its time not.
IS_REMOVING = """
    CREATE OR REPLACE FUNCTION is_removing(of_run bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$
"""
# Of these tables a run's rows may be removed; the others are for good. Triggers are told by name,
# as those of partitions have their table's.
REFUSE_CHANGE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_artifacts_removed', 'tr_requests_removed')
        THEN
            IF is_removing(OLD.run) THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run)
                AND (NEW.run, NEW.project, NEW.run_id, NEW.created_at)
                    = (OLD.run, OLD.project, OLD.run_id, OLD.created_at)
                AND NEW.parent IS NOT DISTINCT FROM OLD.parent
                AND (NEW.plan_id, NEW.objective, NEW.config_refs, NEW.tags, NEW.labels,
                     NEW.body_hash) = ('', '', '[]', '{}', '{}', ''::bytea)
                AND num_nonnulls(NEW.plan_json, NEW.plan_binary, NEW.plan_type, NEW.external_ref,
                    NEW.subjects, NEW.salt, NEW.fork_parent, NEW.fork_seq, NEW.lineage) = 0
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$
"""
REFUSE_CHANGE_BEFORE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$
"""
CLEAR_RUN = """
    CREATE OR REPLACE FUNCTION clear_run(of_run bigint) RETURNS void
    LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project,
            -coalesce(octet_length(plan_json::text), octet_length(plan_binary), 0)
        FROM runs WHERE run = of_run AND num_nonnulls(plan_json, plan_binary) > 0;
        UPDATE runs SET plan_id = '', objective = '', plan_json = NULL, plan_binary = NULL,
            plan_type = NULL, external_ref = NULL, config_refs = '[]', tags = '{}', labels = '{}',
            subjects = NULL, salt = NULL, body_hash = '', fork_parent = NULL, fork_seq = NULL,
            lineage = NULL
        WHERE run = of_run;
        DELETE FROM run_heads WHERE run = of_run;
    END $$
"""
REMOVE_ROWS = """
    CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT is_removing(of_run) OR EXISTS (SELECT FROM run_heads WHERE run = of_run)
            OR from_table NOT IN ('events', 'snapshots', 'task_writes', 'outputs', 'requests',
                                  'search_rows', 'usage_counts', 'blobs')
        THEN
            RAISE EXCEPTION USING
                MESSAGE = from_table || ' of run ' || of_run || ' is not being removed',
                ERRCODE = 'restrict_violation';
        END IF;
        EXECUTE 'DELETE FROM ' || from_table || ' WHERE run = $1 AND ctid = ANY(ARRAY('
            || 'SELECT ctid FROM ' || from_table || ' WHERE run = $1 LIMIT $2))'
            USING of_run, most;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$
"""
# What the artifacts were of may be the content of other artifacts, too: whose it was is asked next.
REMOVE_ARTIFACTS = """
    CREATE OR REPLACE FUNCTION remove_artifacts(of_run bigint, most integer)
    RETURNS SETOF bigint LANGUAGE sql STRICT SECURITY DEFINER AS $$
        DELETE FROM artifacts WHERE run = of_run AND ctid = ANY(ARRAY(
            SELECT ctid FROM artifacts WHERE run = of_run LIMIT most))
            AND NOT EXISTS (SELECT FROM run_heads WHERE run = of_run)
        RETURNING object
    $$
"""
# A temporary table of the caller's would be found first.
BIND = """
    DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION is_removing(bigint) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$
"""
FUNCTIONS = (
    "clear_run(bigint)",
    "remove_artifacts(bigint, integer)",
    "remove_rows(text, bigint, integer)",
)
# What they touch belongs to whoever migrates, which may be another role than the owner of events.
GRANT_OWNER = """
    DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT ON removals, removal_steps, stored_changes TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$
"""
GUARDED = ("run_heads", "artifacts", "requests")
GUARD = """
    CREATE OR REPLACE TRIGGER tr_{table}_removed BEFORE DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    for statement in (
        *TABLES,
        IS_REMOVING,
        REFUSE_CHANGE,
        BIND,
        CLEAR_RUN,
        REMOVE_ARTIFACTS,
        REMOVE_ROWS,
    ):
        op.execute(statement)
    for table in LEDGERS:
        for trigger in LEDGER_TRIGGERS:
            op.execute(trigger.format(table=table))
    for function in FUNCTIONS:
        op.execute(secure(function))
    op.execute(GRANT_OWNER)
    with op.get_context().autocommit_block():
        for table in GUARDED:
            op.execute(GUARD.format(table=table))
        # Whether another run's row names an object is asked before the object is removed.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_blobs_location")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_blobs_location ON blobs (location)"
            " WHERE location IS NOT NULL"
        )


# The version before would take the id of a deleted run for one that is in use by another.
DOWN = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM removals)
        THEN RAISE EXCEPTION 'runs were deleted, which the version before does not know';
        END IF;
    END $$
"""


def downgrade() -> None:
    """Refuse where something was removed."""
    op.execute(DOWN)
    op.execute("DROP INDEX ix_blobs_location")
    for table in GUARDED:
        op.execute(f"DROP TRIGGER tr_{table}_removed ON {table}")
    op.execute(REFUSE_CHANGE_BEFORE)
    for function in (*FUNCTIONS, "is_removing(bigint)"):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("unnamed_objects", "open_removals", *reversed(LEDGERS)):
        op.execute(f"DROP TABLE {table}")
