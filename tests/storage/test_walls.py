"""Each constraint, trigger and index of the schema does its work.

The walls are listed here, and compared with the database's catalogue: a new one fails until it has
a statement that it stops, or a query that uses it, and one that is gone fails as well.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from conftest import make_store
from runstore_migrations import schema
from runstore_storage.contract.artifacts import Announced, NewArtifact
from runstore_storage.contract.configs import ConfigKey, NewVersion
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot, TaskWrite
from runstore_storage.database.opening import connect

SCHEMA = "runstore_walls"
NOBODY = 1 << 60
"""A number that no row has."""

# Changes to a copy of a row, each of which breaks the constraint and no other.
CONSTRAINTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "pk_runs": ("runs", [{"run_id": "new"}]),
    "uq_runs_project_run_id": ("runs", [{"run": NOBODY}]),
    "fk_runs_parent": ("runs", [{"run": NOBODY, "run_id": "new", "parent": NOBODY + 1}]),
    "fk_runs_fork_parent": (
        "runs",
        [
            {
                "run": NOBODY,
                "run_id": "new",
                "fork_parent": NOBODY + 1,
                "fork_seq": 1,
                "lineage": [],
            }
        ],
    ),
    "ck_runs_identity": ("runs", [{"project": ""}, {"run_id": ""}]),
    "ck_runs_fork": (
        "runs",
        [
            {"fork_parent": 1, "fork_seq": None, "lineage": None},
            {"fork_parent": None, "fork_seq": 1, "lineage": []},
        ],
    ),
    "pk_run_heads": ("run_heads", [{}]),
    "fk_run_heads_run": ("run_heads", [{"run": NOBODY}]),
    "ck_run_heads_last_seq": ("run_heads", [{"last_seq": -1}]),
    "ck_run_heads_writer_epoch": ("run_heads", [{"writer_epoch": 0}]),
    "ck_run_heads_status": (
        "run_heads",
        [{"status": status, "completed_at": "2026-01-01"} for status in (0, 7)],
    ),
    "ck_run_heads_open": (
        "run_heads",
        [
            {"completed_at": None, "outcome": 1, "status": 1},
            *({"completed_at": None, "outcome": 0, "status": status} for status in (3, 4, 5)),
        ],
    ),
    "pk_events": ("events", [{"event_id": "new", "is_terminal": False}]),
    "uq_events_event_id": ("events", [{"seq": 99, "is_terminal": False}]),
    "ck_events_seq": ("events", [{"seq": 0}]),
    "ck_events_hash": ("events", [{"hash": "\\x00"}]),
    "pk_outbox": ("outbox", [{}]),
    "ck_outbox_range": (
        "outbox",
        [{"first_seq": 0, "last_seq": 1}, {"first_seq": 2, "last_seq": 1}],
    ),
    "pk_blobs": ("blobs", [{"sha256": "\\x00"}]),
    "uq_blobs_sha256": ("blobs", [{"blob": NOBODY}]),
    "fk_blobs_run": ("blobs", [{"run": NOBODY}]),
    "ck_blobs_place": ("blobs", [{"data": None, "location": None}, {"location": "elsewhere"}]),
    "pk_snapshots": ("snapshots", [{}]),
    "fk_snapshots_run": ("snapshots", [{"run": NOBODY}]),
    "ck_snapshots_seq": ("snapshots", [{"seq": -1}]),
    "pk_task_writes": ("task_writes", [{}]),
    "fk_task_writes_run": ("task_writes", [{"run": NOBODY}]),
    "pk_outputs": ("outputs", [{"body_hash": "\\x00"}]),
    "uq_outputs_body_hash": ("outputs", [{"revision": 9}]),
    "fk_outputs_run": ("outputs", [{"run": NOBODY}]),
    "ck_outputs_revision": ("outputs", [{"revision": 0}]),
    "pk_requests": ("requests", [{}]),
    "fk_requests_run": ("requests", [{"run": NOBODY}]),
    "pk_feed": ("feed", [{}]),
    "ck_feed_range": (
        "feed",
        [{"first_seq": 0, "last_seq": 0}, {"first_seq": 2, "last_seq": 1}],
    ),
    "ck_feed_position": ("feed", [{"last_position": 2, "first_seq": 1, "last_seq": 3}]),
    "pk_duties": ("duties", [{}]),
    "ck_duties_position": ("duties", [{"position": -1}]),
    "pk_consumers": ("consumers", [{}]),
    "ck_consumers_position": ("consumers", [{"position": -1}]),
    "pk_dead_letters": ("dead_letters", [{"position": 99}]),
    "uq_dead_letters_position": ("dead_letters", [{"id": NOBODY}]),
    "pk_usage_counts": ("usage_counts", [{}]),
    "ck_usage_counts_events": ("usage_counts", [{"events": 0}]),
    "pk_configs": ("configs", [{"name": "new"}]),
    "uq_configs_project_kind_name": ("configs", [{"config": NOBODY}]),
    "ck_configs_identity": ("configs", [{"project": ""}, {"kind": ""}, {"name": ""}]),
    "ck_configs_last_version": ("configs", [{"last_version": -1}]),
    "pk_config_versions": ("config_versions", [{"digest": "new"}]),
    "uq_config_versions_digest": ("config_versions", [{"version": 99}]),
    "fk_config_versions_config": ("config_versions", [{"config": NOBODY}]),
    "ck_config_versions_version": ("config_versions", [{"version": 0}]),
    "pk_config_labels": ("config_labels", [{}]),
    "fk_config_labels_version": ("config_labels", [{"label": "new", "version": 99}]),
    "pk_config_label_moves": ("config_label_moves", [{"request_id": ""}]),
    "fk_config_label_moves_config": ("config_label_moves", [{"config": NOBODY}]),
    "ck_config_label_moves_moved": (
        "config_label_moves",
        [
            {"from_version": -1, "to_version": 1},
            {"from_version": 1, "to_version": -1},
            {"from_version": 1, "to_version": 1},
        ],
    ),
    "pk_objects": ("objects", [{"sha256": f"\\x{'00' * 32}"}]),
    "uq_objects_sha256": ("objects", [{"object": NOBODY}]),
    "ck_objects_sha256": ("objects", [{"sha256": "\\x00"}]),
    "ck_objects_size": ("objects", [{"size": -1}]),
    "pk_artifacts": ("artifacts", [{"artifact_id": "new"}]),
    "uq_artifacts_artifact_id": ("artifacts", [{"version": 99}]),
    "fk_artifacts_run": ("artifacts", [{"run": NOBODY, "artifact_id": "new"}]),
    "fk_artifacts_object": (
        "artifacts",
        [{"version": 99, "artifact_id": "new", "object": NOBODY}],
    ),
    "ck_artifacts_version": ("artifacts", [{"version": 0}]),
    "ck_artifacts_place": (
        "artifacts",
        [{"object": None, "url": ""}, {"url": "elsewhere"}, {"sha256": None}, {"size": None}],
    ),
    "pk_search_rows": ("search_rows", [{}]),
    "pk_tokens": ("tokens", [{"name": "new"}]),
    "ck_tokens_secret_hash": ("tokens", [{"secret_hash": "\\x00"}]),
    "ck_tokens_expires_at": ("tokens", [{"expires_at": "2000-01-01"}]),
    "pk_credential_epoch": ("credential_epoch", [{"epoch": 9}]),
    "ck_credential_epoch_is_only": ("credential_epoch", [{"is_only": False}]),
    "pk_holds": ("holds", [{"reason": "new"}]),
    "fk_holds_run": ("holds", [{"hold_id": "new", "run": NOBODY}]),
    "ck_holds_target": (
        "holds",
        [
            {"hold_id": "new", "statuses": [1]},
            {"hold_id": "new", "plan_id": "x"},
            {"hold_id": "new", "tags": ["x"]},
            {"hold_id": "new", "labels": {"x": "y"}},
        ],
    ),
    "ck_holds_released": ("holds", [{"hold_id": "new", "released_at": "2000-01-01"}]),
    "pk_removals": ("removals", [{"record": 99}]),
    "uq_removals_record": ("removals", [{"removal": NOBODY}]),
    "fk_removals_run": ("removals", [{"removal": NOBODY, "record": 99, "run": NOBODY}]),
    "ck_removals_kind": ("removals", [{"removal": NOBODY, "record": 99, "kind": 9}]),
    "pk_archives": ("archives", [{"state": 5}]),
    "fk_archives_run": ("archives", [{"run": NOBODY}]),
    "fk_archives_removal": ("archives", [{"n": 99, "removal": NOBODY}]),
    "fk_archives_restored_for": ("archives", [{"n": 99, "restored_for": NOBODY}]),
    "ck_archives_state": ("archives", [{"n": 99, "state": state} for state in (0, 9)]),
    "ck_archives_seqs": (
        "archives",
        [{"n": 99, "first_seq": 0}, {"n": 99, "first_seq": 2, "last_seq": 1}],
    ),
    "ck_archives_manifest": ("archives", [{"n": 99, "state": 2, "manifest_hash": None}]),
    "pk_archived_events": ("archived_events", [{"event_id": "new"}]),
    "uq_archived_events_event_id": ("archived_events", [{"seq": 99}]),
    "ck_removals_birth": ("removals", [{"removal": NOBODY, "record": 99, "birth": "\\x00"}]),
    "fk_removals_erasure": ("removals", [{"removal": NOBODY, "record": 2, "erasure": NOBODY}]),
    "pk_erasure_requests": ("erasure_requests", [{"erasure_id": "new", "record": 2}]),
    "uq_erasure_requests_erasure_id": ("erasure_requests", [{"erasure": NOBODY, "record": 2}]),
    "uq_erasure_requests_record": (
        "erasure_requests",
        [{"erasure": NOBODY, "erasure_id": "new"}],
    ),
    "fk_erasure_requests_record": (
        "erasure_requests",
        [{"erasure": NOBODY, "erasure_id": "new", "record": 99}],
    ),
    "pk_erasure_targets": ("erasure_targets", [{"subject": "new"}]),
    "fk_erasure_targets_erasure": ("erasure_targets", [{"erasure": NOBODY}]),
    "pk_erasures": ("erasures", [{}]),
    "fk_erasures_removal": ("erasures", [{"seq": 99, "removal": NOBODY}]),
    "ck_erasures_sealed": ("erasures", [{"seq": 99, "sealed": "\\x00"}]),
    "pk_subject_refs": ("subject_refs", [{}]),
    "pk_removal_steps": ("removal_steps", [{"is_last": False}]),
    "fk_removals_record": ("removals", [{"removal": NOBODY, "record": 99}]),
    "pk_open_removals": ("open_removals", [{}]),
    "fk_open_removals_removal": ("open_removals", [{"removal": NOBODY}]),
    "pk_unnamed_objects": ("unnamed_objects", [{}]),
    "fk_unnamed_objects_removal": ("unnamed_objects", [{"removal": NOBODY}]),
    "fk_removal_steps_removal": (
        "removal_steps",
        [{"step": NOBODY, "removal": NOBODY}],
    ),
    "pk_policies": ("policies", [{}]),
    "ck_policies_keep": ("policies", [{"name": "new", "keep_run": None, "keep_artifacts": None}]),
    "ck_policies_positive": (
        "policies",
        [{"name": "new", "keep_run": "0 s"}, {"name": "new", "keep_last_snapshots": -1}],
    ),
    "pk_store_flags": ("store_flags", [{"chain_version": 2}]),
    "ck_store_flags_is_only": ("store_flags", [{"is_only": False}]),
    "ck_store_flags_chain_version": ("store_flags", [{"chain_version": 3}]),
    "pk_project_limits": ("project_limits", [{}]),
    "ck_project_limits_positive": (
        "project_limits",
        [
            {name: -1}
            for name in ("calls_per_second", "events_per_second", "bytes_per_second", "streams")
        ],
    ),
    "ck_project_limits_stored_bytes": ("project_limits", [{"stored_bytes": -1}]),
    "pk_stored_bytes": ("stored_bytes", [{}]),
    "pk_stored_changes": ("stored_changes", [{}]),
    "ck_stored_changes_kind": ("stored_changes", [{"kind": -1}, {"kind": 4}]),
    "pk_stored_scan": ("stored_scan", [{"key": 9}]),
    "ck_stored_scan_is_only": ("stored_scan", [{"is_only": False}]),
    "pk_admin_records": ("admin_records", [{"request_id": ""}]),
    "ck_admin_records_number": ("admin_records", [{"number": 0}]),
}

# The columns that may be empty.
NULLABLE = {
    *(
        f"{table}.{name}_{part}"
        for part in ("json", "binary", "type")
        for table, name in (
            ("runs", "plan"),
            ("events", "payload"),
            ("snapshots", "metadata"),
            ("task_writes", "payload"),
            ("outputs", "payload"),
            ("outputs", "provenance"),
            ("outputs", "statistics"),
            ("config_versions", "metadata"),
            ("artifacts", "metadata"),
        )
    ),
    *("archives.manifest_hash", "archives.removal", "archives.restore_record"),
    "archives.restored_for",
    *("archived_events.payload_blob", "archived_events.salt"),
    *("runs.parent", "runs.external_ref", "runs.fork_parent", "runs.fork_seq", "runs.lineage"),
    *("run_heads.completed_at", "run_heads.project", "run_heads.updated_hour"),
    *("events.input_tokens", "events.output_tokens", "events.cached_input_tokens"),
    *("events.cost_micros", "events.duration_us", "events.occurred_at", "events.payload_blob"),
    *("blobs.data", "blobs.location", "outputs.payload_blob"),
    *("task_writes.seq", "task_writes.written_at"),
    *("artifacts.object", "artifacts.sha256", "artifacts.size", "run_heads.artifact_floor"),
    *(
        f"policies.keep_{what}"
        for what in ("artifacts", "events", "run", "search_text", "snapshots")
    ),
    *("tokens.revoked_at", "tokens.last_used_at"),
    *("events.salt", "runs.salt", "outputs.salt", "snapshots.salt", "task_writes.salt"),
    *("holds.run", "holds.released_by", "holds.released_at"),
    *("requests.salt", "events.subjects", "runs.subjects"),
    *("erasure_requests.subject_salt", "erasure_requests.subject_hash"),
    *("erasure_targets.subject", "erasures.sealed", "removals.erasure"),
}

# What each trigger stops.
TRIGGERS: dict[str, list[str]] = {
    "tr_runs_append_only": ["UPDATE runs SET objective = 'x'", "DELETE FROM runs"],
    "tr_store_flags_never_back": ["UPDATE store_flags SET chain_version = 1"],
    "tr_store_flags_stays": ["DELETE FROM store_flags"],
    "tr_runs_truncate": ["TRUNCATE runs CASCADE"],
    "tr_run_heads_never_back": [
        "UPDATE run_heads SET run = run + 1000",
        "UPDATE run_heads SET last_seq = last_seq - 1",
        "UPDATE run_heads SET writer_epoch = writer_epoch - 1",
        *(
            f"UPDATE run_heads SET {change} WHERE completed_at IS NOT NULL"
            for change in (
                "last_seq = last_seq + 1",
                "last_hash = ''",
                "status = 4",
                "outcome = 2",
                "completed_at = completed_at + interval '1 s'",
                "completed_at = NULL, status = 1, outcome = 0",
            )
        ),
    ],
    "tr_events_append_only": ["UPDATE events SET type = 'x'", "DELETE FROM events"],
    "tr_events_truncate": ["TRUNCATE events"],
    "tr_snapshots_immutable": ["UPDATE snapshots SET seq = 0"],
    "tr_blobs_immutable": ["UPDATE blobs SET data = ''"],
    "tr_outputs_append_only": ["UPDATE outputs SET outcome = 2", "DELETE FROM outputs"],
    "tr_outputs_truncate": ["TRUNCATE outputs"],
    "tr_feed_append_only": ["UPDATE feed SET run = 2"],
    "tr_configs_never_back": [
        "UPDATE configs SET config = DEFAULT",
        "UPDATE configs SET project = 'x'",
        "UPDATE configs SET kind = 'x'",
        "UPDATE configs SET name = 'x'",
        "UPDATE configs SET created_at = created_at + interval '1 s'",
        "UPDATE configs SET last_version = last_version - 1",
    ],
    "tr_configs_append_only": ["DELETE FROM configs"],
    "tr_configs_truncate": ["TRUNCATE configs CASCADE"],
    "tr_config_versions_append_only": [
        "UPDATE config_versions SET description = 'x'",
        "DELETE FROM config_versions",
    ],
    "tr_config_versions_truncate": ["TRUNCATE config_versions CASCADE"],
    "tr_config_label_moves_append_only": [
        "UPDATE config_label_moves SET actor = 'x'",
        "DELETE FROM config_label_moves",
    ],
    "tr_config_label_moves_truncate": ["TRUNCATE config_label_moves"],
    "tr_objects_immutable": ["UPDATE objects SET size = 1"],
    "tr_artifacts_append_only": ["UPDATE artifacts SET name = 'x'"],
    "tr_tokens_never_more": [
        f"UPDATE tokens SET {change}"
        for change in (
            "token_id = 'x'",
            "project = 'x'",
            "secret_hash = 'x'",
            "grants = '[1]'",
            "created_by = '[1]'",
            "created_at = created_at - interval '1 s'",
            "expires_at = expires_at + interval '1 s'",
            "revoked_at = NULL",
        )
    ],
    "tr_holds_never_more": [
        f"UPDATE holds SET {change}"
        for change in (
            "hold_id = 'x'",
            "project = 'x'",
            "run = NULL",
            "statuses = '{1}'",
            "plan_id = 'x'",
            "tags = '{x}'",
            "labels = '[1]'",
            "reason = 'x'",
            "placed_by = '[1]'",
            "placed_at = placed_at - interval '1 s'",
        )
    ],
    "tr_holds_append_only": ["DELETE FROM holds"],
    "tr_holds_truncate": ["TRUNCATE holds"],
    "tr_removals_append_only": ["UPDATE removals SET birth = birth", "DELETE FROM removals"],
    "tr_removals_truncate": ["TRUNCATE removals CASCADE"],
    "tr_removal_steps_append_only": [
        "UPDATE removal_steps SET is_last = false",
        "DELETE FROM removal_steps",
    ],
    "tr_removal_steps_truncate": ["TRUNCATE removal_steps"],
    "tr_erasure_requests_append_only": [
        "UPDATE erasure_requests SET project = project",
        "DELETE FROM erasure_requests",
    ],
    "tr_erasure_requests_truncate": ["TRUNCATE erasure_requests CASCADE"],
    "tr_erasures_append_only": ["UPDATE erasures SET sealed = NULL", "DELETE FROM erasures"],
    "tr_erasures_truncate": ["TRUNCATE erasures"],
    "tr_run_heads_removed": ["DELETE FROM run_heads"],
    "tr_artifacts_removed": ["DELETE FROM artifacts"],
    "tr_requests_removed": ["DELETE FROM requests"],
    "tr_archived_events_append_only": [
        "UPDATE archived_events SET event_id = ''",
        "DELETE FROM archived_events",
    ],
    "tr_archived_events_truncate": ["TRUNCATE archived_events"],
    "tr_admin_records_append_only": [
        "UPDATE admin_records SET status = 'x'",
        "DELETE FROM admin_records",
    ],
    "tr_admin_records_truncate": ["TRUNCATE admin_records CASCADE"],
}
# These do not stop a statement but complete it.
PLACING = {"tr_run_heads_place", "tr_run_heads_move", "tr_events_subjects"}
# And these note what it stores; tests/storage/contract/test_stored_bytes.py compares that.
NOTING = {
    *("tr_runs_stored_added", "tr_events_stored_removed"),
    *("tr_task_writes_stored_before", "tr_task_writes_stored_after"),
    *(
        f"tr_{table}_stored_{change}"
        for table in (
            *("blobs", "snapshots", "task_writes", "outputs", "objects", "config_versions"),
        )
        for change in ("added", "removed")
    ),
}

# What each index that is no constraint's is for: a query of its shape, or the copy it refuses.
INDEXES = {
    "ix_runs_project": "SELECT run FROM runs WHERE project = 'p' ORDER BY run",
    "ix_runs_created": "SELECT run FROM runs WHERE project = 'p' ORDER BY created_at, run",
    "ix_runs_plan": (
        "SELECT run FROM runs WHERE project = 'p' AND plan_id = 'plan' ORDER BY run LIMIT 1"
    ),
    "ix_runs_parent": "SELECT run FROM runs WHERE parent = 1",
    "ix_runs_fork_parent": "SELECT run FROM runs WHERE fork_parent = 1",
    "ix_runs_tags": "SELECT run FROM runs WHERE tags @> '{a}'",
    "ix_runs_labels": """SELECT run FROM runs WHERE labels @> '{"a": "b"}'""",
    "ix_runs_config_refs": """SELECT run FROM runs WHERE config_refs @> '[{"kind": "a"}]'""",
    "ix_runs_external_ref": """SELECT run FROM runs WHERE external_ref @> '{"id": "a"}'""",
    "ix_runs_objective": (
        "SELECT run FROM runs WHERE to_tsvector('simple', left(objective, 10000)) @@ 'a'::tsquery"
    ),
    "ix_run_heads_updated": "SELECT run FROM run_heads WHERE project = 'p' ORDER BY updated_hour",
    "ix_run_heads_completed": (
        "SELECT run FROM run_heads WHERE project = 'p' AND completed_at IS NOT NULL"
        " ORDER BY completed_at, run"
    ),
    "ix_run_heads_status": (
        "SELECT run FROM run_heads WHERE project = 'p' AND status = 1 ORDER BY run"
    ),
    "ix_events_payload_blob": "SELECT 1 FROM events WHERE run = 1 AND payload_blob = 1",
    "ix_snapshots_latest": (
        "SELECT 1 FROM snapshots WHERE run = 1 AND namespace = ''"
        " ORDER BY seq DESC, snapshot_id DESC LIMIT 1"
    ),
    "ix_snapshots_metadata": "SELECT 1 FROM snapshots WHERE metadata_terms @> '{a}'",
    "ix_snapshots_created": "SELECT 1 FROM snapshots ORDER BY created_at, run LIMIT 1",
    "ix_feed_project": "SELECT 1 FROM feed WHERE project = 'p' ORDER BY last_position LIMIT 1",
    "ix_usage_counts_model": "SELECT run FROM usage_counts WHERE model = 'a' ORDER BY run",
    "ix_usage_counts_tool": "SELECT run FROM usage_counts WHERE tool = 'a' ORDER BY run",
    "ix_usage_counts_day": "SELECT run FROM usage_counts WHERE day >= '2026-01-01' ORDER BY day",
    "ix_config_label_moves_label": (
        "SELECT 1 FROM config_label_moves WHERE config = 1 AND label = 'live' ORDER BY move"
    ),
    "ix_artifacts_run": "SELECT 1 FROM artifacts WHERE run = 1 ORDER BY artifact_id",
    "ix_artifacts_object": "SELECT 1 FROM artifacts WHERE object = 1",
    "ix_blobs_location": "SELECT 1 FROM blobs WHERE location = 'x'",
    "ix_archives_record": "SELECT 1 FROM archives WHERE project = 'p' AND record = 1",
    "ix_archives_restore_record": (
        "SELECT 1 FROM archives WHERE project = 'p' AND restore_record = 1"
    ),
    "ix_archives_waiting": (
        "SELECT 1 FROM archives WHERE state <= 2 AND NOT is_cleared"
        " ORDER BY begun_at, run, n LIMIT 1"
    ),
    "ix_feed_run": "SELECT 1 FROM feed WHERE run = 1 AND last_seq >= 1 ORDER BY last_seq LIMIT 1",
    "ix_archives_restored_for": "SELECT 1 FROM archives WHERE restored_for = 1",
    "ix_archives_removal": "SELECT 1 FROM archives WHERE removal = 1",
    "ix_archives_open": "SELECT 1 FROM archives WHERE NOT is_cleared AND state = 1",
    "ix_archived_events_payload_blob": (
        "SELECT 1 FROM archived_events WHERE run = 1 AND payload_blob = 1"
    ),
    "ix_run_heads_archived": (
        "SELECT 1 FROM run_heads WHERE archived_through > 0 AND run = ANY('{1, 2}')"
    ),
    "ix_removals_run": "SELECT 1 FROM removals WHERE run = 1",
    "ix_removals_erasure": "SELECT 1 FROM removals WHERE erasure = 1 AND run = 1",
    "ix_subject_refs_run": "SELECT 1 FROM subject_refs WHERE run = 1 AND seq = 1",
    "ix_removal_steps_removal": (
        "SELECT 1 FROM removal_steps WHERE removal = 1 ORDER BY step DESC LIMIT 1"
    ),
    "ix_removal_steps_transaction": "SELECT 1 FROM removal_steps WHERE transaction = 1",
    "ix_holds_project": (
        "SELECT hold_id FROM holds WHERE project = 'p'"
        " ORDER BY placed_at DESC, hold_id DESC LIMIT 1"
    ),
    "ix_holds_holding": "SELECT hold_id FROM holds WHERE project = 'p' AND released_at IS NULL",
    "ix_tokens_project": (
        "SELECT token_id FROM tokens WHERE project = 'p'"
        " ORDER BY created_at DESC, token_id DESC LIMIT 1"
    ),
    "ix_search_rows_tsv": "SELECT 1 FROM search_rows WHERE tsv @@ 'a'::tsquery",
}
UNIQUE_INDEXES: dict[str, tuple[str, dict[str, Any]]] = {
    "uq_events_terminal": ("events", {"seq": 99, "event_id": "new", "is_terminal": True}),
    "uq_config_label_moves_request": ("config_label_moves", {"move": NOBODY}),
    "uq_removal_steps_last": ("removal_steps", {"step": NOBODY}),
    "uq_admin_records_request": ("admin_records", {"number": 99}),
}

VIOLATIONS = [
    *((name, table, change) for name, (table, many) in CONSTRAINTS.items() for change in many),
    *((name, table, change) for name, (table, change) in UNIQUE_INDEXES.items()),
]


@pytest_asyncio.fixture(scope="module")
async def conn(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a schema that has a row in every table."""
    await schema.upgrade(database_url, SCHEMA)
    opened = await connect(database_url, schema=SCHEMA, name="test")
    try:
        await fill(database_url)
        for statement in ROWS:
            await opened.execute(statement)
        yield opened
    finally:
        await opened.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        await opened.close()


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def fill(database_url: str) -> None:
    store = make_store(database_url, SCHEMA)
    try:
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.append_events(key, [Event("a")])
        snapshot = Snapshot(snapshot_id="s", state={"a": Payload("1")})
        await store.put_snapshot(key, snapshot, task_writes=[TaskWrite("t", 0)])
        await store.fork_run(NewFork(key))
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
        stored = Announced(sha256(b"").digest(), 0)
        await store.artifacts.upload_artifact(NewArtifact(key, "a"), stored, nothing())
        config = ConfigKey("p", "prompt", "greeting")
        version = NewVersion(config, Payload("1"), labels=("live",), request_id="request")
        await store.configs.register_version(version)
    finally:
        await store.close()


# Rows that duties and consumers would write.
ROWS = [
    "INSERT INTO feed VALUES (3, 1, 1, 3, 'p', now())",
    "INSERT INTO consumers VALUES ('p', 'reader', 1, now(), now())",
    "INSERT INTO dead_letters (sink, position, attempts, error, failed_at)"
    " VALUES ('nats', 1, 1, 'x', now())",
    "INSERT INTO usage_counts VALUES (1, now(), 't', '', '', '', '', 1, 0, 0, 0, 0, 0)",
    "INSERT INTO stored_bytes VALUES ('p', 1)",
    "INSERT INTO search_rows VALUES (1, 1, 1, now(), 'a', 'a')",
    "INSERT INTO holds SELECT 'h', 'p', min(run), '{}', '', '{}', '{}', 'r', '[]', now() FROM runs",
    "INSERT INTO tokens VALUES ('t', 'p', 'n', decode(repeat('00', 32), 'hex'), '[]', '[]',"
    " now(), now() + interval '1 day', now(), NULL)",
    "INSERT INTO project_limits VALUES ('p', 0, 0, 0, 0, now())",
    "INSERT INTO admin_records VALUES ('p', 1, now(), 'm', 'r', '[]', '[]', true, '', '',"
    " 'request', '{}', 'OK', '', '')",
    "INSERT INTO admin_records VALUES ('p', 2, now(), 'm', 'r', '[]', '[]', true, '', '',"
    " '', '{}', 'OK', '', '')",
    "INSERT INTO removals OVERRIDING SYSTEM VALUE"
    " SELECT 1, 'm', 'p', min(run), 1, decode(repeat('00', 32), 'hex'), 1, 1, 1, now() FROM runs",
    "INSERT INTO open_removals VALUES (1)",
    "INSERT INTO policies (project, name, statuses, plan_id, tags, labels, keep_last_snapshots,"
    " keep_run, keep_artifacts, includes_external, put_by, put_at)"
    " VALUES ('p', 'n', '{}', '', '{}', '{}', 0, '1 day', '1 day', false, '[]', now())",
    "INSERT INTO erasure_requests OVERRIDING SYSTEM VALUE"
    " VALUES (1, 'e', 'p', 1, NULL, NULL, now())",
    "INSERT INTO erasure_targets VALUES (1, 1, 1, 1)",
    "INSERT INTO erasures VALUES (1, 1, NULL, 1, now())",
    "INSERT INTO subject_refs VALUES ('ann', 1, 1)",
    "INSERT INTO archives SELECT min(run), 1, 'p', decode(repeat('00', 32), 'hex'), 2, 1, 1, 1, 1,"
    " 1, '', 1, 1, 1, NULL, now(), now(), false FROM runs",
    "INSERT INTO archived_events SELECT -run, seq, event_id, recorded_at, is_terminal, 1, '',"
    " body_hash, hash FROM events ORDER BY run, seq LIMIT 1",
    "INSERT INTO unnamed_objects VALUES ('x', 1)",
    "INSERT INTO removal_steps OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, true)",
]


async def copy(conn: asyncpg.Connection, table: str, change: dict[str, Any]) -> None:
    """Insert the table's first row again, changed."""
    await conn.execute(
        f"INSERT INTO {table} OVERRIDING SYSTEM VALUE"
        f" SELECT (jsonb_populate_record(t, $1::text::jsonb)).* FROM {table} t"
        " ORDER BY t.tableoid, t.ctid LIMIT 1",
        json.dumps(change),
    )


async def names(conn: asyncpg.Connection, query: str) -> set[str]:
    return {row[0] for row in await conn.fetch(query)}


async def parent(conn: asyncpg.Connection, index: str) -> str:
    """The index of the whole table, where it is a partition's."""
    found = await conn.fetchval(
        "SELECT p.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_class p ON p.oid = i.inhparent WHERE c.relname = $1"
        " AND c.relnamespace = current_schema()::regnamespace",
        index,
    )
    return found or index


async def test_every_wall_is_tried_here(conn: asyncpg.Connection) -> None:
    ours = (
        "current_schema()::regnamespace AND NOT t.relispartition AND t.relname <> 'schema_version'"
    )
    constraints = await names(
        conn,
        "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        f" WHERE c.contype IN ('p', 'u', 'f', 'c', 'x') AND c.connamespace = {ours}",
    )
    triggers = await names(
        conn,
        "SELECT tgname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid"
        f" WHERE NOT g.tgisinternal AND t.relnamespace = {ours}",
    )
    indexes = await names(
        conn,
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        f" JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = {ours}",
    )

    assert constraints == CONSTRAINTS.keys()
    assert triggers == TRIGGERS.keys() | PLACING | NOTING
    assert indexes - constraints == INDEXES.keys() | UNIQUE_INDEXES.keys()


@pytest.mark.parametrize(
    ("name", "table", "change"),
    VIOLATIONS,
    ids=[f"{name}-{change}" for name, _, change in VIOLATIONS],
)
async def test_a_row_that_breaks_a_constraint_is_refused(
    conn: asyncpg.Connection, name: str, table: str, change: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await copy(conn, table, change)

    assert await parent(conn, caught.value.constraint_name) == name


async def test_a_column_is_empty_only_where_it_may_be(conn: asyncpg.Connection) -> None:
    columns = await conn.fetch(
        "SELECT t.relname, a.attname FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid"
        " WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')"
        " AND NOT t.relispartition AND t.relname <> 'schema_version'"
        " AND a.attnum > 0 AND NOT a.attisdropped"
    )
    taken = set()
    for table, column in columns:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
            await copy(conn, table, {column: None})
        # An event of no run is refused for having no partition.
        if caught.value.constraint_name:
            taken.add(f"{table}.{column}")

    assert taken == NULLABLE


@pytest.mark.parametrize(
    ("name", "statement"), [(name, each) for name, many in TRIGGERS.items() for each in many]
)
async def test_a_change_of_the_record_is_refused(
    conn: asyncpg.Connection, name: str, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError) as caught:
        await conn.execute(statement)

    assert caught.value.constraint_name == name


async def test_a_head_is_placed_under_its_project_and_hour(conn: asyncpg.Connection) -> None:
    look = "SELECT project, updated_hour = date_trunc('hour', updated_at) FROM run_heads"

    before = await conn.fetch(look)
    await conn.execute("UPDATE run_heads SET updated_at = updated_at + interval '5 hours'")

    assert {tuple(row) for row in before} == {("p", True)}
    assert await conn.fetch(look) == before


@pytest.mark.parametrize("name", INDEXES)
async def test_an_index_serves_its_query(conn: asyncpg.Connection, name: str) -> None:
    async with conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = json.loads(await conn.fetchval(f"EXPLAIN (FORMAT json) {INDEXES[name]}"))

    assert name in [await parent(conn, each) for each in used(plan)]


def used(plan: Any) -> list[str]:
    """The indexes that a plan reads."""
    if isinstance(plan, list):
        return [name for each in plan for name in used(each)]
    if not isinstance(plan, dict):
        return []
    own = [plan["Index Name"]] if "Index Name" in plan else []
    return own + [name for each in plan.values() for name in used(each)]
