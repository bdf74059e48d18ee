"""Fields of canonical texts that several things have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from runstore_storage.chain.canonical import canonical
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.events import Usage
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ExternalRef
from runstore_storage.contract.times import microseconds

Salt = bytes | None
"""What hides the content that a hash is of; None where a hash is of version 1."""
SALT_BYTES = 16


def payload_field(payload: Payload | None) -> bytes:
    if payload is None:
        return b""
    kind = "json" if isinstance(payload.content, str) else "binary"
    return canonical(kind, payload.content_type, payload.data)


def usage_field(usage: Usage | None) -> bytes:
    if usage is None:
        return b""
    return canonical(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cost_micros,
        usage.duration_us,
    )


def time_field(at: datetime | None) -> bytes | int:
    return microseconds(at) if at else b""


def external_ref_field(ref: ExternalRef | None) -> bytes:
    return canonical(ref.system, ref.id, ref.url, int(ref.owns_status)) if ref else b""


def config_ref_field(ref: ConfigRef) -> bytes:
    """A reference as it was sent; a pin has no label."""
    asked = (ref.label,) if ref.label else ()
    return canonical(ref.kind, ref.name, ref.version, ref.digest, *asked)


def pair_fields(labels: Mapping[str, str]) -> Iterable[bytes]:
    return (canonical(name, value) for name, value in sorted(labels.items()))


def subject_fields(subjects: Sequence[str]) -> Iterable[bytes]:
    """Version 1's last field, where there are any: older texts have none."""
    return (canonical(*subjects),) if subjects else ()
