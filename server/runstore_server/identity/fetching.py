"""Getting an issuer's keys as the bytes of a JWK Set: from its URL, or from a file.

The URL is one of the settings, and nothing else is asked: a redirect is a refusal.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx

from runstore_server.identity.issuers import IssuerSettings

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 1 << 20


class KeysUnavailable(Exception):
    """Why keys cannot be had. It holds nothing of an answer or a file, so it may be logged."""


async def fetched(issuer: IssuerSettings) -> bytes:
    """The JWK Set, not looked at yet; raise `KeysUnavailable`, after five seconds at most."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if issuer.jwks_file:
                return await asyncio.to_thread(_bytes, issuer.jwks_file)
            return await _answer(issuer)
    except TimeoutError as error:
        raise KeysUnavailable(f"no answer within {TIMEOUT_SECONDS:g} seconds") from error
    except httpx.HTTPError as error:
        raise KeysUnavailable(f"no answer: {type(error).__name__} {error}".rstrip()) from error


async def _answer(issuer: IssuerSettings) -> bytes:
    trusted, headers = await asyncio.to_thread(_prepared, issuer)
    client = httpx.AsyncClient(
        verify=trusted,
        headers=headers,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - all of it is bounded by the caller
    )
    async with client, client.stream("GET", str(issuer.jwks_url)) as response:
        if response.status_code != httpx.codes.OK:
            raise KeysUnavailable(f"answered {response.status_code}")
        found = bytearray()
        async for chunk in response.aiter_raw():
            found += chunk
            _check(len(found))
        return bytes(found)


def _prepared(issuer: IssuerSettings) -> tuple[ssl.SSLContext, dict[str, str]]:
    """Whom to trust and what to send, of files as they are now."""
    headers = {"user-agent": "runstore", "accept-encoding": "identity"}
    if path := issuer.bearer_token_file:
        token = _bytes(path).decode(errors="replace").strip()
        if not (token.isascii() and token.isprintable()):
            raise KeysUnavailable(f"{path} holds no token")
        headers["authorization"] = f"Bearer {token}"
    if issuer.ca_file is None:
        return httpx.create_ssl_context(), headers
    try:
        return ssl.create_default_context(cafile=issuer.ca_file), headers
    except OSError as error:
        raise KeysUnavailable(f"{issuer.ca_file} holds no PEM certificates: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeysUnavailable(f"{path} cannot be read: {error.strerror}") from error
    _check(len(found))
    return found


def _check(size: int) -> None:
    if size > MAX_BYTES:
        raise KeysUnavailable(f"more than {MAX_BYTES} bytes")
