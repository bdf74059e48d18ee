"""Create tokens, limits of projects, and the records of what was done about them.

`credential_epoch` has one row; its number grows whenever a token is revoked or limits are set, and
servers look at it to notice. An empty project stands for the server itself.

Locks: none that anybody waits for; every table is new. Rows touched: one.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

UP = (
    """
    CREATE TABLE tokens (
        token_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        name text NOT NULL,
        secret_hash bytea NOT NULL,
        grants jsonb NOT NULL,
        created_by jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        last_used_at timestamptz,
        CONSTRAINT pk_tokens PRIMARY KEY (token_id),
        CONSTRAINT ck_tokens_secret_hash CHECK (octet_length(secret_hash) = 32),
        CONSTRAINT ck_tokens_expires_at CHECK (expires_at > created_at)
    )
    """,
    "CREATE INDEX ix_tokens_project ON tokens (project, created_at, token_id)",
    """
    CREATE TRIGGER tr_tokens_never_more BEFORE UPDATE ON tokens FOR EACH ROW
        WHEN ((NEW.token_id, NEW.project, NEW.secret_hash, NEW.grants, NEW.created_by,
               NEW.created_at, NEW.expires_at)
              IS DISTINCT FROM
              (OLD.token_id, OLD.project, OLD.secret_hash, OLD.grants, OLD.created_by,
               OLD.created_at, OLD.expires_at)
              OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at))
        EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE credential_epoch (
        is_only boolean NOT NULL DEFAULT true,
        epoch bigint NOT NULL DEFAULT 0,
        CONSTRAINT pk_credential_epoch PRIMARY KEY (is_only),
        CONSTRAINT ck_credential_epoch_is_only CHECK (is_only)
    )
    """,
    "INSERT INTO credential_epoch DEFAULT VALUES",
    """
    CREATE TABLE project_limits (
        project text COLLATE "C" NOT NULL,
        calls_per_second bigint NOT NULL,
        events_per_second bigint NOT NULL,
        bytes_per_second bigint NOT NULL,
        streams bigint NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_project_limits PRIMARY KEY (project),
        CONSTRAINT ck_project_limits_positive CHECK (
            least(calls_per_second, events_per_second, bytes_per_second, streams) >= 0)
    )
    """,
    """
    CREATE TABLE admin_records (
        project text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        method text NOT NULL,
        resource text NOT NULL,
        principal jsonb NOT NULL,
        grants jsonb NOT NULL,
        is_allowed boolean NOT NULL,
        peer text NOT NULL,
        call_id text NOT NULL,
        request_id text COLLATE "C" NOT NULL,
        request text NOT NULL,
        status text NOT NULL,
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_admin_records PRIMARY KEY (project, number),
        CONSTRAINT ck_admin_records_number CHECK (number >= 1)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_admin_records_request ON admin_records (project, request_id)
        WHERE is_allowed AND request_id <> ''
    """,
    """
    CREATE TRIGGER tr_admin_records_append_only BEFORE UPDATE OR DELETE ON admin_records
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_admin_records_truncate BEFORE TRUNCATE ON admin_records
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Forget every token, limit and record."""
    for table in ("admin_records", "project_limits", "credential_epoch", "tokens"):
        op.execute(f"DROP TABLE {table}")
