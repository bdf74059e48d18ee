"""Create outputs, and the first answers to requests recognised by a name.

Locks: SHARE ROW EXCLUSIVE on runs for the foreign keys, for an instant. Rows touched: none.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

UP = (
    """
    CREATE TABLE outputs (
        run bigint NOT NULL,
        revision integer NOT NULL,
        outcome smallint NOT NULL,
        payload_json json,
        payload_binary bytea,
        payload_type text,
        schema_hash text NOT NULL DEFAULT '',
        plan_version_id text NOT NULL DEFAULT '',
        provenance_json json,
        provenance_binary bytea,
        provenance_type text,
        statistics_json json,
        statistics_binary bytea,
        statistics_type text,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cached_input_tokens bigint NOT NULL DEFAULT 0,
        cost_micros bigint NOT NULL DEFAULT 0,
        duration_us bigint NOT NULL DEFAULT 0,
        body_hash bytea NOT NULL,
        completed_at timestamptz NOT NULL,
        CONSTRAINT pk_outputs PRIMARY KEY (run, revision),
        CONSTRAINT uq_outputs_body_hash UNIQUE (run, body_hash),
        CONSTRAINT fk_outputs_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_outputs_revision CHECK (revision >= 1)
    )
    """,
    """
    CREATE TRIGGER tr_outputs_append_only BEFORE UPDATE OR DELETE ON outputs
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_outputs_truncate BEFORE TRUNCATE ON outputs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE requests (
        run bigint NOT NULL,
        request_id text COLLATE "C" NOT NULL,
        body_hash bytea NOT NULL,
        answer jsonb NOT NULL,
        CONSTRAINT pk_requests PRIMARY KEY (run, request_id),
        CONSTRAINT fk_requests_run FOREIGN KEY (run) REFERENCES runs (run)
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop outputs and remembered requests; runs, events and snapshots stay."""
    for table in ("requests", "outputs"):
        op.execute(f"DROP TABLE {table}")
