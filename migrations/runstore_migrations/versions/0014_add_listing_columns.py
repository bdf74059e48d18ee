"""Add to run_heads what listings are ordered and found by: the project, and the hour of updated_at.

An index on updated_at itself would make every append write to it and end its HOT updates. The hour
changes at most once an hour and run, and within an hour a listing sorts. Triggers fill both, so
that the version before, which does not know them, keeps them right too.

Locks: ACCESS EXCLUSIVE on run_heads for a moment, nothing is rewritten; then the row locks of a
thousand heads at a time, which their writers wait for. Rows touched: every head, once.
"""

from alembic import context, op

revision = "0014"
down_revision = "0013"

BATCH = 1000
UP = (
    """
    ALTER TABLE run_heads
        ADD COLUMN project text COLLATE "C", ADD COLUMN updated_hour timestamptz
    """,
    """
    CREATE FUNCTION place_run_head() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.project IS NULL THEN
            NEW.project := (SELECT project FROM runs WHERE run = NEW.run);
        END IF;
        NEW.updated_hour := date_trunc('hour', NEW.updated_at, 'UTC');
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER tr_run_heads_place BEFORE INSERT ON run_heads FOR EACH ROW
        EXECUTE FUNCTION place_run_head()
    """,
    """
    CREATE TRIGGER tr_run_heads_move BEFORE UPDATE ON run_heads FOR EACH ROW
        WHEN (NEW.updated_hour IS DISTINCT FROM date_trunc('hour', NEW.updated_at, 'UTC'))
        EXECUTE FUNCTION place_run_head()
    """,
)
# An update that changes nothing: the trigger does the rest.
FILL = """
    WITH next AS (
        SELECT run FROM run_heads WHERE run > {after} ORDER BY run LIMIT {batch}
    ), filled AS (
        UPDATE run_heads h SET updated_at = h.updated_at FROM next
        WHERE h.run = next.run AND h.updated_hour IS NULL
    )
    SELECT max(run) FROM next
"""


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    if context.is_offline_mode():
        op.execute("UPDATE run_heads SET updated_at = updated_at")
        return
    with op.get_context().autocommit_block():
        after = 0
        while after is not None:
            sql = FILL.format(after=after, batch=BATCH)
            after = op.get_bind().exec_driver_sql(sql).scalar_one()


def downgrade() -> None:
    op.execute("DROP TRIGGER tr_run_heads_move ON run_heads")
    op.execute("DROP TRIGGER tr_run_heads_place ON run_heads")
    op.execute("DROP FUNCTION place_run_head")
    op.execute("ALTER TABLE run_heads DROP COLUMN project, DROP COLUMN updated_hour")
