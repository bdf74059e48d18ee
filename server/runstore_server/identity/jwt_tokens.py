"""Callers by JSON Web Tokens of other issuers.

The key decides how a token is verified, never the token: its header names a key of its issuer, and
has to name that key's algorithm. A verification takes 0.1 to 0.2 ms and is done where calls are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

import jwt
from runstore_storage.contract.access import Principal, PrincipalKind

from runstore_server.edge.errors import CredentialExpired, Unauthenticated
from runstore_server.edge.identity import CannotKnowCallers, Identity
from runstore_server.identity.claims import grants_of
from runstore_server.identity.fetching import fetched
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.identity.keys import Fetch, IssuerKeys

LEEWAY_SECONDS = 30
MAX_LIFETIME_SECONDS = 86_400
TRUST_SECONDS = 60.0
MAX_REMEMBERED = 10_000
MAX_TOKEN_CHARACTERS = 16 << 10
MAX_SUBJECT_CHARACTERS = 500
REQUIRED = ["iss", "aud", "exp", "iat", "sub"]

_WHY: dict[type[jwt.PyJWTError], str] = {
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.MissingRequiredClaimError: f"the token lacks one of {', '.join(REQUIRED)}",
}

T = TypeVar("T")


class JwtBearers:
    """`Bearers` of the issuers' tokens; `follow` keeps their keys up to date.

    What was verified is trusted for a minute, by the token's SHA-256. `withdrawn` is called when an
    issuer has withdrawn a key, so that whoever is let in may no longer be. Raises
    `CannotKnowCallers` if a file of an issuer cannot be read at the start.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        *,
        withdrawn: Callable[[], None],
        fetch: Fetch = fetched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for each in issuers:
            _check(each)
        self._issuers = {
            each.issuer: (
                each,
                IssuerKeys(each, withdrawn=self._forget, fetch=fetch, clock=clock),
            )
            for each in issuers
        }
        self._withdrawn = withdrawn
        self._clock = clock
        self._remembered: dict[bytes, tuple[Identity, float]] = {}
        self._taken: dict[bytes, int] = {}
        """When each token expires that was once taken."""

    @property
    def ages(self) -> Mapping[str, Callable[[], float]]:
        """How many seconds ago the keys of each issuer were fetched; infinite if never."""
        return {name: keys.age for name, (_, keys) in self._issuers.items()}

    async def follow(self) -> None:
        """Keep the keys up to date, until cancelled."""
        await asyncio.gather(*(keys.follow() for _, keys in self._issuers.values()))

    async def identify(self, token: str) -> Identity:
        """See `Bearers`."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("the token is too long")
        digest = sha256(token.encode()).digest()
        if found := self._recalled(digest):
            return found
        header, claims = _unverified(token)
        issuer, keys = self._issuers.get(str(claims.get("iss")), (None, None))
        if issuer is None or keys is None:
            raise Unauthenticated("the token is of an unknown issuer")
        kid = header.get("kid")
        if header.get("alg") not in issuer.algorithms or not kid:
            raise Unauthenticated("the token names no key, or another algorithm than its issuer's")
        key = await keys.find(kid)
        if key is None:
            raise Unauthenticated("the token's key is not known")
        verified = _verified(token, issuer, key)
        identity = _identity(verified, issuer)
        self._remember(digest, identity, int(verified["exp"]))
        return identity

    def knows(self, token: str) -> bool:
        """See `Bearers`."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            return True
        return self._taken.get(sha256(token.encode()).digest(), 0) > time.time()

    def _recalled(self, digest: bytes) -> Identity | None:
        found, until = self._remembered.get(digest, (None, 0.0))
        if found and until <= self._clock():
            del self._remembered[digest]
            return None
        return found

    def _remember(self, digest: bytes, identity: Identity, exp: int) -> None:
        left = min(exp - time.time(), TRUST_SECONDS)
        _keep(self._remembered, digest, (identity, self._clock() + left))
        _keep(self._taken, digest, exp)

    def _forget(self) -> None:
        self._remembered.clear()
        self._withdrawn()


def _keep(kept: dict[bytes, T], digest: bytes, value: T) -> None:
    """Keep a value instead of the one that has been kept longest, if there are too many."""
    kept.pop(digest, None)
    if len(kept) >= MAX_REMEMBERED:
        del kept[next(iter(kept))]
    kept[digest] = value


def _check(issuer: IssuerSettings) -> None:
    for path in issuer.files:
        try:
            path.open("rb").close()
        except OSError as error:
            unread = f"RUNSTORE_JWT_ISSUERS: {path} cannot be read: {error.strerror}"
            raise CannotKnowCallers(unread) from error


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims that a token has, whoever wrote it."""
    try:
        found = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise Unauthenticated("the token is not one") from error
    return found["header"], found["payload"]


def _verified(token: str, issuer: IssuerSettings, key: jwt.PyJWK) -> dict[str, Any]:
    """The claims, once they are known to be the issuer's, for us, and in their time."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED},
        )
    except jwt.ExpiredSignatureError as error:
        raise CredentialExpired from error
    except jwt.PyJWTError as error:
        raise Unauthenticated(_WHY.get(type(error), "the token is not valid")) from error


def _identity(claims: dict[str, Any], issuer: IssuerSettings) -> Identity:
    subject, exp = claims["sub"], int(claims["exp"])
    if not subject or not subject.isprintable() or len(subject) > MAX_SUBJECT_CHARACTERS:
        raise Unauthenticated("the token's subject is not a name")
    if exp - int(claims["iat"]) > MAX_LIFETIME_SECONDS:
        raise Unauthenticated("the token is valid for longer than 24 hours")
    return Identity(
        Principal(PrincipalKind.JWT, subject, issuer.issuer),
        grants_of(claims, issuer),
        datetime.fromtimestamp(exp + LEEWAY_SECONDS, UTC),
    )
