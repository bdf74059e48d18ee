"""Add salts to what is hashed, the subjects of events and runs, and what holds for the whole store.

`store_flags` has one row. Its `chain_version` says how what is written from now on is hashed: with
salts (2) in a database that has no run yet, without (1) in others until `runstore migrate seal`,
since servers of earlier versions take salted hashes for broken ones. It never goes back.

The columns are of tables that are keyed by run; `store_flags` is small enough to stand on every
node.

Locks: ACCESS EXCLUSIVE on events and its partitions, runs, outputs, snapshots, task_writes and
requests, for an instant, since columns without a default touch no row. Rows touched: one.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

SALTED = ("events", "runs", "outputs", "snapshots", "task_writes", "requests")
WITH_SUBJECTS = ("events", "runs")
FLAGS = (
    """
    CREATE TABLE store_flags (
        is_only boolean NOT NULL DEFAULT true,
        chain_version smallint NOT NULL,
        CONSTRAINT pk_store_flags PRIMARY KEY (is_only),
        CONSTRAINT ck_store_flags_is_only CHECK (is_only),
        CONSTRAINT ck_store_flags_chain_version CHECK (chain_version IN (1, 2))
    )
    """,
    """
    INSERT INTO store_flags (chain_version)
    SELECT CASE WHEN EXISTS (SELECT FROM runs) THEN 1 ELSE 2 END
    """,
    """
    CREATE TRIGGER tr_store_flags_never_back BEFORE UPDATE ON store_flags FOR EACH ROW
        WHEN (NEW.chain_version < OLD.chain_version) EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_store_flags_stays BEFORE DELETE ON store_flags
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
)
# Without its salt, what was hashed with it can never be verified again.
KEEP_SALTS = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM {table} WHERE salt IS NOT NULL)
        THEN RAISE EXCEPTION '{table} has salts, without which its hashes cannot be verified';
        END IF;
    END $$
"""
KEEP_SUBJECTS = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM {table} WHERE subjects IS NOT NULL)
        THEN RAISE EXCEPTION '{table} has subjects, which the version before does not know';
        END IF;
    END $$
"""


def upgrade() -> None:
    for table in SALTED:
        op.execute(f"ALTER TABLE {table} ADD COLUMN salt bytea")
    for table in WITH_SUBJECTS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN subjects text[]")
    for statement in FLAGS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse where a salt or a subject would be lost."""
    for table in SALTED:
        op.execute(KEEP_SALTS.format(table=table))
    for table in WITH_SUBJECTS:
        op.execute(KEEP_SUBJECTS.format(table=table))
    op.execute("DROP TABLE store_flags")
    for table in WITH_SUBJECTS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN subjects")
    for table in SALTED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN salt")
