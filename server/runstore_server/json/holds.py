"""Holds as JSON values."""

from __future__ import annotations

import runstore
from runstore_storage.contract import holds as contract

from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.tokens import principal_value
from runstore_server.json.writing import JsonObject


def hold_value(hold: contract.Hold | runstore.Hold) -> JsonObject:
    where = hold.where if isinstance(hold, contract.Hold) else hold.filter
    return {
        "hold_id": hold.hold_id,
        "run_id": hold.run_id or None,
        "filter": None if hold.run_id or where is None else filter_value(where),
        "reason": hold.reason,
        "placed_by": principal_value(hold.placed_by),
        "placed_at": time_text(hold.placed_at),
        "released_by": principal_value(hold.released_by) if hold.released_by else None,
        "released_at": time_text(hold.released_at),
    }


def filter_value(where: contract.RunSelection | runstore.RunSelection) -> JsonObject:
    return {
        "statuses": [enum_text(each) for each in where.statuses],
        "plan_id": where.plan_id,
        "tags": where.tags,
        "labels": where.labels,
    }
