"""Compression of stored content: zstd, each piece of content by itself."""

from __future__ import annotations

from collections.abc import Iterable

import zstandard

DamagedContent = zstandard.ZstdError


def compress(content: bytes) -> bytes:
    """Compress one piece of content."""
    return zstandard.ZstdCompressor().compress(content)


def compress_all(contents: Iterable[bytes]) -> list[bytes]:
    """Compress each piece of content; much faster than one by one if they are small."""
    compressor = zstandard.ZstdCompressor()
    return [compressor.compress(content) for content in contents]


def decompress(data: bytes) -> bytes:
    """The content that was compressed; raise `DamagedContent` if `data` is not valid zstd."""
    return zstandard.ZstdDecompressor().decompress(data)
