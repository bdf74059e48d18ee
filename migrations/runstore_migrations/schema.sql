BEGIN;

CREATE TABLE schema_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$;

CREATE TABLE runs (
        run bigint GENERATED ALWAYS AS IDENTITY,
        project text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        plan_id text NOT NULL DEFAULT '',
        objective text NOT NULL DEFAULT '',
        plan_json json,
        plan_binary bytea,
        plan_type text,
        parent bigint,
        external_ref jsonb,
        config_refs jsonb NOT NULL DEFAULT '[]',
        tags text[] NOT NULL DEFAULT '{}',
        labels jsonb NOT NULL DEFAULT '{}',
        body_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_runs PRIMARY KEY (run),
        CONSTRAINT uq_runs_project_run_id UNIQUE (project, run_id),
        CONSTRAINT fk_runs_parent FOREIGN KEY (parent) REFERENCES runs (run),
        CONSTRAINT ck_runs_identity CHECK (project <> '' AND run_id <> '')
    );

CREATE TRIGGER tr_runs_append_only BEFORE UPDATE OR DELETE ON runs
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_runs_truncate BEFORE TRUNCATE ON runs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE run_heads (
        run bigint NOT NULL,
        last_seq bigint NOT NULL DEFAULT 0,
        last_hash bytea NOT NULL,
        status smallint NOT NULL,
        outcome smallint NOT NULL DEFAULT 0,
        writer_epoch bigint NOT NULL DEFAULT 1,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cached_input_tokens bigint NOT NULL DEFAULT 0,
        cost_micros bigint NOT NULL DEFAULT 0,
        duration_us bigint NOT NULL DEFAULT 0,
        updated_at timestamptz NOT NULL,
        completed_at timestamptz,
        CONSTRAINT pk_run_heads PRIMARY KEY (run),
        CONSTRAINT fk_run_heads_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_run_heads_last_seq CHECK (last_seq >= 0),
        CONSTRAINT ck_run_heads_writer_epoch CHECK (writer_epoch >= 1),
        CONSTRAINT ck_run_heads_status CHECK (status BETWEEN 1 AND 6),
        CONSTRAINT ck_run_heads_open
            CHECK (completed_at IS NOT NULL OR (outcome = 0 AND status IN (1, 2, 6)))
    ) WITH (fillfactor = 50);

CREATE TRIGGER tr_run_heads_never_back BEFORE UPDATE ON run_heads FOR EACH ROW
        WHEN (NEW.run <> OLD.run OR NEW.last_seq < OLD.last_seq
              OR NEW.writer_epoch < OLD.writer_epoch
              OR (OLD.completed_at IS NOT NULL
                  AND (NEW.last_seq, NEW.last_hash, NEW.status, NEW.outcome, NEW.completed_at)
                      IS DISTINCT FROM
                      (OLD.last_seq, OLD.last_hash, OLD.status, OLD.outcome, OLD.completed_at)))
        EXECUTE FUNCTION refuse_change();

CREATE TABLE events (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        type text NOT NULL,
        node_id text NOT NULL DEFAULT '',
        actor text NOT NULL DEFAULT '',
        model text NOT NULL DEFAULT '',
        tool text NOT NULL DEFAULT '',
        tags text[] NOT NULL DEFAULT '{}',
        payload_json json,
        payload_binary bytea,
        payload_type text,
        payload_bytes integer NOT NULL,
        input_tokens bigint,
        output_tokens bigint,
        cached_input_tokens bigint,
        cost_micros bigint,
        duration_us bigint,
        trace_parent text NOT NULL DEFAULT '',
        occurred_at timestamptz,
        recorded_at timestamptz NOT NULL,
        is_terminal boolean NOT NULL,
        body_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_events PRIMARY KEY (run, seq),
        CONSTRAINT uq_events_event_id UNIQUE (run, event_id),
        CONSTRAINT ck_events_seq CHECK (seq >= 1),
        CONSTRAINT ck_events_hash CHECK (octet_length(hash) = 32)
    ) PARTITION BY RANGE (run);

CREATE UNIQUE INDEX uq_events_terminal ON events (run) WHERE is_terminal;

CREATE TRIGGER tr_events_append_only BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_events_truncate BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        CONSTRAINT pk_outbox PRIMARY KEY (id),
        CONSTRAINT ck_outbox_range CHECK (first_seq >= 1 AND first_seq <= last_seq)
    );

INSERT INTO schema_version (version_num) VALUES ('0001') RETURNING schema_version.version_num;

-- Running upgrade 0001 -> 0002

CREATE TABLE blobs (
        run bigint NOT NULL,
        blob bigint GENERATED ALWAYS AS IDENTITY,
        sha256 bytea NOT NULL,
        is_json boolean NOT NULL,
        content_type text NOT NULL DEFAULT '',
        raw_bytes integer NOT NULL,
        data bytea NOT NULL,
        CONSTRAINT pk_blobs PRIMARY KEY (run, blob),
        CONSTRAINT uq_blobs_sha256 UNIQUE (run, sha256),
        CONSTRAINT fk_blobs_run FOREIGN KEY (run) REFERENCES runs (run)
    );

ALTER TABLE blobs ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE snapshots (
        run bigint NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        snapshot_id text COLLATE "C" NOT NULL,
        parent_snapshot_id text NOT NULL DEFAULT '',
        seq bigint NOT NULL,
        plan_version_id text NOT NULL DEFAULT '',
        reason smallint NOT NULL,
        pending_node_ids text[] NOT NULL DEFAULT '{}',
        manifest bytea NOT NULL,
        parts_bytes bigint NOT NULL,
        metadata_json json,
        metadata_binary bytea,
        metadata_type text,
        metadata_terms text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL,
        content_hash bytea NOT NULL,
        CONSTRAINT pk_snapshots PRIMARY KEY (run, namespace, snapshot_id),
        CONSTRAINT fk_snapshots_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_snapshots_seq CHECK (seq >= 0)
    );

ALTER TABLE snapshots ALTER COLUMN manifest SET STORAGE EXTERNAL;

CREATE INDEX ix_snapshots_latest ON snapshots (run, namespace, seq, snapshot_id);

CREATE TRIGGER tr_snapshots_immutable BEFORE UPDATE ON snapshots
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_blobs_immutable BEFORE UPDATE ON blobs
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE task_writes (
        run bigint NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        snapshot_id text COLLATE "C" NOT NULL,
        task_id text COLLATE "C" NOT NULL,
        index integer NOT NULL,
        channel text NOT NULL DEFAULT '',
        payload_json json,
        payload_binary bytea,
        payload_type text,
        body_hash bytea NOT NULL,
        CONSTRAINT pk_task_writes PRIMARY KEY (run, namespace, snapshot_id, task_id, index),
        CONSTRAINT fk_task_writes_run FOREIGN KEY (run) REFERENCES runs (run)
    );

UPDATE schema_version SET version_num='0002' WHERE schema_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

CREATE TABLE outputs (
        run bigint NOT NULL,
        revision integer NOT NULL,
        outcome smallint NOT NULL,
        payload_json json,
        payload_binary bytea,
        payload_type text,
        schema_hash text NOT NULL DEFAULT '',
        plan_version_id text NOT NULL DEFAULT '',
        provenance_json json,
        provenance_binary bytea,
        provenance_type text,
        statistics_json json,
        statistics_binary bytea,
        statistics_type text,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cached_input_tokens bigint NOT NULL DEFAULT 0,
        cost_micros bigint NOT NULL DEFAULT 0,
        duration_us bigint NOT NULL DEFAULT 0,
        body_hash bytea NOT NULL,
        completed_at timestamptz NOT NULL,
        CONSTRAINT pk_outputs PRIMARY KEY (run, revision),
        CONSTRAINT uq_outputs_body_hash UNIQUE (run, body_hash),
        CONSTRAINT fk_outputs_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_outputs_revision CHECK (revision >= 1)
    );

CREATE TRIGGER tr_outputs_append_only BEFORE UPDATE OR DELETE ON outputs
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_outputs_truncate BEFORE TRUNCATE ON outputs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE requests (
        run bigint NOT NULL,
        request_id text COLLATE "C" NOT NULL,
        body_hash bytea NOT NULL,
        answer jsonb NOT NULL,
        CONSTRAINT pk_requests PRIMARY KEY (run, request_id),
        CONSTRAINT fk_requests_run FOREIGN KEY (run) REFERENCES runs (run)
    );

UPDATE schema_version SET version_num='0003' WHERE schema_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

COMMIT;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_project;

CREATE INDEX CONCURRENTLY ix_runs_project ON runs (project, run);

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_parent;

CREATE INDEX CONCURRENTLY ix_runs_parent ON runs (parent) WHERE parent IS NOT NULL;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_plan;

CREATE INDEX CONCURRENTLY ix_runs_plan ON runs (project, plan_id, run) WHERE plan_id <> '';

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_tags;

CREATE INDEX CONCURRENTLY ix_runs_tags ON runs USING gin (tags);

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_labels;

CREATE INDEX CONCURRENTLY ix_runs_labels ON runs USING gin (labels jsonb_path_ops);

DROP INDEX CONCURRENTLY IF EXISTS ix_snapshots_metadata;

CREATE INDEX CONCURRENTLY ix_snapshots_metadata ON snapshots USING gin (metadata_terms);

BEGIN;

UPDATE schema_version SET version_num='0004' WHERE schema_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

CREATE TABLE feed (
        last_position bigint NOT NULL,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        project text COLLATE "C" NOT NULL,
        published_at timestamptz NOT NULL,
        CONSTRAINT pk_feed PRIMARY KEY (last_position),
        CONSTRAINT ck_feed_range CHECK (first_seq >= 1 AND first_seq <= last_seq),
        CONSTRAINT ck_feed_position CHECK (last_position > last_seq - first_seq)
    );

CREATE INDEX ix_feed_project ON feed (project, last_position);

CREATE TRIGGER tr_feed_append_only BEFORE UPDATE ON feed
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE duties (
        name text COLLATE "C" NOT NULL,
        position bigint NOT NULL DEFAULT 0,
        holder text NOT NULL DEFAULT '',
        expires_at timestamptz NOT NULL DEFAULT '-infinity',
        CONSTRAINT pk_duties PRIMARY KEY (name),
        CONSTRAINT ck_duties_position CHECK (position >= 0)
    ) WITH (fillfactor = 10);

INSERT INTO duties (name) VALUES ('relay');

ALTER TABLE outbox SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0
    );

UPDATE schema_version SET version_num='0005' WHERE schema_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

CREATE TABLE consumers (
        project text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        created_at timestamptz NOT NULL,
        committed_at timestamptz NOT NULL,
        CONSTRAINT pk_consumers PRIMARY KEY (project, name),
        CONSTRAINT ck_consumers_position CHECK (position >= 0)
    ) WITH (fillfactor = 50);

CREATE TABLE dead_letters (
        id bigint GENERATED ALWAYS AS IDENTITY,
        sink text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        attempts integer NOT NULL,
        error text NOT NULL,
        failed_at timestamptz NOT NULL,
        CONSTRAINT pk_dead_letters PRIMARY KEY (id),
        CONSTRAINT uq_dead_letters_position UNIQUE (sink, position)
    );

UPDATE schema_version SET version_num='0006' WHERE schema_version.version_num = '0005';

-- Running upgrade 0006 -> 0007

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
        ) WITH (fillfactor = 80);

UPDATE schema_version SET version_num='0007' WHERE schema_version.version_num = '0006';

-- Running upgrade 0007 -> 0008

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
    ) WITH (fillfactor = 80);

CREATE TRIGGER tr_configs_never_back BEFORE UPDATE ON configs FOR EACH ROW
        WHEN ((NEW.config, NEW.project, NEW.kind, NEW.name, NEW.created_at)
              IS DISTINCT FROM (OLD.config, OLD.project, OLD.kind, OLD.name, OLD.created_at)
              OR NEW.last_version < OLD.last_version)
        EXECUTE FUNCTION refuse_change();

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
    );

ALTER TABLE config_versions ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE config_labels (
        config bigint NOT NULL,
        label text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        actor text NOT NULL DEFAULT '',
        moved_at timestamptz NOT NULL,
        CONSTRAINT pk_config_labels PRIMARY KEY (config, label),
        CONSTRAINT fk_config_labels_version
            FOREIGN KEY (config, version) REFERENCES config_versions (config, version)
    );

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
    );

CREATE INDEX ix_config_label_moves_label ON config_label_moves (config, label, move);

CREATE UNIQUE INDEX uq_config_label_moves_request
        ON config_label_moves (config, label, request_id) WHERE request_id <> '';

CREATE TRIGGER tr_configs_append_only BEFORE DELETE ON configs
            FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_config_versions_append_only BEFORE UPDATE OR DELETE ON config_versions
            FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_config_label_moves_append_only BEFORE UPDATE OR DELETE ON config_label_moves
            FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_configs_truncate BEFORE TRUNCATE ON configs
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_config_versions_truncate BEFORE TRUNCATE ON config_versions
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_config_label_moves_truncate BEFORE TRUNCATE ON config_label_moves
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

UPDATE schema_version SET version_num='0008' WHERE schema_version.version_num = '0007';

-- Running upgrade 0008 -> 0009

COMMIT;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_config_refs;

CREATE INDEX CONCURRENTLY ix_runs_config_refs ON runs USING gin (config_refs jsonb_path_ops);

BEGIN;

UPDATE schema_version SET version_num='0009' WHERE schema_version.version_num = '0008';

-- Running upgrade 0009 -> 0010

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
    );

CREATE TRIGGER tr_objects_immutable BEFORE UPDATE ON objects
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

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
    );

CREATE INDEX ix_artifacts_run ON artifacts (run, artifact_id);

CREATE INDEX ix_artifacts_object ON artifacts (object) WHERE object IS NOT NULL;

CREATE TRIGGER tr_artifacts_append_only BEFORE UPDATE ON artifacts
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

UPDATE schema_version SET version_num='0010' WHERE schema_version.version_num = '0009';

-- Running upgrade 0010 -> 0011

ALTER TABLE events ADD COLUMN IF NOT EXISTS payload_blob bigint;

ALTER TABLE outputs ADD COLUMN IF NOT EXISTS payload_blob bigint;

ALTER TABLE blobs
        DROP CONSTRAINT IF EXISTS ck_blobs_place,
        ADD COLUMN IF NOT EXISTS location text,
        ALTER COLUMN data DROP NOT NULL,
        ADD CONSTRAINT ck_blobs_place CHECK (num_nonnulls(data, location) = 1) NOT VALID;

COMMIT;

ALTER TABLE blobs VALIDATE CONSTRAINT ck_blobs_place;

BEGIN;

UPDATE schema_version SET version_num='0011' WHERE schema_version.version_num = '0010';

-- Running upgrade 0011 -> 0012

CREATE TABLE search_rows (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        position bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        text text NOT NULL,
        tsv tsvector NOT NULL,
        CONSTRAINT pk_search_rows PRIMARY KEY (run, seq)
    );

CREATE INDEX ix_search_rows_tsv ON search_rows USING gin (tsv)
        WITH (gin_pending_list_limit = 1024);

ALTER TABLE search_rows ALTER COLUMN tsv SET STATISTICS 0;

ALTER TABLE search_rows ALTER COLUMN text SET STATISTICS 0;

UPDATE schema_version SET version_num='0012' WHERE schema_version.version_num = '0011';

-- Running upgrade 0012 -> 0013

ALTER TABLE runs
        ADD COLUMN IF NOT EXISTS fork_parent bigint,
        ADD COLUMN IF NOT EXISTS fork_seq bigint,
        ADD COLUMN IF NOT EXISTS lineage jsonb,
        DROP CONSTRAINT IF EXISTS fk_runs_fork_parent,
        DROP CONSTRAINT IF EXISTS ck_runs_fork,
        ADD CONSTRAINT fk_runs_fork_parent
            FOREIGN KEY (fork_parent) REFERENCES runs (run) NOT VALID,
        ADD CONSTRAINT ck_runs_fork
            CHECK (num_nonnulls(fork_parent, fork_seq, lineage) IN (0, 3)) NOT VALID;

ALTER TABLE task_writes
        ADD COLUMN IF NOT EXISTS seq bigint,
        ADD COLUMN IF NOT EXISTS written_at timestamptz;

COMMIT;

ALTER TABLE runs VALIDATE CONSTRAINT fk_runs_fork_parent;

ALTER TABLE runs VALIDATE CONSTRAINT ck_runs_fork;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_fork_parent;

CREATE INDEX CONCURRENTLY ix_runs_fork_parent ON runs (fork_parent) WHERE fork_parent IS NOT NULL;

BEGIN;

UPDATE schema_version SET version_num='0013' WHERE schema_version.version_num = '0012';

-- Running upgrade 0013 -> 0014

ALTER TABLE run_heads
        ADD COLUMN project text COLLATE "C", ADD COLUMN updated_hour timestamptz;

CREATE FUNCTION place_run_head() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.project IS NULL THEN
            NEW.project := (SELECT project FROM runs WHERE run = NEW.run);
        END IF;
        NEW.updated_hour := date_trunc('hour', NEW.updated_at, 'UTC');
        RETURN NEW;
    END $$;

CREATE TRIGGER tr_run_heads_place BEFORE INSERT ON run_heads FOR EACH ROW
        EXECUTE FUNCTION place_run_head();

CREATE TRIGGER tr_run_heads_move BEFORE UPDATE ON run_heads FOR EACH ROW
        WHEN (NEW.updated_hour IS DISTINCT FROM date_trunc('hour', NEW.updated_at, 'UTC'))
        EXECUTE FUNCTION place_run_head();

UPDATE run_heads SET updated_at = updated_at;

UPDATE schema_version SET version_num='0014' WHERE schema_version.version_num = '0013';

-- Running upgrade 0014 -> 0015

COMMIT;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_created;

CREATE INDEX CONCURRENTLY ix_runs_created ON runs (project, created_at, run);

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_external_ref;

CREATE INDEX CONCURRENTLY ix_runs_external_ref ON runs USING gin (external_ref jsonb_path_ops) WHERE external_ref IS NOT NULL;

DROP INDEX CONCURRENTLY IF EXISTS ix_runs_objective;

CREATE INDEX CONCURRENTLY ix_runs_objective ON runs USING gin (to_tsvector('simple', "left"(objective, 10000)));

DROP INDEX CONCURRENTLY IF EXISTS ix_run_heads_updated;

CREATE INDEX CONCURRENTLY ix_run_heads_updated ON run_heads (project, updated_hour);

DROP INDEX CONCURRENTLY IF EXISTS ix_run_heads_completed;

CREATE INDEX CONCURRENTLY ix_run_heads_completed ON run_heads (project, completed_at, run) WHERE completed_at IS NOT NULL;

DROP INDEX CONCURRENTLY IF EXISTS ix_run_heads_status;

CREATE INDEX CONCURRENTLY ix_run_heads_status ON run_heads (project, status, run);

DROP INDEX CONCURRENTLY IF EXISTS ix_snapshots_created;

CREATE INDEX CONCURRENTLY ix_snapshots_created ON snapshots (created_at, run);

DROP INDEX CONCURRENTLY IF EXISTS ix_usage_counts_model;

CREATE INDEX CONCURRENTLY ix_usage_counts_model ON usage_counts (model, run) WHERE model <> '';

DROP INDEX CONCURRENTLY IF EXISTS ix_usage_counts_tool;

CREATE INDEX CONCURRENTLY ix_usage_counts_tool ON usage_counts (tool, run) WHERE tool <> '';

DROP INDEX CONCURRENTLY IF EXISTS ix_usage_counts_day;

CREATE INDEX CONCURRENTLY ix_usage_counts_day ON usage_counts (day, run);

BEGIN;

UPDATE schema_version SET version_num='0015' WHERE schema_version.version_num = '0014';

-- Running upgrade 0015 -> 0016

CREATE INDEX IF NOT EXISTS ix_events_payload_blob ON ONLY events (run, payload_blob) WHERE payload_blob IS NOT NULL;

UPDATE schema_version SET version_num='0016' WHERE schema_version.version_num = '0015';

-- Running upgrade 0016 -> 0017

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
    );

CREATE INDEX ix_tokens_project ON tokens (project, created_at, token_id);

CREATE TRIGGER tr_tokens_never_more BEFORE UPDATE ON tokens FOR EACH ROW
        WHEN ((NEW.token_id, NEW.project, NEW.secret_hash, NEW.grants, NEW.created_by,
               NEW.created_at, NEW.expires_at)
              IS DISTINCT FROM
              (OLD.token_id, OLD.project, OLD.secret_hash, OLD.grants, OLD.created_by,
               OLD.created_at, OLD.expires_at)
              OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at))
        EXECUTE FUNCTION refuse_change();

CREATE TABLE credential_epoch (
        is_only boolean NOT NULL DEFAULT true,
        epoch bigint NOT NULL DEFAULT 0,
        CONSTRAINT pk_credential_epoch PRIMARY KEY (is_only),
        CONSTRAINT ck_credential_epoch_is_only CHECK (is_only)
    );

INSERT INTO credential_epoch DEFAULT VALUES;

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
    );

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
    );

CREATE UNIQUE INDEX uq_admin_records_request ON admin_records (project, request_id)
        WHERE is_allowed AND request_id <> '';

CREATE TRIGGER tr_admin_records_append_only BEFORE UPDATE OR DELETE ON admin_records
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_admin_records_truncate BEFORE TRUNCATE ON admin_records
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

UPDATE schema_version SET version_num='0017' WHERE schema_version.version_num = '0016';

-- Running upgrade 0017 -> 0018

CREATE FUNCTION make_partition(for_run bigint) RETURNS boolean
    LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        low bigint := for_run - mod(for_run, 100000);
        made text := 'events_' || low;
        other text;
    BEGIN
        -- What is beyond all room that is ever made would only fill the catalogue.
        IF for_run NOT BETWEEN 0 AND (SELECT coalesce(max(run), 0) + 10000000 FROM runs) THEN
            RAISE EXCEPTION USING
                MESSAGE = 'no run has the number ' || for_run || ', and none soon will',
                ERRCODE = 'invalid_parameter_value';
        END IF;
        PERFORM pg_advisory_xact_lock(
            hashtextextended('runstore partitions ' || current_schema(), 0));
        IF EXISTS (
            SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = made AND n.nspname = current_schema()
        ) THEN
            RETURN false;
        END IF;
        -- A table that is built by itself and then attached does not block writers of the others:
        -- ATTACH takes SHARE UPDATE EXCLUSIVE on the parent.
        EXECUTE 'CREATE TABLE ' || made
            || ' (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)';
        EXECUTE 'ALTER TABLE events ATTACH PARTITION ' || made
            || ' FOR VALUES FROM (' || low || ') TO (' || low + 100000 || ')';
        EXECUTE 'CREATE TRIGGER tr_' || made || '_truncate BEFORE TRUNCATE ON ' || made
            || ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()';
        -- Rows are written through the table alone, whatever the owner's default privileges are.
        FOR other IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(relacl)
            WHERE c.relname = made AND n.nspname = current_schema() AND grantee <> relowner
        LOOP
            EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ' || made
                || ' FROM ' || other;
        END LOOP;
        RETURN true;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION make_partition(bigint) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION make_partition(bigint) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION make_partition(bigint) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION make_partition(bigint) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

UPDATE schema_version SET version_num='0018' WHERE schema_version.version_num = '0017';

-- Running upgrade 0018 -> 0019

CREATE TABLE IF NOT EXISTS stored_bytes (
        project text COLLATE "C" NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT pk_stored_bytes PRIMARY KEY (project)
    ) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS stored_changes (
        id bigint GENERATED ALWAYS AS IDENTITY,
        kind smallint NOT NULL,
        key bigint NOT NULL,
        project text COLLATE "C" NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT pk_stored_changes PRIMARY KEY (id),
        CONSTRAINT ck_stored_changes_kind CHECK (kind BETWEEN 0 AND 3)
    );

ALTER TABLE stored_changes SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0
    );

CREATE TABLE IF NOT EXISTS stored_scan (
        is_only boolean NOT NULL DEFAULT true,
        kind smallint NOT NULL DEFAULT 1,
        key bigint NOT NULL DEFAULT 0,
        CONSTRAINT pk_stored_scan PRIMARY KEY (is_only),
        CONSTRAINT ck_stored_scan_is_only CHECK (is_only)
    );

INSERT INTO stored_scan DEFAULT VALUES ON CONFLICT DO NOTHING;

ALTER TABLE project_limits
        ADD COLUMN IF NOT EXISTS stored_bytes bigint NOT NULL DEFAULT 0,
        DROP CONSTRAINT IF EXISTS ck_project_limits_stored_bytes,
        ADD CONSTRAINT ck_project_limits_stored_bytes CHECK (stored_bytes >= 0);

DO $$
    DECLARE
        writer text;
    BEGIN
        FOR writer IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(relacl)
            WHERE c.relname = 'events' AND n.nspname = current_schema()
                AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT INSERT ON stored_changes TO ' || writer;
        END LOOP;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 0, run, project, TG_ARGV[0]::integer * held
        FROM (SELECT run, sum(payload_bytes) FILTER (WHERE payload_blob IS NULL) AS held FROM changed GROUP BY run) AS sums
            JOIN runs USING (run)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_blobs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project, TG_ARGV[0]::integer * held
        FROM (SELECT run, sum(raw_bytes) AS held FROM changed GROUP BY run) AS sums
            JOIN runs USING (run)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_snapshots() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project, TG_ARGV[0]::integer * held
        FROM (SELECT run, sum(octet_length(manifest) + coalesce(octet_length(metadata_json::text), octet_length(metadata_binary), 0)) AS held FROM changed GROUP BY run) AS sums
            JOIN runs USING (run)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_task_writes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project, TG_ARGV[0]::integer * held
        FROM (SELECT run, sum(coalesce(octet_length(payload_json::text), octet_length(payload_binary), 0)) AS held FROM changed GROUP BY run) AS sums
            JOIN runs USING (run)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_outputs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project, TG_ARGV[0]::integer * held
        FROM (SELECT run, sum(coalesce(octet_length(payload_json::text), octet_length(payload_binary), 0) + coalesce(octet_length(provenance_json::text), octet_length(provenance_binary), 0) + coalesce(octet_length(statistics_json::text), octet_length(statistics_binary), 0)) AS held FROM changed GROUP BY run) AS sums
            JOIN runs USING (run)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_objects() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 2, object, project, TG_ARGV[0]::integer * held
        FROM (SELECT object, sum(size) AS held FROM changed GROUP BY object) AS sums
            JOIN changed USING (object)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_config_versions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 3, config, project, TG_ARGV[0]::integer * held
        FROM (SELECT config, sum(raw_bytes + coalesce(octet_length(metadata_json::text), octet_length(metadata_binary), 0)) AS held FROM changed GROUP BY config) AS sums
            JOIN configs USING (config)
        WHERE held <> 0;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION note_stored_plan() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        VALUES (1, NEW.run, NEW.project, coalesce(octet_length(NEW.plan_json::text), octet_length(NEW.plan_binary), 0));
        RETURN NULL;
    END $$;

COMMIT;

CREATE OR REPLACE TRIGGER tr_blobs_stored_added AFTER INSERT ON blobs
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_blobs('1');

CREATE OR REPLACE TRIGGER tr_blobs_stored_removed AFTER DELETE ON blobs
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_blobs('-1');

CREATE OR REPLACE TRIGGER tr_snapshots_stored_added AFTER INSERT ON snapshots
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_snapshots('1');

CREATE OR REPLACE TRIGGER tr_snapshots_stored_removed AFTER DELETE ON snapshots
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_snapshots('-1');

CREATE OR REPLACE TRIGGER tr_outputs_stored_added AFTER INSERT ON outputs
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_outputs('1');

CREATE OR REPLACE TRIGGER tr_outputs_stored_removed AFTER DELETE ON outputs
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_outputs('-1');

CREATE OR REPLACE TRIGGER tr_objects_stored_added AFTER INSERT ON objects
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_objects('1');

CREATE OR REPLACE TRIGGER tr_objects_stored_removed AFTER DELETE ON objects
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_objects('-1');

CREATE OR REPLACE TRIGGER tr_config_versions_stored_added AFTER INSERT ON config_versions
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_config_versions('1');

CREATE OR REPLACE TRIGGER tr_config_versions_stored_removed AFTER DELETE ON config_versions
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_config_versions('-1');

CREATE OR REPLACE TRIGGER tr_events_stored_removed AFTER DELETE ON events
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_events('-1');

CREATE OR REPLACE TRIGGER tr_task_writes_stored_added AFTER INSERT ON task_writes
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_task_writes('1');

CREATE OR REPLACE TRIGGER tr_task_writes_stored_removed AFTER DELETE ON task_writes
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_task_writes('-1');

CREATE OR REPLACE TRIGGER tr_task_writes_stored_before AFTER UPDATE ON task_writes
        REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_task_writes('-1');

CREATE OR REPLACE TRIGGER tr_task_writes_stored_after AFTER UPDATE ON task_writes
        REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION note_stored_task_writes('1');

CREATE OR REPLACE TRIGGER tr_runs_stored_added AFTER INSERT ON runs FOR EACH ROW
        WHEN (NEW.plan_json IS NOT NULL OR NEW.plan_binary IS NOT NULL)
        EXECUTE FUNCTION note_stored_plan();

BEGIN;

UPDATE schema_version SET version_num='0019' WHERE schema_version.version_num = '0018';

-- Running upgrade 0019 -> 0020

ALTER TABLE events ADD COLUMN salt bytea;

ALTER TABLE runs ADD COLUMN salt bytea;

ALTER TABLE outputs ADD COLUMN salt bytea;

ALTER TABLE snapshots ADD COLUMN salt bytea;

ALTER TABLE task_writes ADD COLUMN salt bytea;

ALTER TABLE requests ADD COLUMN salt bytea;

ALTER TABLE events ADD COLUMN subjects text[];

ALTER TABLE runs ADD COLUMN subjects text[];

CREATE TABLE store_flags (
        is_only boolean NOT NULL DEFAULT true,
        chain_version smallint NOT NULL,
        CONSTRAINT pk_store_flags PRIMARY KEY (is_only),
        CONSTRAINT ck_store_flags_is_only CHECK (is_only),
        CONSTRAINT ck_store_flags_chain_version CHECK (chain_version IN (1, 2))
    );

INSERT INTO store_flags (chain_version)
    SELECT CASE WHEN EXISTS (SELECT FROM runs) THEN 1 ELSE 2 END;

CREATE TRIGGER tr_store_flags_never_back BEFORE UPDATE ON store_flags FOR EACH ROW
        WHEN (NEW.chain_version < OLD.chain_version) EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_store_flags_stays BEFORE DELETE ON store_flags
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

UPDATE schema_version SET version_num='0020' WHERE schema_version.version_num = '0019';

-- Running upgrade 0020 -> 0021

CREATE TABLE holds (
        hold_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        run bigint,
        statuses smallint[] NOT NULL,
        plan_id text NOT NULL,
        tags text[] NOT NULL,
        labels jsonb NOT NULL,
        reason text NOT NULL,
        placed_by jsonb NOT NULL,
        placed_at timestamptz NOT NULL,
        released_by jsonb,
        released_at timestamptz,
        CONSTRAINT pk_holds PRIMARY KEY (hold_id),
        CONSTRAINT fk_holds_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT ck_holds_target CHECK (
            run IS NULL OR (statuses = '{}' AND plan_id = '' AND tags = '{}' AND labels = '{}')),
        CONSTRAINT ck_holds_released CHECK (num_nonnulls(released_by, released_at) IN (0, 2))
    );

CREATE INDEX ix_holds_project ON holds (project, placed_at, hold_id);

CREATE INDEX ix_holds_holding ON holds (project) WHERE released_at IS NULL;

CREATE TRIGGER tr_holds_never_more BEFORE UPDATE ON holds FOR EACH ROW
        WHEN ((NEW.hold_id, NEW.project, NEW.run, NEW.statuses, NEW.plan_id, NEW.tags, NEW.labels,
               NEW.reason, NEW.placed_by, NEW.placed_at)
              IS DISTINCT FROM
              (OLD.hold_id, OLD.project, OLD.run, OLD.statuses, OLD.plan_id, OLD.tags, OLD.labels,
               OLD.reason, OLD.placed_by, OLD.placed_at)
              OR OLD.released_at IS NOT NULL)
        EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_holds_append_only BEFORE DELETE ON holds
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_holds_truncate BEFORE TRUNCATE ON holds
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

UPDATE schema_version SET version_num='0021' WHERE schema_version.version_num = '0020';

-- Running upgrade 0021 -> 0022

CREATE TABLE IF NOT EXISTS removals (
        removal bigint GENERATED ALWAYS AS IDENTITY,
        removal_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        run bigint NOT NULL,
        kind smallint NOT NULL,
        birth bytea NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        record bigint NOT NULL,
        begun_at timestamptz NOT NULL,
        CONSTRAINT pk_removals PRIMARY KEY (removal),
        CONSTRAINT uq_removals_record UNIQUE (project, record),
        CONSTRAINT fk_removals_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT fk_removals_record FOREIGN KEY (project, record)
            REFERENCES admin_records (project, number),
        CONSTRAINT ck_removals_kind CHECK (kind = 1),
        CONSTRAINT ck_removals_birth CHECK (octet_length(birth) = 32)
    );

CREATE INDEX IF NOT EXISTS ix_removals_run ON removals (run);

CREATE TABLE IF NOT EXISTS removal_steps (
        step bigint GENERATED ALWAYS AS IDENTITY,
        removal bigint NOT NULL,
        removed_events bigint NOT NULL,
        is_last boolean NOT NULL,
        transaction bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        begun_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_removal_steps PRIMARY KEY (step),
        CONSTRAINT fk_removal_steps_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    );

CREATE TABLE IF NOT EXISTS open_removals (
        removal bigint NOT NULL,
        CONSTRAINT pk_open_removals PRIMARY KEY (removal),
        CONSTRAINT fk_open_removals_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    );

CREATE TABLE IF NOT EXISTS unnamed_objects (
        location text COLLATE "C" NOT NULL,
        removal bigint NOT NULL,
        CONSTRAINT pk_unnamed_objects PRIMARY KEY (removal, location),
        CONSTRAINT fk_unnamed_objects_removal FOREIGN KEY (removal) REFERENCES removals (removal)
    );

CREATE INDEX IF NOT EXISTS ix_removal_steps_removal ON removal_steps (removal, step);

CREATE INDEX IF NOT EXISTS ix_removal_steps_transaction ON removal_steps (transaction);

CREATE UNIQUE INDEX IF NOT EXISTS uq_removal_steps_last ON removal_steps (removal)
        WHERE is_last;

CREATE OR REPLACE FUNCTION is_removing(of_run bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_artifacts_removed', 'tr_requests_removed')
        THEN
            IF is_removing(OLD.run) THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run)
                AND (NEW.run, NEW.project, NEW.run_id, NEW.created_at)
                    = (OLD.run, OLD.project, OLD.run_id, OLD.created_at)
                AND NEW.parent IS NOT DISTINCT FROM OLD.parent
                AND (NEW.plan_id, NEW.objective, NEW.config_refs, NEW.tags, NEW.labels,
                     NEW.body_hash) = ('', '', '[]', '{}', '{}', ''::bytea)
                AND num_nonnulls(NEW.plan_json, NEW.plan_binary, NEW.plan_type, NEW.external_ref,
                    NEW.subjects, NEW.salt, NEW.fork_parent, NEW.fork_seq, NEW.lineage) = 0
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$;

DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION is_removing(bigint) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$;

CREATE OR REPLACE FUNCTION clear_run(of_run bigint) RETURNS void
    LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 1, run, project,
            -coalesce(octet_length(plan_json::text), octet_length(plan_binary), 0)
        FROM runs WHERE run = of_run AND num_nonnulls(plan_json, plan_binary) > 0;
        UPDATE runs SET plan_id = '', objective = '', plan_json = NULL, plan_binary = NULL,
            plan_type = NULL, external_ref = NULL, config_refs = '[]', tags = '{}', labels = '{}',
            subjects = NULL, salt = NULL, body_hash = '', fork_parent = NULL, fork_seq = NULL,
            lineage = NULL
        WHERE run = of_run;
        DELETE FROM run_heads WHERE run = of_run;
    END $$;

CREATE OR REPLACE FUNCTION remove_artifacts(of_run bigint, most integer)
    RETURNS SETOF bigint LANGUAGE sql STRICT SECURITY DEFINER AS $$
        DELETE FROM artifacts WHERE run = of_run AND ctid = ANY(ARRAY(
            SELECT ctid FROM artifacts WHERE run = of_run LIMIT most))
            AND NOT EXISTS (SELECT FROM run_heads WHERE run = of_run)
        RETURNING object
    $$;

CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT is_removing(of_run) OR EXISTS (SELECT FROM run_heads WHERE run = of_run)
            OR from_table NOT IN ('events', 'snapshots', 'task_writes', 'outputs', 'requests',
                                  'search_rows', 'usage_counts', 'blobs')
        THEN
            RAISE EXCEPTION USING
                MESSAGE = from_table || ' of run ' || of_run || ' is not being removed',
                ERRCODE = 'restrict_violation';
        END IF;
        EXECUTE 'DELETE FROM ' || from_table || ' WHERE run = $1 AND ctid = ANY(ARRAY('
            || 'SELECT ctid FROM ' || from_table || ' WHERE run = $1 LIMIT $2))'
            USING of_run, most;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$;

CREATE OR REPLACE TRIGGER tr_removals_append_only BEFORE UPDATE OR DELETE ON removals
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_removals_truncate BEFORE TRUNCATE ON removals
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_removal_steps_append_only BEFORE UPDATE OR DELETE ON removal_steps
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_removal_steps_truncate BEFORE TRUNCATE ON removal_steps
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION clear_run(bigint) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION clear_run(bigint) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION clear_run(bigint) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION clear_run(bigint) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_artifacts(bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_artifacts(bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_artifacts(bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_artifacts(bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_rows(text, bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_rows(text, bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT ON removals, removal_steps, stored_changes TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$;

COMMIT;

CREATE OR REPLACE TRIGGER tr_run_heads_removed BEFORE DELETE ON run_heads
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_artifacts_removed BEFORE DELETE ON artifacts
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_requests_removed BEFORE DELETE ON requests
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

DROP INDEX CONCURRENTLY IF EXISTS ix_blobs_location;

CREATE INDEX CONCURRENTLY ix_blobs_location ON blobs (location) WHERE location IS NOT NULL;

BEGIN;

UPDATE schema_version SET version_num='0022' WHERE schema_version.version_num = '0021';

-- Running upgrade 0022 -> 0023

CREATE TABLE IF NOT EXISTS policies (
        project text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        statuses smallint[] NOT NULL,
        plan_id text NOT NULL,
        tags text[] NOT NULL,
        labels jsonb NOT NULL,
        keep_snapshots interval,
        keep_last_snapshots integer NOT NULL,
        keep_artifacts interval,
        keep_search_text interval,
        keep_run interval,
        includes_external boolean NOT NULL,
        put_by jsonb NOT NULL,
        put_at timestamptz NOT NULL,
        CONSTRAINT pk_policies PRIMARY KEY (project, name),
        CONSTRAINT ck_policies_keep CHECK (
            num_nonnulls(keep_snapshots, keep_artifacts, keep_search_text, keep_run) > 0),
        CONSTRAINT ck_policies_positive CHECK (
            least(keep_snapshots, keep_artifacts, keep_search_text, keep_run) > interval '0'
            AND keep_last_snapshots >= 0)
    );

ALTER TABLE run_heads ADD COLUMN IF NOT EXISTS artifact_floor bigint;

ALTER TABLE removals DROP CONSTRAINT IF EXISTS ck_removals_kind;

ALTER TABLE removals ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5));

ALTER TABLE removal_steps ADD COLUMN IF NOT EXISTS is_stopped boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION is_removing(of_run bigint, of_kinds smallint[])
    RETURNS boolean LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND r.kind = ANY(of_kinds) AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'DELETE' AND TG_NAME = 'tr_artifacts_removed' THEN
            IF is_removing(OLD.run, '{1,4}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run, '{1}')
                AND (NEW.run, NEW.project, NEW.run_id, NEW.created_at)
                    = (OLD.run, OLD.project, OLD.run_id, OLD.created_at)
                AND NEW.parent IS NOT DISTINCT FROM OLD.parent
                AND (NEW.plan_id, NEW.objective, NEW.config_refs, NEW.tags, NEW.labels,
                     NEW.body_hash) = ('', '', '[]', '{}', '{}', ''::bytea)
                AND num_nonnulls(NEW.plan_json, NEW.plan_binary, NEW.plan_type, NEW.external_ref,
                    NEW.subjects, NEW.salt, NEW.fork_parent, NEW.fork_seq, NEW.lineage) = 0
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$;

DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION is_removing(bigint, smallint[]) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$;

CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT (CASE WHEN EXISTS (SELECT FROM run_heads WHERE run = of_run)
            THEN from_table = 'search_rows' AND is_removing(of_run, '{5}')
            ELSE is_removing(of_run, '{1}') AND from_table IN ('events', 'snapshots', 'task_writes',
                'outputs', 'requests', 'search_rows', 'usage_counts', 'blobs')
            END)
        THEN
            RAISE EXCEPTION USING
                MESSAGE = from_table || ' of run ' || of_run || ' is not being removed',
                ERRCODE = 'restrict_violation';
        END IF;
        EXECUTE 'DELETE FROM ' || from_table || ' WHERE run = $1 AND ctid = ANY(ARRAY('
            || 'SELECT ctid FROM ' || from_table || ' WHERE run = $1 LIMIT $2))'
            USING of_run, most;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$;

CREATE OR REPLACE FUNCTION remove_artifacts(of_run bigint, most integer)
    RETURNS SETOF bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    BEGIN
        IF EXISTS (SELECT FROM run_heads WHERE run = of_run) THEN
            IF NOT is_removing(of_run, '{4}') THEN RETURN; END IF;
            UPDATE run_heads SET artifact_floor = greatest(artifact_floor, (
                SELECT max(version) FROM artifacts WHERE run = of_run)) WHERE run = of_run;
        END IF;
        RETURN QUERY DELETE FROM artifacts WHERE run = of_run AND ctid = ANY(ARRAY(
            SELECT ctid FROM artifacts WHERE run = of_run LIMIT most)) RETURNING object;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_artifacts(bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_artifacts(bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_artifacts(bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_artifacts(bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_rows(text, bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_rows(text, bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

UPDATE schema_version SET version_num='0023' WHERE schema_version.version_num = '0022';

-- Running upgrade 0023 -> 0024

CREATE TABLE subject_refs (
        subject text COLLATE "C" NOT NULL,
        run bigint NOT NULL,
        seq bigint NOT NULL,
        CONSTRAINT pk_subject_refs PRIMARY KEY (subject, run, seq)
    );

CREATE INDEX ix_subject_refs_run ON subject_refs (run, seq);

DO $$
    DECLARE
        writer text;
    BEGIN
        FOR writer IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(relacl)
            WHERE c.relname = 'events' AND n.nspname = current_schema()
                AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT INSERT ON subject_refs TO ' || writer;
        END LOOP;
    END $$;

CREATE FUNCTION note_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO subject_refs (subject, run, seq)
        SELECT DISTINCT subject, NEW.run, NEW.seq FROM unnest(NEW.subjects) AS named(subject);
        RETURN NULL;
    END $$;

CREATE TRIGGER tr_events_subjects AFTER INSERT ON events FOR EACH ROW
        WHEN (NEW.subjects IS NOT NULL) EXECUTE FUNCTION note_subjects();

UPDATE schema_version SET version_num='0024' WHERE schema_version.version_num = '0023';

-- Running upgrade 0024 -> 0025

CREATE TABLE erasure_requests (
        erasure bigint GENERATED ALWAYS AS IDENTITY,
        erasure_id text COLLATE "C" NOT NULL,
        project text COLLATE "C" NOT NULL,
        record bigint NOT NULL,
        subject_salt bytea,
        subject_hash bytea,
        begun_at timestamptz NOT NULL,
        CONSTRAINT pk_erasure_requests PRIMARY KEY (erasure),
        CONSTRAINT uq_erasure_requests_erasure_id UNIQUE (project, erasure_id),
        CONSTRAINT uq_erasure_requests_record UNIQUE (project, record),
        CONSTRAINT fk_erasure_requests_record FOREIGN KEY (project, record)
            REFERENCES admin_records (project, number)
    );

CREATE TABLE erasure_targets (
        erasure bigint NOT NULL CONSTRAINT fk_erasure_targets_erasure REFERENCES erasure_requests,
        run bigint NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        subject text COLLATE "C",
        CONSTRAINT pk_erasure_targets PRIMARY KEY (erasure, run, first_seq)
    );

CREATE TABLE erasures (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        sealed bytea,
        removal bigint NOT NULL,
        erased_at timestamptz NOT NULL,
        CONSTRAINT pk_erasures PRIMARY KEY (run, seq),
        CONSTRAINT fk_erasures_removal FOREIGN KEY (removal) REFERENCES removals (removal),
        CONSTRAINT ck_erasures_sealed CHECK (octet_length(sealed) = 32)
    );

ALTER TABLE removals
        ADD COLUMN erasure bigint,
        ADD CONSTRAINT fk_removals_erasure FOREIGN KEY (erasure)
            REFERENCES erasure_requests (erasure),
        DROP CONSTRAINT ck_removals_kind,
        ADD CONSTRAINT ck_removals_kind CHECK (kind IN (1, 3, 4, 5, 6));

CREATE INDEX ix_removals_erasure ON removals (erasure, run) WHERE erasure IS NOT NULL;

CREATE TRIGGER tr_erasure_requests_append_only BEFORE UPDATE OR DELETE ON erasure_requests
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_erasure_requests_truncate BEFORE TRUNCATE ON erasure_requests
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_erasures_append_only BEFORE UPDATE OR DELETE ON erasures
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER tr_erasures_truncate BEFORE TRUNCATE ON erasures
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        erased record;
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed', 'tr_erasures_append_only')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'DELETE' AND TG_NAME = 'tr_artifacts_removed' THEN
            IF is_removing(OLD.run, '{1,4}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_events_append_only' THEN
            erased := OLD;
            erased.payload_json := NULL;
            erased.payload_binary := NULL;
            erased.payload_type := NULL;
            erased.payload_blob := NULL;
            erased.payload_bytes := 0;
            erased.actor := '';
            erased.tags := '{}';
            erased.subjects := NULL;
            erased.salt := NULL;
            IF is_removing(OLD.run, '{6}') AND NEW *= erased AND NOT OLD.is_terminal
                AND EXISTS (SELECT FROM erasures e WHERE e.run = OLD.run AND e.seq = OLD.seq)
            THEN RETURN NEW; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run, '{1}')
                AND (NEW.run, NEW.project, NEW.run_id, NEW.created_at)
                    = (OLD.run, OLD.project, OLD.run_id, OLD.created_at)
                AND NEW.parent IS NOT DISTINCT FROM OLD.parent
                AND (NEW.plan_id, NEW.objective, NEW.config_refs, NEW.tags, NEW.labels,
                     NEW.body_hash) = ('', '', '[]', '{}', '{}', ''::bytea)
                AND num_nonnulls(NEW.plan_json, NEW.plan_binary, NEW.plan_type, NEW.external_ref,
                    NEW.subjects, NEW.salt, NEW.fork_parent, NEW.fork_seq, NEW.lineage) = 0
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$;

DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$;

CREATE FUNCTION erase_events(
        of_run bigint, by_removal bigint, seqs bigint[], hashes bytea[]
    ) RETURNS SETOF text LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        named bigint[];
    BEGIN
        IF NOT is_removing(of_run, '{6}') THEN
            RAISE restrict_violation USING MESSAGE = 'run ' || of_run || ' is not being erased';
        END IF;
        INSERT INTO erasures (run, seq, sealed, removal, erased_at)
        SELECT of_run, new.seq, new.sealed, by_removal, now()
        FROM unnest(seqs, hashes) AS new(seq, sealed);
        named := ARRAY(
            SELECT DISTINCT payload_blob FROM events
            WHERE run = of_run AND seq = ANY(seqs) AND payload_blob IS NOT NULL);
        INSERT INTO stored_changes (kind, key, project, bytes)
        SELECT 0, r.run, r.project, -e.held
        FROM runs r, (
            SELECT sum(payload_bytes) AS held FROM events
            WHERE run = of_run AND seq = ANY(seqs) AND payload_blob IS NULL
        ) AS e
        WHERE r.run = of_run AND e.held > 0;
        UPDATE events SET payload_json = NULL, payload_binary = NULL, payload_type = NULL,
            payload_blob = NULL, payload_bytes = 0, actor = '', tags = '{}', subjects = NULL,
            salt = NULL
        WHERE run = of_run AND seq = ANY(seqs);
        DELETE FROM subject_refs WHERE run = of_run AND seq = ANY(seqs);
        DELETE FROM search_rows WHERE run = of_run AND seq = ANY(seqs);
        RETURN QUERY
        WITH gone AS (
            DELETE FROM blobs b WHERE b.run = of_run AND b.blob = ANY(named)
                AND NOT EXISTS (SELECT FROM events WHERE run = of_run AND payload_blob = b.blob)
                AND NOT EXISTS (SELECT FROM outputs WHERE run = of_run AND payload_blob = b.blob)
            RETURNING b.blob, b.location
        )
        SELECT g.location FROM gone g WHERE g.location IS NOT NULL AND NOT EXISTS (
            SELECT FROM blobs o WHERE o.location = g.location AND o.blob <> g.blob);
    END $$;

CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT (CASE WHEN EXISTS (SELECT FROM run_heads WHERE run = of_run)
            THEN from_table = 'search_rows' AND is_removing(of_run, '{5}')
            ELSE is_removing(of_run, '{1}') AND from_table IN ('events', 'snapshots', 'task_writes',
                'outputs', 'requests', 'search_rows', 'usage_counts', 'blobs', 'erasures',
                'erasure_targets', 'subject_refs')
            END)
        THEN
            RAISE EXCEPTION USING
                MESSAGE = from_table || ' of run ' || of_run || ' is not being removed',
                ERRCODE = 'restrict_violation';
        END IF;
        EXECUTE 'DELETE FROM ' || from_table || ' WHERE run = $1 AND ctid = ANY(ARRAY('
            || 'SELECT ctid FROM ' || from_table || ' WHERE run = $1 LIMIT $2))'
            USING of_run, most;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$;

DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT, DELETE ON erasures, erasure_targets, subject_refs TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION erase_events(bigint, bigint, bigint[], bytea[]) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION erase_events(bigint, bigint, bigint[], bytea[]) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION erase_events(bigint, bigint, bigint[], bytea[]) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION erase_events(bigint, bigint, bigint[], bytea[]) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_rows(text, bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_rows(text, bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

UPDATE schema_version SET version_num='0025' WHERE schema_version.version_num = '0024';

-- Running upgrade 0025 -> 0026

CREATE TABLE IF NOT EXISTS archives (
        run bigint NOT NULL,
        n integer NOT NULL,
        project text COLLATE "C" NOT NULL,
        birth bytea NOT NULL,
        state smallint NOT NULL DEFAULT 1,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        last_position bigint NOT NULL DEFAULT 0,
        record bigint NOT NULL,
        attempt integer NOT NULL DEFAULT 0,
        manifest_hash bytea,
        bytes bigint NOT NULL DEFAULT 0,
        removal bigint,
        restore_record bigint,
        restored_for bigint,
        begun_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        is_cleared boolean NOT NULL DEFAULT false,
        CONSTRAINT pk_archives PRIMARY KEY (run, n),
        CONSTRAINT fk_archives_run FOREIGN KEY (run) REFERENCES runs (run),
        CONSTRAINT fk_archives_removal FOREIGN KEY (removal) REFERENCES removals (removal),
        CONSTRAINT fk_archives_restored_for FOREIGN KEY (restored_for) REFERENCES erasure_requests,
        CONSTRAINT ck_archives_state CHECK (state BETWEEN 1 AND 8),
        CONSTRAINT ck_archives_seqs CHECK (first_seq >= 1 AND first_seq <= last_seq),
        CONSTRAINT ck_archives_manifest CHECK (state IN (1, 7) OR manifest_hash IS NOT NULL)
    );

CREATE INDEX IF NOT EXISTS ix_archives_record ON archives (project, record);

CREATE INDEX IF NOT EXISTS ix_archives_restore_record ON archives (project, restore_record)
        WHERE restore_record IS NOT NULL;

CREATE INDEX IF NOT EXISTS ix_archives_removal ON archives (removal);

CREATE INDEX IF NOT EXISTS ix_archives_restored_for ON archives (restored_for)
        WHERE restored_for IS NOT NULL;

CREATE INDEX IF NOT EXISTS ix_archives_open ON archives (state) WHERE NOT is_cleared;

CREATE TABLE IF NOT EXISTS archived_events (
        run bigint NOT NULL,
        seq bigint NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        recorded_at timestamptz NOT NULL,
        is_terminal boolean NOT NULL,
        payload_blob bigint,
        salt bytea,
        body_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT pk_archived_events PRIMARY KEY (run, seq),
        CONSTRAINT uq_archived_events_event_id UNIQUE (run, event_id)
    );

CREATE INDEX IF NOT EXISTS ix_archived_events_payload_blob
        ON archived_events (run, payload_blob) WHERE payload_blob IS NOT NULL;

ALTER TABLE run_heads ADD COLUMN IF NOT EXISTS archived_through bigint NOT NULL DEFAULT 0;

ALTER TABLE removals DROP CONSTRAINT IF EXISTS ck_removals_kind,
        ADD CONSTRAINT ck_removals_kind CHECK (kind BETWEEN 1 AND 6);

CREATE OR REPLACE FUNCTION is_archiving(of_run bigint, of_seq bigint) RETURNS boolean
    LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM removal_steps s JOIN removals r USING (removal)
            WHERE r.run = of_run AND r.kind = 2 AND of_seq BETWEEN r.first_seq AND r.last_seq
                AND s.begun_at = now()
                AND s.transaction = pg_current_xact_id_if_assigned()::text::bigint)
    $$;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        erased record;
    BEGIN
        IF TG_OP = 'DELETE' AND TG_NAME IN ('tr_events_append_only', 'tr_outputs_append_only',
            'tr_run_heads_removed', 'tr_requests_removed', 'tr_erasures_append_only',
            'tr_archived_events_append_only')
        THEN
            IF is_removing(OLD.run, '{1}') THEN RETURN OLD; END IF;
            IF TG_NAME = 'tr_events_append_only' THEN
                IF is_archiving(OLD.run, OLD.seq) AND EXISTS (
                    SELECT FROM archived_events a
                    WHERE a.run = OLD.run AND a.seq = OLD.seq AND a.hash = OLD.hash)
                THEN RETURN OLD; END IF;
            ELSIF TG_NAME = 'tr_archived_events_append_only' THEN
                IF EXISTS (
                    SELECT FROM events e
                    WHERE e.run = OLD.run AND e.seq = OLD.seq AND e.event_id = OLD.event_id
                        AND e.hash = OLD.hash AND e.body_hash = OLD.body_hash)
                THEN RETURN OLD; END IF;
            END IF;
        ELSIF TG_OP = 'DELETE' AND TG_NAME = 'tr_artifacts_removed' THEN
            IF is_removing(OLD.run, '{1,4}') THEN RETURN OLD; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_events_append_only' THEN
            erased := OLD;
            erased.payload_json := NULL;
            erased.payload_binary := NULL;
            erased.payload_type := NULL;
            erased.payload_blob := NULL;
            erased.payload_bytes := 0;
            erased.actor := '';
            erased.tags := '{}';
            erased.subjects := NULL;
            erased.salt := NULL;
            IF is_removing(OLD.run, '{6}') AND NEW *= erased AND NOT OLD.is_terminal
                AND EXISTS (SELECT FROM erasures e WHERE e.run = OLD.run AND e.seq = OLD.seq)
            THEN RETURN NEW; END IF;
        ELSIF TG_OP = 'UPDATE' AND TG_NAME = 'tr_runs_append_only' THEN
            IF is_removing(OLD.run, '{1}')
                AND (NEW.run, NEW.project, NEW.run_id, NEW.created_at)
                    = (OLD.run, OLD.project, OLD.run_id, OLD.created_at)
                AND NEW.parent IS NOT DISTINCT FROM OLD.parent
                AND (NEW.plan_id, NEW.objective, NEW.config_refs, NEW.tags, NEW.labels,
                     NEW.body_hash) = ('', '', '[]', '{}', '{}', ''::bytea)
                AND num_nonnulls(NEW.plan_json, NEW.plan_binary, NEW.plan_type, NEW.external_ref,
                    NEW.subjects, NEW.salt, NEW.fork_parent, NEW.fork_seq, NEW.lineage) = 0
            THEN RETURN NEW; END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'restrict_violation',
            CONSTRAINT = TG_NAME;
    END $$;

DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION refuse_change() SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$;

DO $$ BEGIN
        EXECUTE 'ALTER FUNCTION is_archiving(bigint, bigint) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
    END $$;

CREATE OR REPLACE FUNCTION remove_rows(from_table text, of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        removed bigint;
    BEGIN
        IF NOT (CASE WHEN EXISTS (SELECT FROM run_heads WHERE run = of_run)
            THEN from_table = 'search_rows' AND is_removing(of_run, '{5}')
            ELSE is_removing(of_run, '{1}') AND from_table IN ('events', 'snapshots', 'task_writes',
                'outputs', 'requests', 'search_rows', 'usage_counts', 'blobs', 'erasures',
                'erasure_targets', 'subject_refs', 'archives', 'archived_events')
            END)
        THEN
            RAISE EXCEPTION USING
                MESSAGE = from_table || ' of run ' || of_run || ' is not being removed',
                ERRCODE = 'restrict_violation';
        END IF;
        EXECUTE 'DELETE FROM ' || from_table || ' WHERE run = $1 AND ctid = ANY(ARRAY('
            || 'SELECT ctid FROM ' || from_table || ' WHERE run = $1 LIMIT $2))'
            USING of_run, most;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$;

CREATE OR REPLACE FUNCTION note_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO subject_refs (subject, run, seq)
        SELECT DISTINCT subject, NEW.run, NEW.seq FROM unnest(NEW.subjects) AS named(subject)
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;

CREATE OR REPLACE FUNCTION archive_rows(of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE
        through bigint := (SELECT max(seq) FROM (
            SELECT seq FROM events WHERE run = of_run AND seq <= (
                SELECT archived_through FROM run_heads WHERE run = of_run
            ) ORDER BY seq LIMIT most) AS first);
        removed bigint;
    BEGIN
        INSERT INTO archived_events (run, seq, event_id, recorded_at, is_terminal, payload_blob, salt, body_hash, hash)
            SELECT run, seq, event_id, recorded_at, is_terminal, payload_blob, salt, body_hash, hash FROM events WHERE run = of_run AND seq <= through;
        DELETE FROM events WHERE run = of_run AND seq <= through;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN removed;
    END $$;

CREATE OR REPLACE FUNCTION forget_archived(of_run bigint, most integer)
    RETURNS bigint LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
    DECLARE forgotten bigint;
    BEGIN
        DELETE FROM archived_events WHERE run = of_run AND seq IN (
            SELECT seq FROM archived_events WHERE run = of_run ORDER BY seq LIMIT most);
        GET DIAGNOSTICS forgotten = ROW_COUNT;
        RETURN forgotten;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION archive_rows(bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION archive_rows(bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION archive_rows(bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION archive_rows(bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION forget_archived(bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION forget_archived(bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION forget_archived(bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION forget_archived(bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION remove_rows(text, bigint, integer) FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION remove_rows(text, bigint, integer) TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION remove_rows(text, bigint, integer) OWNER TO ' || quote_ident(owner);
        END IF;
    END $$;

DO $$ BEGIN
        EXECUTE 'GRANT SELECT, INSERT, DELETE ON archives, archived_events TO ' || (
            SELECT quote_ident(pg_get_userbyid(c.relowner))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
    END $$;

CREATE OR REPLACE TRIGGER tr_archived_events_append_only BEFORE UPDATE OR DELETE
        ON archived_events FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER tr_archived_events_truncate BEFORE TRUNCATE ON archived_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

COMMIT;

DROP INDEX CONCURRENTLY IF EXISTS ix_run_heads_archived;

CREATE INDEX CONCURRENTLY ix_run_heads_archived ON run_heads (run) WHERE archived_through > 0;

BEGIN;

UPDATE schema_version SET version_num='0026' WHERE schema_version.version_num = '0025';

-- Running upgrade 0026 -> 0027

ALTER TABLE policies ADD COLUMN keep_events interval;

ALTER TABLE policies
        DROP CONSTRAINT ck_policies_keep,
        DROP CONSTRAINT ck_policies_positive,
        ADD CONSTRAINT ck_policies_keep CHECK (num_nonnulls(keep_events, keep_snapshots, keep_artifacts, keep_search_text, keep_run) > 0),
        ADD CONSTRAINT ck_policies_positive CHECK (
            least(keep_events, keep_snapshots, keep_artifacts, keep_search_text, keep_run) > interval '0' AND keep_last_snapshots >= 0);

UPDATE schema_version SET version_num='0027' WHERE schema_version.version_num = '0026';

-- Running upgrade 0027 -> 0028

COMMIT;

DROP INDEX CONCURRENTLY IF EXISTS ix_feed_run;

CREATE INDEX CONCURRENTLY ix_feed_run ON feed (run, last_seq);

DROP INDEX CONCURRENTLY IF EXISTS ix_archives_waiting;

CREATE INDEX CONCURRENTLY ix_archives_waiting ON archives (begun_at, run, n) WHERE state <= 2 AND NOT is_cleared;

BEGIN;

UPDATE schema_version SET version_num='0028' WHERE schema_version.version_num = '0027';

COMMIT;

