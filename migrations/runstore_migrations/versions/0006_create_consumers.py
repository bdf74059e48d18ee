"""Create the named consumers of the feed, and the dead letters of its sinks.

Locks: none that anybody waits for; every table is new. Rows touched: none.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

UP = (
    """
    CREATE TABLE consumers (
        project text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        created_at timestamptz NOT NULL,
        committed_at timestamptz NOT NULL,
        CONSTRAINT pk_consumers PRIMARY KEY (project, name),
        CONSTRAINT ck_consumers_position CHECK (position >= 0)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE dead_letters (
        id bigint GENERATED ALWAYS AS IDENTITY,
        sink text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        attempts integer NOT NULL,
        error text NOT NULL,
        failed_at timestamptz NOT NULL,
        CONSTRAINT pk_dead_letters PRIMARY KEY (id),
        CONSTRAINT uq_dead_letters_position UNIQUE (sink, position)
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Forget how far consumers came and what sinks could not deliver."""
    op.execute("DROP TABLE dead_letters")
    op.execute("DROP TABLE consumers")
