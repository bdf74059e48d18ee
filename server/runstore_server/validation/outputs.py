"""Outputs and completions."""

from __future__ import annotations

from runstore_server.validation.bounds import BATCH, GUARDED, ID, MAX_INT32, OF_RUN, Integer
from runstore_server.validation.checks import no_refs, of_this_run, unique_event_ids
from runstore_server.validation.rules import MessageRules, Rules

REVISION = Integer(0, MAX_INT32)

RULES: Rules = {
    "Output": MessageRules(
        {"schema_hash": ID, "plan_version_id": ID},
        checks=(no_refs("payload", "provenance", "statistics"),),
    ),
    "Completion": MessageRules({"events": BATCH}, checks=(unique_event_ids,)),
    "CompleteRunRequest": MessageRules(
        OF_RUN | GUARDED | {"events": BATCH},
        checks=(unique_event_ids, of_this_run("final_snapshot")),
    ),
    "GetOutputRequest": MessageRules(OF_RUN | {"revision": REVISION}),
}
