"""Hashes of runs as they are born."""

from __future__ import annotations

from runstore_storage.chain.canonical import canonical, digest
from runstore_storage.chain.fields import (
    config_ref_field,
    external_ref_field,
    pair_fields,
    payload_field,
    subject_fields,
)
from runstore_storage.chain.outputs import completion_hash
from runstore_storage.contract.runs import NewFork, NewRun


def birth_hash(new: NewRun) -> bytes:
    """Hash of a run as it is born, without its completion; its config refs are pins."""
    if new.salt is None:
        return _birth_1(new)
    ref, base = new.external_ref, new.fork_base
    return digest(
        "run/2",
        new.project,
        new.run_id,
        new.plan_id,
        new.parent_run_id,
        ref.system if ref else "",
        ref.id if ref else "",
        canonical(*map(config_ref_field, new.config_refs)),
        sealed_run_hash(new, new.salt),
        *((base.run_id, base.seq) if base else ()),
        *(("owns_status",) if ref and ref.owns_status else ()),
    )


def sealed_run_hash(new: NewRun, salt: bytes) -> bytes:
    """Hash of what may be erased of a run's birth."""
    return digest(
        "sealed-run",
        salt,
        new.objective,
        payload_field(new.plan),
        canonical(*new.tags),
        canonical(*pair_fields(new.labels)),
        new.external_ref.url if new.external_ref else "",
        canonical(*new.subjects),
    )


def _birth_1(new: NewRun) -> bytes:
    base = new.fork_base
    return digest(
        "run",
        new.project,
        new.run_id,
        new.plan_id,
        new.objective,
        payload_field(new.plan),
        new.parent_run_id,
        external_ref_field(new.external_ref),
        canonical(*map(config_ref_field, new.config_refs)),
        canonical(*new.tags),
        canonical(*pair_fields(new.labels)),
        *((base.run_id, base.seq) if base else ()),
        *subject_fields(new.subjects),
    )


def fork_hash(previous: bytes, birth: bytes) -> bytes:
    """The hash that binds a fork to the history it begins with."""
    return digest("fork", previous, birth)


def fork_request_hash(fork: NewFork) -> bytes:
    """Hash of a ForkRun request as it was sent."""
    return digest(
        "fork_run",
        fork.key.run_id,
        fork.at_seq,
        b"" if fork.objective is None else canonical(fork.objective),
        canonical(*map(config_ref_field, fork.config_refs)),
        canonical(*fork.tags),
        canonical(*pair_fields(fork.labels)),
    )


def save_hash(new: NewRun) -> bytes:
    """Hash of a SaveRun request as it was sent: with its completion, labels not resolved."""
    completion = new.completion
    return digest("save", _birth_1(new), completion_hash(completion) if completion else b"")
