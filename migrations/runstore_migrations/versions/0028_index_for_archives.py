"""Index what archiving looks for: a run's place in the feed, and archives before the switch.

feed is looked up by run, archives by when they were begun.

Locks: none that writers wait for. Rows touched: none.
"""

from alembic import op

revision = "0028"
down_revision = "0027"

INDEXES = {
    "ix_feed_run": "feed (run, last_seq)",
    "ix_archives_waiting": "archives (begun_at, run, n) WHERE state <= 2 AND NOT is_cleared",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, on in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
