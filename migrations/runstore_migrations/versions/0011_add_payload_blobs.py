"""Let payloads of events and outputs be blobs, and let blobs be in the object store.

A payload that is a blob leaves its columns empty: both contents are NULL for a JSON text, and
`payload_binary` is of no length for bytes.

Locks: ACCESS EXCLUSIVE on events and its partitions, outputs and blobs, for an instant, since
columns without a default touch no row; then SHARE UPDATE EXCLUSIVE on blobs while the check that
replaces NOT NULL on `data` reads them, beside writers. Rows touched: none.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

# Committed before the check is validated, so each may be there when that is tried again.
UP = (
    "ALTER TABLE events ADD COLUMN IF NOT EXISTS payload_blob bigint",
    "ALTER TABLE outputs ADD COLUMN IF NOT EXISTS payload_blob bigint",
    """
    ALTER TABLE blobs
        DROP CONSTRAINT IF EXISTS ck_blobs_place,
        ADD COLUMN IF NOT EXISTS location text,
        ALTER COLUMN data DROP NOT NULL,
        ADD CONSTRAINT ck_blobs_place CHECK (num_nonnulls(data, location) = 1) NOT VALID
    """,
)
# Going down would lose payloads, so it is refused where there are any.
DOWN = (
    """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM events WHERE payload_blob IS NOT NULL)
            OR EXISTS (SELECT FROM outputs WHERE payload_blob IS NOT NULL)
        THEN RAISE EXCEPTION 'payloads are kept as blobs, which the version before cannot read';
        END IF;
    END $$
    """,
    """
    ALTER TABLE blobs
        DROP CONSTRAINT ck_blobs_place,
        DROP COLUMN location,
        ALTER COLUMN data SET NOT NULL
    """,
    "ALTER TABLE outputs DROP COLUMN payload_blob",
    "ALTER TABLE events DROP COLUMN payload_blob",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE blobs VALIDATE CONSTRAINT ck_blobs_place")


def downgrade() -> None:
    """Refuse where a payload would be lost."""
    for statement in DOWN:
        op.execute(statement)
