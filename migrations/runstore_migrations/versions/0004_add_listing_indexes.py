"""Add the indexes that lists of runs and snapshots filter by.

Locks: SHARE UPDATE EXCLUSIVE on runs and snapshots while each index is built concurrently; writers
go on. Rows touched: none.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

INDEXES = {
    "ix_runs_project": "ON runs (project, run)",
    "ix_runs_parent": "ON runs (parent) WHERE parent IS NOT NULL",
    "ix_runs_plan": "ON runs (project, plan_id, run) WHERE plan_id <> ''",
    "ix_runs_tags": "ON runs USING gin (tags)",
    "ix_runs_labels": "ON runs USING gin (labels jsonb_path_ops)",
    "ix_snapshots_metadata": "ON snapshots USING gin (metadata_terms)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            # A build that was interrupted leaves an invalid index of this name behind.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
