"""Add the index that lists of runs by a pinned config version use.

Locks: SHARE UPDATE EXCLUSIVE on runs while the index is built concurrently; writers go on. Rows
touched: none.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

NAME = "ix_runs_config_refs"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build that was interrupted leaves an invalid index of this name behind.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {NAME} ON runs USING gin (config_refs jsonb_path_ops)"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
