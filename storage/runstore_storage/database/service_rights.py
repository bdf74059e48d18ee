"""What the service's role may do: to every table, read; to each, only what its statements do.

It owns nothing and makes nothing: no table, no TRUNCATE, no UPDATE or DELETE where rows are never
changed. A partition is made, and what is for good removed, by functions with their owner's rights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runstore_storage.database.opening import quoted

SELECT, INSERT, UPDATE, DELETE = "SELECT", "INSERT", "UPDATE", "DELETE"

# A right leaves this list a release after the last statement that needs it: servers of the release
# before still run when it is taken.
_CHANGES: Mapping[str, tuple[str, ...]] = {
    "admin_records": (INSERT,),
    "archived_events": (),
    "archives": (INSERT, UPDATE),
    "artifacts": (INSERT,),
    "blobs": (INSERT, DELETE),
    "config_label_moves": (INSERT,),
    "config_labels": (INSERT, UPDATE, DELETE),
    "config_versions": (INSERT,),
    "configs": (INSERT, UPDATE),
    "consumers": (INSERT, UPDATE),
    "credential_epoch": (UPDATE,),
    "dead_letters": (INSERT, DELETE),
    "duties": (INSERT, UPDATE),
    "erasure_requests": (INSERT,),
    "erasure_targets": (INSERT, DELETE),
    "erasures": (),
    "events": (INSERT,),
    "feed": (INSERT,),
    "holds": (INSERT, UPDATE),
    "objects": (INSERT, DELETE),
    "open_removals": (INSERT, DELETE),
    "outbox": (INSERT, DELETE),
    "outputs": (INSERT,),
    "policies": (INSERT, UPDATE, DELETE),
    "project_limits": (INSERT, UPDATE),
    "removal_steps": (INSERT,),
    "removals": (INSERT,),
    "requests": (INSERT,),
    "run_heads": (INSERT, UPDATE),
    "runs": (INSERT,),
    "schema_version": (),
    "search_rows": (INSERT,),
    "snapshots": (INSERT, DELETE),
    "stored_bytes": (INSERT, UPDATE, DELETE),
    "stored_changes": (INSERT, DELETE),
    "stored_scan": (UPDATE,),
    "subject_refs": (INSERT,),
    "task_writes": (INSERT, UPDATE, DELETE),
    "store_flags": (),
    "tokens": (INSERT, UPDATE),
    "unnamed_objects": (INSERT, DELETE),
    "usage_counts": (INSERT, UPDATE, DELETE),
}
SERVICE: Mapping[str, tuple[str, ...]] = {
    table: (SELECT, *changes) for table, changes in _CHANGES.items()
}
"""The privileges on each table. Partitions have none: they are reached through their table."""

SEQUENCE = "blobs_blob_seq"
"""Numbers of blobs are taken before the rows are inserted; those of other tables are not."""

NEEDED_FUNCTIONS = (
    "archive_rows(bigint, integer)",
    "clear_run(bigint)",
    "erase_events(bigint, bigint, bigint[], bytea[])",
    "forget_archived(bigint, integer)",
    "remove_artifacts(bigint, integer)",
    "remove_rows(text, bigint, integer)",
)
FUNCTIONS = (*NEEDED_FUNCTIONS, "make_partition(bigint)")
"""What it may have done with the rights of the tables' owner."""


def grants(schema: str, role: str) -> Iterator[str]:
    """The statements that give a role these rights on a schema at its head, and take all others.

    They are for the owner of the tables, in one transaction; run again, they change nothing.
    """
    within, to = quoted(schema), quoted(role)
    # Postgres fails one of two that change a table's rights at once.
    lock = f"runstore rights {schema}".replace("'", "''")
    yield f"SELECT pg_advisory_xact_lock(hashtextextended('{lock}', 0))"
    # What earlier grants gave, and would give with each new table.
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {within} FROM {to}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {within} FROM {to}"
    yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {within} REVOKE ALL ON TABLES FROM {to}"
    yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {within} REVOKE ALL ON SEQUENCES FROM {to}"
    yield f"REVOKE CREATE ON SCHEMA {within} FROM {to}"
    yield f"GRANT USAGE ON SCHEMA {within} TO {to}"
    for table, privileges in SERVICE.items():
        yield f"GRANT {', '.join(privileges)} ON {within}.{table} TO {to}"
    yield f"GRANT USAGE ON SEQUENCE {within}.{SEQUENCE} TO {to}"
    for function in FUNCTIONS:
        yield f"GRANT EXECUTE ON FUNCTION {within}.{function} TO {to}"
