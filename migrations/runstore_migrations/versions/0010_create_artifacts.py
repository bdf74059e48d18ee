"""Create artifacts and the objects that hold their bytes.

Locks: SHARE ROW EXCLUSIVE on runs for the foreign key, for an instant. Rows touched: none.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

UP = (
    """
    CREATE TABLE objects (
        object bigint GENERATED ALWAYS AS IDENTITY,
        project text COLLATE "C" NOT NULL,
        sha256 bytea NOT NULL,
        size bigint NOT NULL,
        location text COLLATE "C" NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_objects PRIMARY KEY (object),
        CONSTRAINT uq_objects_sha256 UNIQUE (project, sha256),
        CONSTRAINT ck_objects_sha256 CHECK (octet_length(sha256) = 32),
        CONSTRAINT ck_objects_size CHECK (size >= 0)
    )
    """,
    """
    CREATE TRIGGER tr_objects_immutable BEFORE UPDATE ON objects
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE artifacts (
        run bigint NOT NULL,
        name text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        artifact_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        type text NOT NULL DEFAULT '',
        content_type text NOT NULL DEFAULT '',
        object bigint,
        url text NOT NULL DEFAULT '',
        sha256 bytea,
        size bigint,
        metadata_json json,
        metadata_binary bytea,
        metadata_type text,
        actor text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_artifacts PRIMARY KEY (run, name, version),
        CONSTRAINT uq_artifacts_artifact_id UNIQUE (project, artifact_id),
        CONSTRAINT fk_artifacts_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT fk_artifacts_object FOREIGN KEY (object) REFERENCES objects (object),
        CONSTRAINT ck_artifacts_version CHECK (version >= 1),
        CONSTRAINT ck_artifacts_place CHECK (
            CASE WHEN object IS NULL THEN url <> ''
                 ELSE url = '' AND sha256 IS NOT NULL AND size IS NOT NULL END)
    )
    """,
    "CREATE INDEX ix_artifacts_run ON artifacts (run, artifact_id)",
    "CREATE INDEX ix_artifacts_object ON artifacts (object) WHERE object IS NOT NULL",
    """
    CREATE TRIGGER tr_artifacts_append_only BEFORE UPDATE ON artifacts
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Forget every artifact; the bytes stay in the object store."""
    op.execute("DROP TABLE artifacts")
    op.execute("DROP TABLE objects")
