"""Add make_partition(), so that a role which owns nothing may make partitions of events.

It runs with the rights of the role that owns events, in its own schema whatever the caller's
search_path says, and makes no other tables than the partition that holds a run. Those who may
insert events may call it, and nobody else until it is granted to them.

Locks: none; the catalogue alone is touched. Rows touched: none.
"""

from alembic import op

from runstore_migrations.owned import secure

revision = "0018"
down_revision = "0017"

# The lock is the one that servers of earlier versions take, who make partitions by themselves. Each
# statement sees what was committed before it began, so a partition that was made meanwhile is seen.
MAKE_PARTITION = """
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
    END $$
"""


def upgrade() -> None:
    op.execute(MAKE_PARTITION)
    op.execute(secure("make_partition(bigint)"))


def downgrade() -> None:
    op.execute("DROP FUNCTION make_partition(bigint)")
