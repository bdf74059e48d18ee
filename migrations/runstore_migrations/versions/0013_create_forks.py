"""Let runs share the history of others, and say when task writes were made.

`lineage` holds, oldest first, [run, last_seq, until, has_events] of every run whose history a fork
begins with: what was put beside its events up to last_seq until that time (microseconds since
1970), and whether events of its own are among them.

Locks: ACCESS EXCLUSIVE on runs and task_writes, for an instant, since columns without a default
touch no row; then SHARE UPDATE EXCLUSIVE on runs while the key is checked and the index is built.
Rows touched: none.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

# Committed one by one, so each may be there when they are tried again.
UP = (
    """
    ALTER TABLE runs
        ADD COLUMN IF NOT EXISTS fork_parent bigint,
        ADD COLUMN IF NOT EXISTS fork_seq bigint,
        ADD COLUMN IF NOT EXISTS lineage jsonb,
        DROP CONSTRAINT IF EXISTS fk_runs_fork_parent,
        DROP CONSTRAINT IF EXISTS ck_runs_fork,
        ADD CONSTRAINT fk_runs_fork_parent
            FOREIGN KEY (fork_parent) REFERENCES runs (run) NOT VALID,
        ADD CONSTRAINT ck_runs_fork
            CHECK (num_nonnulls(fork_parent, fork_seq, lineage) IN (0, 3)) NOT VALID
    """,
    """
    ALTER TABLE task_writes
        ADD COLUMN IF NOT EXISTS seq bigint,
        ADD COLUMN IF NOT EXISTS written_at timestamptz
    """,
)
ALONE = (
    "ALTER TABLE runs VALIDATE CONSTRAINT fk_runs_fork_parent",
    "ALTER TABLE runs VALIDATE CONSTRAINT ck_runs_fork",
    "DROP INDEX CONCURRENTLY IF EXISTS ix_runs_fork_parent",
    "CREATE INDEX CONCURRENTLY ix_runs_fork_parent ON runs (fork_parent)"
    " WHERE fork_parent IS NOT NULL",
)
# Going down would cut forks off from their history, so it is refused where there are any.
DOWN = (
    """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM runs WHERE fork_parent IS NOT NULL)
        THEN RAISE EXCEPTION 'there are forks, whose history the version before cannot read';
        END IF;
    END $$
    """,
    "ALTER TABLE task_writes DROP COLUMN seq, DROP COLUMN written_at",
    """
    ALTER TABLE runs
        DROP CONSTRAINT fk_runs_fork_parent, DROP CONSTRAINT ck_runs_fork,
        DROP COLUMN fork_parent, DROP COLUMN fork_seq, DROP COLUMN lineage
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    with op.get_context().autocommit_block():
        for statement in ALONE:
            op.execute(statement)


def downgrade() -> None:
    """Refuse where a fork would lose its history."""
    for statement in DOWN:
        op.execute(statement)
