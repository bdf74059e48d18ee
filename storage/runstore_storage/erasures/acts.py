"""What is recorded of the runs of an erasure: acts of who asked for it, which name the erasure."""

from __future__ import annotations

import json
from dataclasses import replace

from runstore_storage.contract.admin import Act
from runstore_storage.database.connection import Connection
from runstore_storage.sql import admin_records


async def act_of(
    conn: Connection, project: str, record: int, run_id: str, *, method: str = ""
) -> Act:
    """The act on a run for the erasure of a record; its method is the erasure's unless given."""
    (asked,) = await admin_records.from_number(conn, project, record, limit=1)
    return replace(
        asked.act,
        method=method or asked.act.method,
        resource=f"runs/{run_id}",
        request_id="",
        request=json.dumps({"erasure_id": asked.act.resource.rpartition("/")[2]}),
    )
