"""Create configs, their versions, and the labels that move between them.

Versions and the history of labels are append-only: the database refuses to change them.

Locks: none that anybody waits for; every table is new. Rows touched: none.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

UP = (
    # Locked by whoever registers a version or moves a label, so numbers have no gaps.
    """
    CREATE TABLE configs (
        config bigint GENERATED ALWAYS AS IDENTITY,
        project text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        last_version bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_configs PRIMARY KEY (config),
        CONSTRAINT uq_configs_project_kind_name UNIQUE (project, kind, name),
        CONSTRAINT ck_configs_identity CHECK (project <> '' AND kind <> '' AND name <> ''),
        CONSTRAINT ck_configs_last_version CHECK (last_version >= 0)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TRIGGER tr_configs_never_back BEFORE UPDATE ON configs FOR EACH ROW
        WHEN ((NEW.config, NEW.project, NEW.kind, NEW.name, NEW.created_at)
              IS DISTINCT FROM (OLD.config, OLD.project, OLD.kind, OLD.name, OLD.created_at)
              OR NEW.last_version < OLD.last_version)
        EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE config_versions (
        config bigint NOT NULL,
        version bigint NOT NULL,
        digest text COLLATE "C" NOT NULL,
        is_json boolean NOT NULL,
        content_type text NOT NULL DEFAULT '',
        raw_bytes integer NOT NULL,
        data bytea NOT NULL,
        description text NOT NULL DEFAULT '',
        metadata_json json,
        metadata_binary bytea,
        metadata_type text,
        actor text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_config_versions PRIMARY KEY (config, version),
        CONSTRAINT uq_config_versions_digest UNIQUE (config, digest),
        CONSTRAINT fk_config_versions_config FOREIGN KEY (config) REFERENCES configs (config),
        CONSTRAINT ck_config_versions_version CHECK (version >= 1)
    )
    """,
    # The data are compressed already.
    "ALTER TABLE config_versions ALTER COLUMN data SET STORAGE EXTERNAL",
    """
    CREATE TABLE config_labels (
        config bigint NOT NULL,
        label text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        actor text NOT NULL DEFAULT '',
        moved_at timestamptz NOT NULL,
        CONSTRAINT pk_config_labels PRIMARY KEY (config, label),
        CONSTRAINT fk_config_labels_version
            FOREIGN KEY (config, version) REFERENCES config_versions (config, version)
    )
    """,
    """
    CREATE TABLE config_label_moves (
        move bigint GENERATED ALWAYS AS IDENTITY,
        config bigint NOT NULL,
        label text COLLATE "C" NOT NULL,
        from_version bigint NOT NULL,
        to_version bigint NOT NULL,
        actor text NOT NULL DEFAULT '',
        request_id text NOT NULL DEFAULT '',
        moved_at timestamptz NOT NULL,
        CONSTRAINT pk_config_label_moves PRIMARY KEY (config, move),
        CONSTRAINT fk_config_label_moves_config FOREIGN KEY (config) REFERENCES configs (config),
        CONSTRAINT ck_config_label_moves_moved
            CHECK (from_version >= 0 AND to_version >= 0 AND from_version <> to_version)
    )
    """,
    "CREATE INDEX ix_config_label_moves_label ON config_label_moves (config, label, move)",
    """
    CREATE UNIQUE INDEX uq_config_label_moves_request
        ON config_label_moves (config, label, request_id) WHERE request_id <> ''
    """,
    *(
        f"""
        CREATE TRIGGER tr_{table}_append_only BEFORE {operations} ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """
        for table, operations in (
            ("configs", "DELETE"),
            ("config_versions", "UPDATE OR DELETE"),
            ("config_label_moves", "UPDATE OR DELETE"),
        )
    ),
    *(
        f"""
        CREATE TRIGGER tr_{table}_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
        for table in ("configs", "config_versions", "config_label_moves")
    ),
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop every config. Runs keep the numbers and digests they are pinned to."""
    for table in ("config_label_moves", "config_labels", "config_versions", "configs"):
        op.execute(f"DROP TABLE {table}")
