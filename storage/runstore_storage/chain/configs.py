"""Digests of config versions."""

from __future__ import annotations

from runstore_storage.chain.canonical import digest
from runstore_storage.contract.payloads import Payload


def config_digest(body: Payload) -> str:
    """The digest of a config version: it depends on the body, not on kind and name."""
    kind = "json" if isinstance(body.content, str) else "binary"
    return f"sha256:{digest('config', kind, body.content_type, body.data).hex()}"
