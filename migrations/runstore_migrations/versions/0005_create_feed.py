"""Create the feed and the duties that processes take in turns.

The outbox gets settings that keep a table of short-lived rows small.

Locks: SHARE UPDATE EXCLUSIVE on outbox for a moment. Rows touched: none; one is made.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

UP = (
    """
    CREATE TABLE feed (
        last_position bigint NOT NULL,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        project text COLLATE "C" NOT NULL,
        published_at timestamptz NOT NULL,
        CONSTRAINT pk_feed PRIMARY KEY (last_position),
        CONSTRAINT ck_feed_range CHECK (first_seq >= 1 AND first_seq <= last_seq),
        CONSTRAINT ck_feed_position CHECK (last_position > last_seq - first_seq)
    )
    """,
    "CREATE INDEX ix_feed_project ON feed (project, last_position)",
    """
    CREATE TRIGGER tr_feed_append_only BEFORE UPDATE ON feed
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    # One row a duty, rewritten all the time: a page of its own leaves room for HOT updates.
    """
    CREATE TABLE duties (
        name text COLLATE "C" NOT NULL,
        position bigint NOT NULL DEFAULT 0,
        holder text NOT NULL DEFAULT '',
        expires_at timestamptz NOT NULL DEFAULT '-infinity',
        CONSTRAINT pk_duties PRIMARY KEY (name),
        CONSTRAINT ck_duties_position CHECK (position >= 0)
    ) WITH (fillfactor = 10)
    """,
    "INSERT INTO duties (name) VALUES ('relay')",
    """
    ALTER TABLE outbox SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Forget what was published; ranges that are still in the outbox stay there."""
    op.execute(
        "ALTER TABLE outbox RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,"
        " autovacuum_vacuum_cost_delay)"
    )
    op.execute("DROP TABLE duties")
    op.execute("DROP TABLE feed")
