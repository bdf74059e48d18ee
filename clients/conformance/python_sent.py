"""Arguments of the scenarios as the Python client takes them; README.md defines the format."""

from __future__ import annotations

import base64
from datetime import date, datetime, timedelta
from typing import Any

import runstore
from runstore import Payload, Ref

PAYLOADS = ("plan", "payload", "provenance", "statistics", "metadata", "body")
NODE_PAYLOADS = ("input_schema", "output_schema", "provenance", "state")
Json = dict[str, Any]


def text_of(raw: Any) -> str:
    """A text: as it is, or as strings with the number of their repetitions."""
    if isinstance(raw, str):
        return raw
    return "".join(piece * times for piece, times in raw["repeat"])


def payload(raw: Json) -> Payload | Ref:
    if "sha256_of" in raw:
        found = payload(raw["sha256_of"])
        assert isinstance(found, Payload)
        return Ref(found.sha256)
    if "sha256" in raw:
        return Ref(bytes.fromhex(raw["sha256"]))
    kind = raw.get("content_type", "")
    if "json" in raw:
        return Payload(text_of(raw["json"]), kind)
    return Payload(base64.b64decode(raw["base64"]), kind)


def payloads(fields: Json, names: tuple[str, ...] = PAYLOADS) -> Json:
    return {name: payload(each) if name in names else each for name, each in fields.items()}


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def times(fields: Json) -> Json:
    """Bounds such as `created_from_time`, without the ending that they have in the contracts."""
    return {
        name.removesuffix("_time"): time(each) if name.endswith("_time") else each
        for name, each in fields.items()
    }


def event(fields: Json) -> runstore.NewEvent:
    made = payloads(fields)
    if "usage" in made:
        usage = {name: int(value) for name, value in made["usage"].items()}
        spent = timedelta(microseconds=usage.pop("duration_micros", 0))
        made["usage"] = runstore.Usage(**usage, duration=spent)
    if "occurred_at" in made:
        made["occurred_at"] = time(made["occurred_at"])
    return runstore.NewEvent(**made)


def events(arguments: Json) -> list[runstore.NewEvent]:
    return [event(each) for each in arguments.pop("events", []) * arguments.pop("times", 1)]


def snapshot(fields: Json) -> Json:
    made = payloads(fields)
    if "reason" in made:
        made["reason"] = runstore.SnapshotReason[made["reason"]]
    if "state" in made:
        made["state"] = {name: payload(part) for name, part in made["state"].items()}
    if "nodes" in made:
        made["nodes"] = [
            runstore.PlanNode(**payloads(node, NODE_PAYLOADS)) for node in made["nodes"]
        ]
    return made


def writes(fields: list[Json]) -> list[runstore.TaskWrite]:
    return [runstore.TaskWrite(**payloads(each)) for each in fields]


def output(fields: Json) -> Json:
    made = payloads(fields)
    return {"payload": made.pop("payload", None), **made}


def config_refs(fields: Json) -> list[runstore.ConfigRef]:
    return [
        runstore.ConfigRef(**{**each, "version": int(each.get("version", 0))})
        for each in fields.get("config_refs", [])
    ]


def artifact(fields: Json) -> Json:
    made = payloads(fields)
    if "sha256" in made:
        made["sha256"] = bytes.fromhex(made["sha256"])
    return made


def counted(fields: Json) -> Json:
    """The arguments of statistics."""
    made = dict(fields)
    for name in ("from_day", "to_day"):
        if name in made:
            made[name] = date.fromisoformat(made[name])
    return with_after(made)


def with_after(fields: Json) -> Json:
    """`after` as the client takes it."""
    if "after" in fields:
        fields["after"] = (fields["after"]["run_id"], fields["after"]["seq"])
    return fields


def with_lifetime(fields: Json) -> Json:
    """`lifetime_seconds` as the client takes it."""
    if "lifetime_seconds" in fields:
        fields["lifetime"] = timedelta(seconds=fields.pop("lifetime_seconds"))
    return fields


def completion(fields: Json) -> runstore.Completion:
    made = output(fields.get("output", {}))
    final = fields.get("final_snapshot")
    return runstore.Completion(
        runstore.Outcome[fields.get("outcome", "UNSPECIFIED")],
        made.pop("payload"),
        made,  # type: ignore[arg-type]  # checked by the client
        [event(each) for each in fields.get("events", [])],
        snapshot(final) if final else None,  # type: ignore[arg-type]  # checked by the client
    )


def with_statuses(fields: Json) -> Json:
    if "statuses" not in fields:
        return fields
    return fields | {"statuses": [runstore.RunStatus[each] for each in fields["statuses"]]}


def selection(fields: Json) -> runstore.RunSelection:
    return runstore.RunSelection(**with_statuses(fields))


def policy(fields: Json) -> runstore.Policy:
    where = selection(fields.pop("filter", {}))
    kept = {
        name.removesuffix("_seconds"): timedelta(seconds=each) if "_seconds" in name else each
        for name, each in fields.items()
    }
    return runstore.Policy(**kept, filter=where)


def query(fields: Json) -> runstore.RunQuery:
    made = with_statuses(times(fields))
    if "external" in made:
        made["external"] = runstore.ExternalFilter(**made["external"])
    if "config" in made:
        made["config"] = runstore.ConfigFilter(**made["config"])
    if "order" in made:
        made["order"] = runstore.RunOrder[made["order"]]
    return runstore.RunQuery(**made)
