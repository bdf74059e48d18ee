"""Create holds, which say what may not be removed.

A hold is never changed, but released once, and never deleted. It names a run, or selects those that
meet all of its conditions when something is to be removed.

The table is small enough to stand on every node.

Locks: SHARE ROW EXCLUSIVE on runs, for an instant, for the foreign key of an empty table. Rows
touched: none.
"""

from alembic import op

revision = "0021"
down_revision = "0020"

UP = (
    """
    CREATE TABLE holds (
        hold_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        run bigint,
        statuses smallint[] NOT NULL,
        plan_id text NOT NULL,
        tags text[] NOT NULL,
        labels jsonb NOT NULL,
        reason text NOT NULL,
        placed_by jsonb NOT NULL,
        placed_at timestamptz NOT NULL,
        released_by jsonb,
        released_at timestamptz,
        CONSTRAINT pk_holds PRIMARY KEY (hold_id),
        CONSTRAINT fk_holds_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_holds_target CHECK (
            run IS NULL OR (statuses = '{}' AND plan_id = '' AND tags = '{}' AND labels = '{}')),
        CONSTRAINT ck_holds_released CHECK (num_nonnulls(released_by, released_at) IN (0, 2))
    )
    """,
    "CREATE INDEX ix_holds_project ON holds (project, placed_at, hold_id)",
    "CREATE INDEX ix_holds_holding ON holds (project) WHERE released_at IS NULL",
    """
    CREATE TRIGGER tr_holds_never_more BEFORE UPDATE ON holds FOR EACH ROW
        WHEN ((NEW.hold_id, NEW.project, NEW.run, NEW.statuses, NEW.plan_id, NEW.tags, NEW.labels,
               NEW.reason, NEW.placed_by, NEW.placed_at)
              IS DISTINCT FROM
              (OLD.hold_id, OLD.project, OLD.run, OLD.statuses, OLD.plan_id, OLD.tags, OLD.labels,
               OLD.reason, OLD.placed_by, OLD.placed_at)
              OR OLD.released_at IS NOT NULL)
        EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_holds_append_only BEFORE DELETE ON holds
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_holds_truncate BEFORE TRUNCATE ON holds
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)
# Going down would let what is held be removed, so it is refused while something is.
DOWN = (
    """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM holds WHERE released_at IS NULL)
        THEN RAISE EXCEPTION 'there are holds, which the version before does not keep to';
        END IF;
    END $$
    """,
    "DROP TABLE holds",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Refuse where something is held."""
    for statement in DOWN:
        op.execute(statement)
