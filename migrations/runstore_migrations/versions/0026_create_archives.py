"""Create archives, and let archived events be removed.

`archives` says which events of a run were written to the object store, and how far that has come,
and of one that was restored to be erased, for which erasure, until it is archived again;
`run_heads.archived_through` is the last seq that is read from there. `archived_events` keeps, of
each event whose row was removed, what a repeated append is compared with and answered by.

An event's row is removed in a transaction that notes a step of a removal of kind 2 that covers its
seq, and keeps that of it; what is kept of it goes once its row is back, or with its run. Two
functions do so with the rights of the tables' owner: those who may insert events may call them.

All three are keyed by run.

Locks: ACCESS EXCLUSIVE on run_heads and removals, one after the other, for a moment; run_heads is
indexed beside its writers. Rows touched: none.
"""

from importlib import import_module

from alembic import op

from runstore_migrations.owned import secure

revision = "0026"
down_revision = "0025"

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS archives (
        run bigint NOT NULL,
        n integer NOT NULL,
        project text COLLATE "C" NOT NULL,
        birth bytea NOT NULL,
        state smallint NOT NULL DEFAULT 1,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        last_position bigint NOT NULL DEFAULT 0,
        record bigint NOT NULL,
        attempt integer NOT NULL DEFAULT 0,
        manifest_hash bytea,
        bytes bigint NOT NULL DEFAULT 0,
        removal bigint,
        restore_record bigint,
        restored_for bigint,
        begun_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        is_cleared boolean NOT NULL DEFAULT false,
        CONSTRAINT pk_archives PRIMARY KEY (run, n),
        CONSTRAINT fk_archives_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT fk_archives_removal FOREIGN KEY (removal) REFERENCES removals (removal),
        CONSTRAINT fk_archives_restored_for FOREIGN KEY (restored_for) REFERENCES erasure_requests,
        CONSTRAINT ck_archives_state CHECK (state BETWEEN 1 AND 8),
        CONSTRAINT ck_archives_seqs CHECK (first_seq >= 1 AND first_seq <= last_seq),
        CONSTRAINT ck_archives_manifest CHECK (state IN (1, 7) OR manifest_hash IS NOT NULL)
    )
    """,
    "CREATE INDEX IF NOT EXISTS ix_archives_record ON archives (project, record)",
    """
    CREATE INDEX IF NOT EXISTS ix_archives_restore_record ON archives (project, restore_record)
        WHERE restore_record IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS ix_archives_removal ON archives (removal)",
    """
    CREATE INDEX IF NOT EXISTS ix_archives_restored_for ON archives (restored_for)
        WHERE restored_for IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS ix_archives_open ON archives (state) WHERE NOT is_cleared",
    """
    CREATE TABLE IF NOT EXISTS archived_events (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        recorded_at timestamptz NOT NULL,
        is_terminal boolean NOT NULL,
        payload_blob bigint,
        salt bytea,
        body_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_archived_events PRIMARY KEY (run, seq),
        CONSTRAINT uq_archived_events_event_id UNIQUE (run, event_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS ix_archived_events_payload_blob
        ON archived_events (run, payload_blob) WHERE payload_blob IS NOT NULL
    """,
    """
    ALTER TABLE run_heads ADD COLUMN IF NOT EXISTS archived_through bigint NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE removals DROP CONSTRAINT IF EXISTS ck_removals_kind,
        ADD CONSTRAINT ck_removals_kind CHECK (kind BETWEEN 1 AND 6)
    """,
)
KEPT = "run, seq, event_id, recorded_at, is_terminal, payload_blob, salt, body_hash, hash"
IS_ARCHIVING = """
    CREATE OR REPLACE FUNCTION is_archiving(of_run bigint, of_seq bigint) RETURNS boolean
    LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND r.kind = 2 AND of_seq BETWEEN r.first_seq AND r.last_seq
                AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$
"""
# An expression that names a column is planned for each table, also where it is not reached in one
# that lacks the column: so each has a branch of its own.
REFUSE_CHANGE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        erased record;
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed', 'tr_erasures_append_only',
            'tr_archived_events_append_only')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
            IF TG_NAME = 'tr_events_append_only' THEN
                IF is_archiving(OLD.run, OLD.seq) AND EXISTS (
                    SELECT FROM archived_events a
                    WHERE a.run = OLD.run AND a.seq = OLD.seq AND a.hash = OLD.hash)
                THEN RETURN OLD; END IF;
            ELSIF TG_NAME = 'tr_archived_events_append_only' THEN
                IF EXISTS (
                    SELECT FROM events e
                    WHERE e.run = OLD.run AND e.seq = OLD.seq AND e.event_id = OLD.event_id
                        AND e.hash = OLD.hash AND e.body_hash = OLD.body_hash)
                THEN RETURN OLD; END IF;
            END IF;
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
ARCHIVE_ROWS = """
    CREATE OR REPLACE FUNCTION archive_rows(of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        through bigint := (SELECT max(seq) FROM (
            SELECT seq FROM events WHERE run = of_run AND seq <= (
                SELECT archived_through FROM run_heads WHERE run = of_run
            ) ORDER BY seq LIMIT most) AS first);
        removed bigint;
    BEGIN
        INSERT INTO archived_events ({kept})
            SELECT {kept} FROM events WHERE run = of_run AND seq <= through;
        DELETE FROM events WHERE run = of_run AND seq <= through;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$
"""
FORGET_ARCHIVED = """
    CREATE OR REPLACE FUNCTION forget_archived(of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE forgotten bigint;
    BEGIN
        DELETE FROM archived_events WHERE run = of_run AND seq IN (
            SELECT seq FROM archived_events WHERE run = of_run ORDER BY seq LIMIT most);
        GET DIAGNOSTICS forgotten = ROW_COUNT;
        RETURN forgotten;
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
                'erasure_targets', 'subject_refs', 'archives', 'archived_events')
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
# What an archived event names stays known, and its row may come back.
NOTE_SUBJECTS = """
    CREATE OR REPLACE FUNCTION note_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO subject_refs (subject, run, seq)
        SELECT DISTINCT subject, NEW.run, NEW.seq FROM unnest(NEW.subjects) AS named(subject)
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
"""
# A temporary table of the caller's would be found first.
BIND = """
    DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION {function} SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$
"""
BOUND = ("refuse_change()", "is_archiving(bigint, bigint)")
FUNCTIONS = ("archive_rows(bigint, integer)", "forget_archived(bigint, integer)")
# What they touch belongs to whoever migrates, which may be another role than the owner of events.
GRANT_OWNER = """
    DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT, DELETE ON archives, archived_events TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$
"""
GUARDS = (
    """
    CREATE OR REPLACE TRIGGER tr_archived_events_append_only BEFORE UPDATE OR DELETE
        ON archived_events FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE OR REPLACE TRIGGER tr_archived_events_truncate BEFORE TRUNCATE ON archived_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    for statement in (
        *TABLES,
        IS_ARCHIVING,
        REFUSE_CHANGE,
        *(BIND.format(function=each) for each in BOUND),
        REMOVE_ROWS,
        NOTE_SUBJECTS,
        ARCHIVE_ROWS.format(kept=KEPT),
        FORGET_ARCHIVED,
        *map(secure, (*FUNCTIONS, "remove_rows(text, bigint, integer)")),
        GRANT_OWNER,
        *GUARDS,
    ):
        op.execute(statement)
    with op.get_context().autocommit_block():
        # An append changes none of its columns, so it stays a HOT update.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_run_heads_archived")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_run_heads_archived ON run_heads (run)"
            " WHERE archived_through > 0"
        )


# The version before would take a run whose events are in the archive for one that lacks them.
DOWN = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM archives) OR EXISTS (SELECT FROM removals WHERE kind = 2)
        THEN RAISE EXCEPTION 'runs were archived, which the version before does not know';
        END IF;
    END $$
"""


def downgrade() -> None:
    """Refuse where something was archived."""
    erasures, subjects = (
        import_module(f"runstore_migrations.versions.{name}")
        for name in ("0025_create_erasures", "0024_create_subject_refs")
    )
    for statement in (
        DOWN,
        "DROP INDEX ix_run_heads_archived",
        *(f"DROP FUNCTION {each}" for each in FUNCTIONS),
        erasures.REMOVE_ROWS,
        secure("remove_rows(text, bigint, integer)"),
        erasures.REFUSE_CHANGE,
        BIND.format(function="refuse_change()"),
        subjects.NOTE_SUBJECTS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
        "DROP TABLE archived_events, archives",
        "DROP FUNCTION is_archiving(bigint, bigint)",
        "ALTER TABLE run_heads DROP COLUMN archived_through",
        "ALTER TABLE removals DROP CONSTRAINT ck_removals_kind,"
        " ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5, 6))",
    ):
        op.execute(statement)
