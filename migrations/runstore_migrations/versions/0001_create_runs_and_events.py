"""Create runs, their heads, their events and the outbox.

Locks: none that anybody waits for; every table is new. Rows touched: none.
"""

from alembic import op

revision = "0001"
down_revision = None

UP = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$
    """,
    """
    CREATE TABLE runs (
        run bigint GENERATED ALWAYS AS IDENTITY,
        project text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        plan_id text NOT NULL DEFAULT '',
        objective text NOT NULL DEFAULT '',
        plan_json json,
        plan_binary bytea,
        plan_type text,
        parent bigint,
        external_ref jsonb,
        config_refs jsonb NOT NULL DEFAULT '[]',
        tags text[] NOT NULL DEFAULT '{}',
        labels jsonb NOT NULL DEFAULT '{}',
        body_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_runs PRIMARY KEY (run),
        CONSTRAINT uq_runs_project_run_id UNIQUE (project, run_id),
        CONSTRAINT fk_runs_parent FOREIGN KEY (parent) REFERENCES runs (run),
        CONSTRAINT ck_runs_identity CHECK (project <> '' AND run_id <> '')
    )
    """,
    """
    CREATE TRIGGER tr_runs_append_only BEFORE UPDATE OR DELETE ON runs
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_runs_truncate BEFORE TRUNCATE ON runs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # Updated in place by every append: half of each page is left free for HOT updates.
    """
    CREATE TABLE run_heads (
        run bigint NOT NULL,
        last_seq bigint NOT NULL DEFAULT 0,
        last_hash bytea NOT NULL,
        status smallint NOT NULL,
        outcome smallint NOT NULL DEFAULT 0,
        writer_epoch bigint NOT NULL DEFAULT 1,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cached_input_tokens bigint NOT NULL DEFAULT 0,
        cost_micros bigint NOT NULL DEFAULT 0,
        duration_us bigint NOT NULL DEFAULT 0,
        updated_at timestamptz NOT NULL,
        completed_at timestamptz,
        CONSTRAINT pk_run_heads PRIMARY KEY (run),
        CONSTRAINT fk_run_heads_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_run_heads_last_seq CHECK (last_seq >= 0),
        CONSTRAINT ck_run_heads_writer_epoch CHECK (writer_epoch >= 1),
        CONSTRAINT ck_run_heads_status CHECK (status BETWEEN 1 AND 6),
        CONSTRAINT ck_run_heads_open
            CHECK (completed_at IS NOT NULL OR (outcome = 0 AND status IN (1, 2, 6)))
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TRIGGER tr_run_heads_never_back BEFORE UPDATE ON run_heads FOR EACH ROW
        WHEN (NEW.run <> OLD.run OR NEW.last_seq < OLD.last_seq
              OR NEW.writer_epoch < OLD.writer_epoch
              OR (OLD.completed_at IS NOT NULL
                  AND (NEW.last_seq, NEW.last_hash, NEW.status, NEW.outcome, NEW.completed_at)
                      IS DISTINCT FROM
                      (OLD.last_seq, OLD.last_hash, OLD.status, OLD.outcome, OLD.completed_at)))
        EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE events (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        type text NOT NULL,
        node_id text NOT NULL DEFAULT '',
        actor text NOT NULL DEFAULT '',
        model text NOT NULL DEFAULT '',
        tool text NOT NULL DEFAULT '',
        tags text[] NOT NULL DEFAULT '{}',
        payload_json json,
        payload_binary bytea,
        payload_type text,
        payload_bytes integer NOT NULL,
        input_tokens bigint,
        output_tokens bigint,
        cached_input_tokens bigint,
        cost_micros bigint,
        duration_us bigint,
        trace_parent text NOT NULL DEFAULT '',
        occurred_at timestamptz,
        recorded_at timestamptz NOT NULL,
        is_terminal boolean NOT NULL,
        body_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_events PRIMARY KEY (run, seq),
        CONSTRAINT uq_events_event_id UNIQUE (run, event_id),
        CONSTRAINT ck_events_seq CHECK (seq >= 1),
        CONSTRAINT ck_events_hash CHECK (octet_length(hash) = 32)
    ) PARTITION BY RANGE (run)
    """,
    "CREATE UNIQUE INDEX uq_events_terminal ON events (run) WHERE is_terminal",
    """
    CREATE TRIGGER tr_events_append_only BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_events_truncate BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        CONSTRAINT pk_outbox PRIMARY KEY (id),
        CONSTRAINT ck_outbox_range CHECK (first_seq >= 1 AND first_seq <= last_seq)
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop every run and event. There is nothing below this version to keep them in."""
    for table in ("outbox", "events", "run_heads", "runs"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION refuse_change")
