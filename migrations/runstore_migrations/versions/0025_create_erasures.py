"""Create erasures: what events said, removed, while their places in the chain stay.

`erasure_requests` says what was asked for, and `erasure_targets` what of it is still to be done; a
subject stands in the targets alone, and goes with them. `erasures` keeps of each erased event the
hash by which its chain still holds.

refuse_change() lets what may be erased of an event be set to nothing, and nothing else of it, in a
transaction that has written a step for its run and noted the event in `erasures`. erase_events()
does that with the rights of the tables' owner.

The tables are keyed by run, or small.

Locks: ACCESS EXCLUSIVE on removals, for a moment. Rows touched: none; removals are read for the new
constraint.
"""

from importlib import import_module

from alembic import op

from runstore_migrations.owned import secure

revision = "0025"
down_revision = "0024"

TABLES = (
    """
    CREATE TABLE erasure_requests (
        erasure bigint GENERATED ALWAYS AS IDENTITY,
        erasure_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        record bigint NOT NULL,
        subject_salt bytea,
        subject_hash bytea,
        begun_at timestamptz NOT NULL,
        CONSTRAINT pk_erasure_requests PRIMARY KEY (erasure),
        CONSTRAINT uq_erasure_requests_erasure_id UNIQUE (project, erasure_id),
        CONSTRAINT uq_erasure_requests_record UNIQUE (project, record),
        CONSTRAINT fk_erasure_requests_record FOREIGN KEY (project, record)
            REFERENCES admin_records (project, number)
    )
    """,
    """
    CREATE TABLE erasure_targets (
        erasure bigint NOT NULL CONSTRAINT fk_erasure_targets_erasure REFERENCES erasure_requests,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        subject text COLLATE "C",
        CONSTRAINT pk_erasure_targets PRIMARY KEY (erasure, run, first_seq)
    )
    """,
    """
    CREATE TABLE erasures (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        sealed bytea,
        removal bigint NOT NULL,
        erased_at timestamptz NOT NULL,
        CONSTRAINT pk_erasures PRIMARY KEY (run, seq),
        CONSTRAINT fk_erasures_removal FOREIGN KEY (removal) REFERENCES removals (removal),
        CONSTRAINT ck_erasures_sealed CHECK (octet_length(sealed) = 32)
    )
    """,
    """
    ALTER TABLE removals
        ADD COLUMN erasure bigint,
        ADD CONSTRAINT fk_removals_erasure FOREIGN KEY (erasure)
            REFERENCES erasure_requests (erasure),
        DROP CONSTRAINT ck_removals_kind,
        ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5, 6))
    """,
    "CREATE INDEX ix_removals_erasure ON removals (erasure, run) WHERE erasure IS NOT NULL",
)
LEDGERS = ("erasure_requests", "erasures")
GUARDS = {"append_only": "UPDATE OR DELETE", "truncate": "TRUNCATE"}
GUARD = """
    CREATE TRIGGER tr_{table}_{name} BEFORE {change} ON {table}
        FOR EACH {each} EXECUTE FUNCTION refuse_change()
"""
# `*=` compares what is stored, as json has no equality.
REFUSE_CHANGE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        erased record;
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed', 'tr_erasures_append_only')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'DELETE' AND TG_NAME = 'tr_artifacts_removed' THEN
            IF is_removing(OLD.run, '{1,4}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_events_append_only' THEN
            erased := OLD;
            erased.payload_json := NULL;
            erased.payload_binary := NULL;
            erased.payload_type := NULL;
            erased.payload_blob := NULL;
            erased.payload_bytes := 0;
            erased.actor := '';
            erased.tags := '{}';
            erased.subjects := NULL;
            erased.salt := NULL;
            IF is_removing(OLD.run, '{6}') AND NEW *= erased AND NOT OLD.is_terminal
                AND EXISTS (SELECT FROM erasures e WHERE e.run = OLD.run AND e.seq = OLD.seq)
            THEN RETURN NEW; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run, '{1}')
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
# A temporary table of the caller's would be found first.
BIND = """
    DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$
"""
# A payload that another event of the run has, or an output, stays with that one.
ERASE_EVENTS = """
    CREATE FUNCTION erase_events(
        of_run bigint, by_removal bigint, seqs bigint[], hashes bytea[]
    ) RETURNS SETOF text LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        named bigint[];
    BEGIN
        IF NOT is_removing(of_run, '{6}') THEN
            RAISE restrict_violation USING MESSAGE = 'run ' || of_run || ' is not being erased';
        END IF;
        INSERT INTO erasures (run, seq, sealed, removal, erased_at)
        SELECT of_run, new.seq, new.sealed, by_removal, now()
        FROM unnest(seqs, hashes) AS new(seq, sealed);
        named := ARRAY(
            SELECT DISTINCT payload_blob FROM events
            WHERE run = of_run AND seq = ANY(seqs) AND payload_blob IS NOT NULL);
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 0, r.run, r.project, -e.held
        FROM runs r, (
            SELECT sum(payload_bytes) AS held FROM events
            WHERE run = of_run AND seq = ANY(seqs) AND payload_blob IS NULL
        ) AS e
        WHERE r.run = of_run AND e.held > 0;
        UPDATE events SET payload_json = NULL, payload_binary = NULL, payload_type = NULL,
            payload_blob = NULL, payload_bytes = 0, actor = '', tags = '{}', subjects = NULL,
            salt = NULL
        WHERE run = of_run AND seq = ANY(seqs);
        DELETE FROM subject_refs WHERE run = of_run AND seq = ANY(seqs);
        DELETE FROM search_rows WHERE run = of_run AND seq = ANY(seqs);
        RETURN QUERY
        WITH gone AS (
            DELETE FROM blobs b WHERE b.run = of_run AND b.blob = ANY(named)
                AND NOT EXISTS (SELECT FROM events WHERE run = of_run AND payload_blob = b.blob)
                AND NOT EXISTS (SELECT FROM outputs WHERE run = of_run AND payload_blob = b.blob)
            RETURNING b.blob, b.location
        )
        SELECT g.location FROM gone g WHERE g.location IS NOT NULL AND NOT EXISTS (
            SELECT FROM blobs o WHERE o.location = g.location AND o.blob <> g.blob);
    END $$
"""
REMOVE_ROWS = """
    CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT (CASE WHEN EXISTS (SELECT FROM run_heads WHERE run = of_run)
            THEN from_table = 'search_rows' AND is_removing(of_run, '{5}')
            ELSE is_removing(of_run, '{1}') AND from_table IN ('events', 'snapshots', 'task_writes',
                'outputs', 'requests', 'search_rows', 'usage_counts', 'blobs', 'erasures',
                'erasure_targets', 'subject_refs')
            END)
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
ERASING = "erase_events(bigint, bigint, bigint[], bytea[])"
REMOVING = "remove_rows(text, bigint, integer)"
# What they touch belongs to whoever migrates, which may be another role than the owner of events.
GRANT_OWNER = """
    DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT, DELETE ON erasures, erasure_targets, subject_refs TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$
"""


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in LEDGERS:
        for name, change in GUARDS.items():
            each = "STATEMENT" if change == "TRUNCATE" else "ROW"
            op.execute(GUARD.format(table=table, name=name, change=change, each=each))
    for statement in (
        REFUSE_CHANGE,
        BIND,
        ERASE_EVENTS,
        REMOVE_ROWS,
        GRANT_OWNER,
    ):
        op.execute(statement)
    for function in (ERASING, REMOVING):
        op.execute(secure(function))


# The version before would take an erased event for one that was tampered with.
DOWN = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM erasure_requests)
        THEN RAISE EXCEPTION 'events were erased, which the version before does not know';
        END IF;
    END $$
"""


def downgrade() -> None:
    """Refuse where something was erased."""
    op.execute(DOWN)
    op.execute(f"DROP FUNCTION {ERASING}")
    before = import_module("runstore_migrations.versions.0023_create_policies")
    for statement in (before.REFUSE_CHANGE, BIND, before.REMOVE_ROWS, secure(REMOVING)):
        op.execute(statement)
    op.execute("DROP INDEX ix_removals_erasure")
    op.execute(
        "ALTER TABLE removals DROP COLUMN erasure, DROP CONSTRAINT ck_removals_kind,"
        " ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5))"
    )
    for table in ("erasures", "erasure_targets", "erasure_requests"):
        op.execute(f"DROP TABLE {table}")
