"""Create the usage counts that statistics are read from.

They are derived from events and may be rebuilt at any time. Type, node, model and tool are in the
key by a digest, `facets`: together they may be longer than an index takes.

Locks: none that anybody waits for; the table is new. Rows touched: none.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE usage_counts (
            run bigint NOT NULL,
            day date NOT NULL,
            type text COLLATE "C" NOT NULL,
            node_id text COLLATE "C" NOT NULL,
            model text COLLATE "C" NOT NULL,
            tool text COLLATE "C" NOT NULL,
            facets bytea NOT NULL,
            events bigint NOT NULL,
            input_tokens bigint NOT NULL,
            output_tokens bigint NOT NULL,
            cached_input_tokens bigint NOT NULL,
            cost_micros bigint NOT NULL,
            duration_us bigint NOT NULL,
            CONSTRAINT pk_usage_counts PRIMARY KEY (run, day, facets),
            CONSTRAINT ck_usage_counts_events CHECK (events >= 1)
        ) WITH (fillfactor = 80)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE usage_counts")
