"""Hashes of requests, and of what is kept of hashes."""

from __future__ import annotations

from runstore_storage.chain.canonical import digest
from runstore_storage.chain.fields import Salt


def request_hash(kind: str, *parts: bytes) -> bytes:
    """Hash of a write request that is recognised by its request_id."""
    return digest(kind, *parts)


def salted_hash(hash_: bytes, salt: Salt) -> bytes:
    """What is kept of the hash of something that may be erased; without a salt, the hash."""
    return hash_ if salt is None else digest("salted", salt, hash_)
