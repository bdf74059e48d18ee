"""Hashes: what they cover, in which order, in which bytes.

Each hash is the SHA-256 of a `canonical` text. What a person may ask to be forgotten is hashed by
itself first, with a salt: 16 random bytes, which go with it when it is erased. The hash that is
left then tells nothing, also to those who can guess what was hashed, and the chain still holds.

    sealed = SHA-256("sealed", salt, payload, actor, tags, subjects)
    body   = SHA-256("event/2", event_id, type, node_id, model, tool, usage, trace_parent,
                     occurred_at, sealed)
    hash   = SHA-256("link", previous hash, seq, recorded_at, body)

    sealed_run = SHA-256("sealed-run", salt, objective, plan, tags, labels, external url, subjects)
    birth  = SHA-256("run/2", project, run_id, plan_id, parent_run_id, external system,
                     external id, config_refs, sealed_run)

The birth of a fork ends with two more fields, the other run's run_id and seq; that of a run whose
status an external system owns with one more, "owns_status".

Events and runs that were recorded without a salt are of version 1:

    body   = SHA-256("event", event_id, type, payload, node_id, actor, model, tool, tags, usage,
                     trace_parent, occurred_at)
    birth  = SHA-256("run", project, run_id, plan_id, objective, plan, parent_run_id, external_ref,
                     config_refs, tags, labels)

A fork's birth ends as above; where there are subjects, they are one more field at the end of both.
The links are the same, so a history may have events of both versions.

The first event's previous hash is the run's `birth`. A fork's history begins with the other run's;
the previous hash of the first event of its own is

    fork   = SHA-256("fork", previous hash, birth)

where the previous hash is what the other run's next event would have had. Others:

    config = SHA-256("config", kind, content_type, content)
    output = SHA-256("output", payload, schema_hash, plan_version_id, provenance, statistics)
    salted = SHA-256("salted", salt, hash)

What a run's terminal event says of the output and the final snapshot is their salted hashes.

A payload is the list (kind, content_type, content), kind being "json" or "binary"; times and
durations are microseconds (since 1970 UTC). docs/chain.md has an example, byte for byte.
"""

from runstore_storage.chain.canonical import canonical, digest
from runstore_storage.chain.configs import config_digest
from runstore_storage.chain.events import (
    event_hash,
    link_hash,
    links,
    open_event_hash,
    plain_hashes,
    recorded_hash,
    sealed_hash,
)
from runstore_storage.chain.fields import SALT_BYTES, Salt
from runstore_storage.chain.outputs import completion_hash, output_hash
from runstore_storage.chain.requests import request_hash, salted_hash
from runstore_storage.chain.runs import (
    birth_hash,
    fork_hash,
    fork_request_hash,
    save_hash,
    sealed_run_hash,
)
from runstore_storage.chain.snapshots import part_hash, snapshot_hash, task_write_hash

__all__ = [
    "SALT_BYTES",
    "Salt",
    "birth_hash",
    "canonical",
    "completion_hash",
    "config_digest",
    "digest",
    "event_hash",
    "fork_hash",
    "fork_request_hash",
    "link_hash",
    "links",
    "open_event_hash",
    "output_hash",
    "part_hash",
    "plain_hashes",
    "recorded_hash",
    "request_hash",
    "salted_hash",
    "save_hash",
    "sealed_hash",
    "sealed_run_hash",
    "snapshot_hash",
    "task_write_hash",
]
