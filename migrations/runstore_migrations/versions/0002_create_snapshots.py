"""Create snapshots, the blobs of their parts, and task writes.

Locks: SHARE ROW EXCLUSIVE on runs for the foreign keys, for an instant. Rows touched: none.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

UP = (
    """
    CREATE TABLE blobs (
        run bigint NOT NULL,
        blob bigint GENERATED ALWAYS AS IDENTITY,
        sha256 bytea NOT NULL,
        is_json boolean NOT NULL,
        content_type text NOT NULL DEFAULT '',
        raw_bytes integer NOT NULL,
        data bytea NOT NULL,
        CONSTRAINT pk_blobs PRIMARY KEY (run, blob),
        CONSTRAINT uq_blobs_sha256 UNIQUE (run, sha256),
        CONSTRAINT fk_blobs_run FOREIGN KEY (run) REFERENCES runs (run)
    )
    """,
    # Blobs arrive compressed; Postgres need not try again.
    "ALTER TABLE blobs ALTER COLUMN data SET STORAGE EXTERNAL",
    """
    CREATE TABLE snapshots (
        run bigint NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        snapshot_id text COLLATE "C" NOT NULL,
        parent_snapshot_id text NOT NULL DEFAULT '',
        seq bigint NOT NULL,
        plan_version_id text NOT NULL DEFAULT '',
        reason smallint NOT NULL,
        pending_node_ids text[] NOT NULL DEFAULT '{}',
        manifest bytea NOT NULL,
        parts_bytes bigint NOT NULL,
        metadata_json json,
        metadata_binary bytea,
        metadata_type text,
        metadata_terms text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL,
        content_hash bytea NOT NULL,
        CONSTRAINT pk_snapshots PRIMARY KEY (run, namespace, snapshot_id),
        CONSTRAINT fk_snapshots_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_snapshots_seq CHECK (seq >= 0)
    )
    """,
    "ALTER TABLE snapshots ALTER COLUMN manifest SET STORAGE EXTERNAL",
    "CREATE INDEX ix_snapshots_latest ON snapshots (run, namespace, seq, snapshot_id)",
    """
    CREATE TRIGGER tr_snapshots_immutable BEFORE UPDATE ON snapshots
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_blobs_immutable BEFORE UPDATE ON blobs
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE task_writes (
        run bigint NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        snapshot_id text COLLATE "C" NOT NULL,
        task_id text COLLATE "C" NOT NULL,
        index integer NOT NULL,
        channel text NOT NULL DEFAULT '',
        payload_json json,
        payload_binary bytea,
        payload_type text,
        body_hash bytea NOT NULL,
        CONSTRAINT pk_task_writes PRIMARY KEY (run, namespace, snapshot_id, task_id, index),
        CONSTRAINT fk_task_writes_run FOREIGN KEY (run) REFERENCES runs (run)
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop snapshots and task writes; runs and events stay."""
    for table in ("task_writes", "snapshots", "blobs"):
        op.execute(f"DROP TABLE {table}")
