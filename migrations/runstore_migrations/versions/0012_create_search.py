"""Create the rows that searches look through.

They are derived from events, in the order of the feed, and may be rebuilt at any time.

One GIN index holds the words and everything that searches filter by: a filter is a lexeme of the
same tsvector, so no extension is needed, other projects' rows are never read, and any combination
of filters costs what its rarest part does. One of those lexemes is the block of positions a row
lies in. Searches go through blocks from the newest on and stop when they have enough, so a word in
every second row costs no more than a rare one. There is no index on position on purpose: with it
the planner might walk the whole table for words that never meet. The table is not partitioned:
blocks bound what one search reads, and what is deleted is deleted by run, by the primary key.

The list of pending entries is kept short, because every search reads all of it.

Locks: none that anybody waits for; the table is new. Rows touched: none.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

UP = (
    """
    CREATE TABLE search_rows (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        position bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        text text NOT NULL,
        tsv tsvector NOT NULL,
        CONSTRAINT pk_search_rows PRIMARY KEY (run, seq)
    )
    """,
    """
    CREATE INDEX ix_search_rows_tsv ON search_rows USING gin (tsv)
        WITH (gin_pending_list_limit = 1024)
    """,
    # Searches never choose by how often a word is; collecting that would be the cost of ANALYZE.
    "ALTER TABLE search_rows ALTER COLUMN tsv SET STATISTICS 0",
    "ALTER TABLE search_rows ALTER COLUMN text SET STATISTICS 0",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Forget what is searchable; it can be rebuilt from events."""
    op.execute("DROP TABLE search_rows")
    op.execute("DELETE FROM duties WHERE name = 'search'")
