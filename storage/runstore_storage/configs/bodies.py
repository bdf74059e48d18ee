"""Bodies of config versions: compressed to be stored, decompressed to be read."""

from __future__ import annotations

from dataclasses import replace

from runstore_storage import chain
from runstore_storage.contract.configs import ConfigVersion
from runstore_storage.contract.payloads import Payload
from runstore_storage.database.threads import run_in_thread_if_large
from runstore_storage.payloads.compression import compress, decompress
from runstore_storage.sql.configs import StoredBody


async def compress_body(body: Payload) -> StoredBody:
    """Hash and compress a body. Call it before any lock is taken."""
    data = body.data

    def work() -> StoredBody:
        return StoredBody(chain.config_digest(body), len(data), compress(data))

    return await run_in_thread_if_large(len(data), work)


async def with_body(
    version: ConfigVersion, is_json: bool, content_type: str, data: bytes
) -> ConfigVersion:
    """The version with the body that `data` is compressed from."""
    content = await run_in_thread_if_large(version.body_bytes, decompress, data)
    return replace(version, body=Payload(content.decode() if is_json else content, content_type))
