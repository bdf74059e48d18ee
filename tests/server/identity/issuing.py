"""An issuer of tokens for tests: its keys, what it signs, and an HTTPS server with its JWK Set."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
from certificates import Authority
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "runstore"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "RS256": (lambda: RSA_KEY, RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class SigningKey:
    """One key of an issuer."""

    def __init__(self, kid: str = "one", algorithm: str = "ES256") -> None:
        make, of_kind = KINDS[algorithm]
        self.kid, self.algorithm = kid, algorithm
        self.private = make()
        self.jwk: dict[str, Any] = {
            **of_kind.to_jwk(self.private.public_key(), as_dict=True),
            "kid": kid,
            "use": "sig",
        }
        self.jwk.pop("key_ops", None)

    def token(self, *, kid: str | None = None, **changed: Any) -> str:
        """A token for now, with claims changed; None takes a claim away."""
        headers = {"kid": self.kid if kid is None else kid}
        return jwt.encode(claims(**changed), self.private, self.algorithm, headers=headers)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "planner", "iat": now, "exp": now + 600}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def jwk_set(*keys: SigningKey) -> bytes:
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return answer


class KeyServer:
    """An HTTPS server on this host; `answer` is what it says, `requests` what it was asked."""

    def __init__(self, *keys: SigningKey) -> None:
        self.answer = answering(jwk_set(*keys))
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.url = ""
        self._server: asyncio.Server | None = None

    def publish(self, *keys: SigningKey) -> None:
        self.answer = answering(jwk_set(*keys))

    async def start(self, pair: tuple[Path, Path]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}/jwks"

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.set()
            await self.answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return  # of a client that has seen enough, or does not trust the certificate
        finally:
            writer.close()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def issuer_setting(server: KeyServer, authority: Authority, **changed: Any) -> dict[str, Any]:
    """The settings of the issuer, as JSON has them."""
    usual = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": server.url,
        "ca_file": str(authority.file),
        "grants_claim": "runstore",
    }
    return usual | changed
