"""Create policies, and let parts of a run that stays be removed.

A policy says how long what is kept. What a transaction may remove depends on the kind of removal
that its step is of: 1 all of a run that was taken away, 4 artifacts, 5 what events are found by;
snapshots, kind 3, have no trigger. A removal may be stopped before all of it is gone.

`artifact_floor` is the greatest version of an artifact that the run had when artifacts of it were
removed. Versions go on after it, so that none stands for two contents.

The table is keyed by project.

Locks: ACCESS EXCLUSIVE on run_heads, removals and removal_steps, one after the other, for a moment.
Rows touched: none; removals are read for the new constraint.
"""

from importlib import import_module

from alembic import op

from runstore_migrations.owned import secure

revision = "0023"
down_revision = "0022"

TABLE = """
    CREATE TABLE IF NOT EXISTS policies (
        project text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        statuses smallint[] NOT NULL,
        plan_id text NOT NULL,
        tags text[] NOT NULL,
        labels jsonb NOT NULL,
        keep_snapshots interval,
        keep_last_snapshots integer NOT NULL,
        keep_artifacts interval,
        keep_search_text interval,
        keep_run interval,
        includes_external boolean NOT NULL,
        put_by jsonb NOT NULL,
        put_at timestamptz NOT NULL,
        CONSTRAINT pk_policies PRIMARY KEY (project, name),
        CONSTRAINT ck_policies_keep CHECK (
            num_nonnulls(keep_snapshots, keep_artifacts, keep_search_text, keep_run) > 0),
        CONSTRAINT ck_policies_positive CHECK (
            least(keep_snapshots, keep_artifacts, keep_search_text, keep_run) > interval '0'
            AND keep_last_snapshots >= 0)
    )
"""
COLUMNS = (
    "ALTER TABLE run_heads ADD COLUMN IF NOT EXISTS artifact_floor bigint",
    "ALTER TABLE removals DROP CONSTRAINT IF EXISTS ck_removals_kind",
    "ALTER TABLE removals ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5))",
    """
    ALTER TABLE removal_steps ADD COLUMN IF NOT EXISTS is_stopped boolean NOT NULL DEFAULT false
    """,
)
# The number of a transaction comes again in a cluster that a dump was restored to, its time not.
IS_REMOVING = """
    CREATE OR REPLACE FUNCTION is_removing(of_run bigint, of_kinds smallint[])
    RETURNS boolean LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND r.kind = ANY(of_kinds) AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$
"""
REFUSE_CHANGE = """
    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'DELETE' AND TG_NAME = 'tr_artifacts_removed' THEN
            IF is_removing(OLD.run, '{1,4}') THEN RETURN OLD; END IF;
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
REMOVE_ROWS = """
    CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT (CASE WHEN EXISTS (SELECT FROM run_heads WHERE run = of_run)
            THEN from_table = 'search_rows' AND is_removing(of_run, '{5}')
            ELSE is_removing(of_run, '{1}') AND from_table IN ('events', 'snapshots', 'task_writes',
                'outputs', 'requests', 'search_rows', 'usage_counts', 'blobs')
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
# What the artifacts were of may be the content of other artifacts, too: whose it was is asked next.
REMOVE_ARTIFACTS = """
    CREATE OR REPLACE FUNCTION remove_artifacts(of_run bigint, most integer)
    RETURNS SETOF bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    BEGIN
        IF EXISTS (SELECT FROM run_heads WHERE run = of_run) THEN
            IF NOT is_removing(of_run, '{4}') THEN RETURN; END IF;
            UPDATE run_heads SET artifact_floor = greatest(artifact_floor, (
                SELECT max(version) FROM artifacts WHERE run = of_run)) WHERE run = of_run;
        END IF;
        RETURN QUERY DELETE FROM artifacts WHERE run = of_run AND ctid = ANY(ARRAY(
            SELECT ctid FROM artifacts WHERE run = of_run LIMIT most)) RETURNING object;
    END $$
"""
# A temporary table of the caller's would be found first.
BIND = """
    DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION is_removing(bigint, smallint[]) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$
"""
FUNCTIONS = ("remove_artifacts(bigint, integer)", "remove_rows(text, bigint, integer)")


def upgrade() -> None:
    for statement in (
        TABLE,
        *COLUMNS,
        IS_REMOVING,
        REFUSE_CHANGE,
        BIND,
        REMOVE_ROWS,
        REMOVE_ARTIFACTS,
    ):
        op.execute(statement)
    for function in FUNCTIONS:
        op.execute(secure(function))


# The version before knows deleted runs only, and would give versions of artifacts again.
DOWN = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM policies) OR EXISTS (SELECT FROM removals WHERE kind <> 1)
        THEN RAISE EXCEPTION 'there are or were policies, which the version before does not know';
        END IF;
    END $$
"""


def downgrade() -> None:
    """Refuse where there are policies, or something was removed by them."""
    op.execute(DOWN)
    before = import_module("runstore_migrations.versions.0022_create_removals")
    for statement in (before.REFUSE_CHANGE, before.REMOVE_ROWS, before.REMOVE_ARTIFACTS):
        op.execute(statement)
    op.execute(before.BIND)
    for function in FUNCTIONS:
        op.execute(secure(function))
    for statement in (
        "DROP FUNCTION is_removing(bigint, smallint[])",
        "ALTER TABLE removal_steps DROP COLUMN is_stopped",
        "ALTER TABLE removals DROP CONSTRAINT ck_removals_kind",
        "ALTER TABLE removals ADD CONSTRAINT ck_removals_kind CHECK (kind = 1)",
        "ALTER TABLE run_heads DROP COLUMN artifact_floor",
        "DROP TABLE policies",
    ):
        op.execute(statement)
