"""Index the events whose payloads are blobs, so that deleting parts finds what must stay.

Locks: SHARE on events, for an instant, since an index on it alone reads no partition; then SHARE
UPDATE EXCLUSIVE on each partition while its index is built concurrently, beside writers. Partitions
made meanwhile get theirs when they are attached. Rows touched: none.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

INDEX = "ix_events_payload_blob"
DEFINITION = "(run, payload_blob) WHERE payload_blob IS NOT NULL"
# Partitions without their piece of the index. A build that was interrupted left none attached.
_MISSING = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('events') AND NOT EXISTS (
        SELECT FROM pg_inherits piece JOIN pg_index x ON x.indexrelid = piece.inhrelid
        WHERE piece.inhparent = to_regclass('ix_events_payload_blob') AND x.indrelid = c.oid)
    ORDER BY 1
"""


def upgrade() -> None:
    op.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON ONLY events {DEFINITION}")
    if op.get_context().as_sql:
        return  # an empty schema has no partition
    with op.get_context().autocommit_block():
        for (partition,) in op.get_bind().exec_driver_sql(_MISSING).all():
            piece = f"ix_{partition}_payload_blob"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {piece}")
            op.execute(f"CREATE INDEX CONCURRENTLY {piece} ON {partition} {DEFINITION}")
            op.execute(f"ALTER INDEX {INDEX} ATTACH PARTITION {piece}")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
