"""Let a policy say how long a run's events are kept in the database before they are archived.

Locks: ACCESS EXCLUSIVE on policies, for a moment. Rows touched: none; policies are read for the new
constraints.
"""

from alembic import op

revision = "0027"
down_revision = "0026"

CONSTRAINTS = """
    ALTER TABLE policies
        DROP CONSTRAINT ck_policies_keep,
        DROP CONSTRAINT ck_policies_positive,
        ADD CONSTRAINT ck_policies_keep CHECK (num_nonnulls({keeps}) > 0),
        ADD CONSTRAINT ck_policies_positive CHECK (
            least({keeps}) > interval '0' AND keep_last_snapshots >= 0)
"""
BEFORE = "keep_snapshots, keep_artifacts, keep_search_text, keep_run"


def upgrade() -> None:
    op.execute("ALTER TABLE policies ADD COLUMN keep_events interval")
    op.execute(CONSTRAINTS.format(keeps=f"keep_events, {BEFORE}"))


# The version before would keep such events for ever, and say nothing of it.
DOWN = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM policies WHERE keep_events IS NOT NULL)
        THEN RAISE EXCEPTION 'policies archive events, which the version before does not know';
        END IF;
    END $$
"""


def downgrade() -> None:
    """Refuse where a policy says so."""
    op.execute(DOWN)
    op.execute(CONSTRAINTS.format(keeps=BEFORE))
    op.execute("ALTER TABLE policies DROP COLUMN keep_events")
