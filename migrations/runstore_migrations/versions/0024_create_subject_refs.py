"""Create subject_refs, which leads from a subject to the events that name it.

It is a table, as a GIN index keeps a key for ever that no row has any more. A trigger fills it for
new events, the migration for those that there are.

The table is looked up by subject, and by run.

Locks: SHARE ROW EXCLUSIVE on events and its partitions, for a moment; events are read, a partition
at a time, beside their writers. Rows touched: none; rows are added for events that name subjects.
"""

from alembic import op

revision = "0024"
down_revision = "0023"

TABLES = (
    """
    CREATE TABLE subject_refs (
        subject text COLLATE "C" NOT NULL,
        run bigint NOT NULL,
        seq bigint NOT NULL,
        CONSTRAINT pk_subject_refs PRIMARY KEY (subject, run, seq)
    )
    """,
    "CREATE INDEX ix_subject_refs_run ON subject_refs (run, seq)",
)
# Who may insert events may note whom they name: the trigger below has the rights of its caller.
GRANT_WRITERS = """
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
    END $$
"""
NOTE_SUBJECTS = """
    CREATE FUNCTION note_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO subject_refs (subject, run, seq)
        SELECT DISTINCT subject, NEW.run, NEW.seq FROM unnest(NEW.subjects) AS named(subject);
        RETURN NULL;
    END $$
"""
NOTING = """
    CREATE TRIGGER tr_events_subjects AFTER INSERT ON events FOR EACH ROW
        WHEN (NEW.subjects IS NOT NULL) EXECUTE FUNCTION note_subjects()
"""
PARTITIONS = """
    SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('events') ORDER BY 1
"""
FILL = """
    INSERT INTO subject_refs (subject, run, seq)
    SELECT DISTINCT subject, run, seq FROM {partition}, unnest(subjects) AS named(subject)
    WHERE subjects IS NOT NULL
    ON CONFLICT ON CONSTRAINT pk_subject_refs DO NOTHING
"""


def upgrade() -> None:
    for statement in (*TABLES, GRANT_WRITERS, NOTE_SUBJECTS, NOTING):
        op.execute(statement)
    if op.get_context().as_sql:
        return  # an empty schema has no partition
    with op.get_context().autocommit_block():
        for (partition,) in op.get_bind().exec_driver_sql(PARTITIONS).all():
            op.execute(FILL.format(partition=partition))


def downgrade() -> None:
    op.execute("DROP TRIGGER tr_events_subjects ON events")
    op.execute("DROP FUNCTION note_subjects()")
    op.execute("DROP TABLE subject_refs")
