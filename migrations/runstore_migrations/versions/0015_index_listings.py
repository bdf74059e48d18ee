"""Add the indexes of listings by time, status, external reference and objective, and of counts.

None of them is on a column that appends change. ix_run_heads_status and ix_run_heads_completed cost
a completion one write each, ix_run_heads_updated a run one an hour. Of an objective its first 10000
characters are indexed, so that none is more than a tsvector holds.

Locks: SHARE UPDATE EXCLUSIVE on runs, run_heads, snapshots and usage_counts while each index is
built concurrently; writers go on. Rows touched: none.
"""

from alembic import op

revision = "0015"
down_revision = "0014"

INDEXES = {
    "ix_runs_created": "ON runs (project, created_at, run)",
    "ix_runs_external_ref": (
        "ON runs USING gin (external_ref jsonb_path_ops) WHERE external_ref IS NOT NULL"
    ),
    "ix_runs_objective": ("ON runs USING gin (to_tsvector('simple', \"left\"(objective, 10000)))"),
    "ix_run_heads_updated": "ON run_heads (project, updated_hour)",
    "ix_run_heads_completed": (
        "ON run_heads (project, completed_at, run) WHERE completed_at IS NOT NULL"
    ),
    "ix_run_heads_status": "ON run_heads (project, status, run)",
    "ix_snapshots_created": "ON snapshots (created_at, run)",
    "ix_usage_counts_model": "ON usage_counts (model, run) WHERE model <> ''",
    "ix_usage_counts_tool": "ON usage_counts (tool, run) WHERE tool <> ''",
    "ix_usage_counts_day": "ON usage_counts (day, run)",
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
