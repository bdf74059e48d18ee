"""Which JSON Web Tokens are taken, and which are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from runstore_server.edge.errors import CredentialExpired, Unauthenticated
from runstore_server.identity import jwt_tokens
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.identity.jwt_tokens import LEEWAY_SECONDS, TRUST_SECONDS, JwtBearers
from runstore_storage.contract.access import Grant, PrincipalKind, Role
from server.identity.issuing import (
    ISSUER,
    Clock,
    KeyServer,
    SigningKey,
    claims,
    issuer_setting,
)
from structlog.testing import capture_logs

GRANTS = ["writer@acme/*"]


@pytest.fixture
def bearers(key_server: KeyServer, authority: Authority, clock: Clock) -> JwtBearers:
    return made(issuer_setting(key_server, authority), clock=clock)


def made(*issuers: dict[str, Any], clock: Clock) -> JwtBearers:
    settings = [IssuerSettings.model_validate(each) for each in issuers]
    return JwtBearers(settings, withdrawn=lambda: None, clock=clock)


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_of_the_issuer_is_its_subject(
    bearers: JwtBearers, key_server: KeyServer, algorithm: str
) -> None:
    key = SigningKey("one", algorithm)
    key_server.publish(key)
    exp = int(time.time()) + 600

    found = await bearers.identify(key.token(runstore=GRANTS, exp=exp, aud=["other", "runstore"]))

    assert found.grants == (Grant(Role.WRITER, "acme/*"),)
    principal = found.principal
    assert (principal.kind, principal.id, principal.issuer) == (
        PrincipalKind.JWT,
        "planner",
        ISSUER,
    )
    assert found.expires_at == datetime.fromtimestamp(exp + LEEWAY_SECONDS, UTC)


async def test_a_caller_without_grants_is_known(bearers: JwtBearers, key: SigningKey) -> None:
    assert (await bearers.identify(key.token())).grants == ()


async def test_a_token_that_was_taken_is_known_until_it_expires(
    bearers: JwtBearers, key: SigningKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, other = key.token(jti="1"), key.token(jti="2")
    assert not bearers.knows(taken)

    await bearers.identify(taken)
    clock.now += 10 * TRUST_SECONDS
    bearers._forget()

    assert bearers.knows(taken)
    assert not bearers.knows(other)
    monkeypatch.setattr(time, "time", lambda: NOW + 3600.0)
    assert not bearers.knows(taken)


NOW = int(time.time())
HOUR = 3600


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "other"}, "for another audience"),
        ({"aud": None}, "lacks one of iss, aud, exp, iat, sub"),
        ({"exp": None}, "lacks one of"),
        ({"iat": None}, "lacks one of"),
        ({"sub": None}, "lacks one of"),
        ({"sub": ""}, "subject is not a name"),
        ({"sub": "a\0b"}, "subject is not a name"),
        ({"sub": "\ud800"}, "subject is not a name"),
        ({"sub": "a" * 501}, "subject is not a name"),
        ({"sub": 7}, "not valid"),
        ({"iss": None}, "unknown issuer"),
        ({"iss": ISSUER + "/"}, "unknown issuer"),
        ({"nbf": NOW + HOUR}, "not valid yet"),
        ({"iat": NOW + HOUR, "exp": NOW + 2 * HOUR}, "not valid yet"),
        ({"iat": NOW, "exp": NOW + 24 * HOUR + 1}, "longer than 24 hours"),
        ({"exp": float("inf")}, "not valid"),
        ({"exp": "soon"}, "not valid"),
    ],
)
async def test_claims_that_are_not_right_are_refused(
    bearers: JwtBearers, key: SigningKey, changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unauthenticated, match=why):
        await bearers.identify(key.token(**changed))


async def test_a_day_is_not_too_long(bearers: JwtBearers, key: SigningKey) -> None:
    assert await bearers.identify(key.token(iat=NOW, exp=NOW + 24 * HOUR))


async def test_an_expired_token_is_told_as_such(bearers: JwtBearers, key: SigningKey) -> None:
    now = int(time.time())
    with pytest.raises(CredentialExpired):
        await bearers.identify(key.token(iat=now - 600, exp=now - LEEWAY_SECONDS - 1))


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_clocks_may_differ_by_half_a_minute(
    bearers: JwtBearers, key: SigningKey, claim: str
) -> None:
    now = int(time.time())

    assert await bearers.identify(key.token(iat=now - 600, exp=now - LEEWAY_SECONDS + 10))
    assert await bearers.identify(key.token(**{claim: now + LEEWAY_SECONDS - 10}))
    with pytest.raises(Unauthenticated, match="not valid yet"):
        await bearers.identify(key.token(**{claim: now + LEEWAY_SECONDS + 10}))


def unsigned(_: SigningKey) -> str:
    return encoded({"alg": "none", "kid": "one"}) + "." + encoded(claims()) + "."


def unsigned_as_signed(key: SigningKey) -> str:
    return encoded({"alg": key.algorithm, "kid": "one"}) + "." + encoded(claims()) + "."


def signed_with_the_public_key(key: SigningKey) -> str:
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    begin = encoded({"alg": "HS256", "kid": "one"}) + "." + encoded(claims())
    return f"{begin}.{encoded(hmac.digest(public, begin.encode(), hashlib.sha256))}"


def signed_by_another(key: SigningKey) -> str:
    return SigningKey(key.kid).token()


def signed_by_its_own_key(_: SigningKey) -> str:
    own = SigningKey("one")
    headers = {"kid": "one", "jwk": own.jwk, "jku": "https://evil.example/jwks"}
    return jwt.encode(claims(), own.private, own.algorithm, headers=headers)


def of_another_algorithm(_: SigningKey) -> str:
    return SigningKey("one", "RS256").token()


def changed_afterwards(key: SigningKey) -> str:
    header, _, signature = key.token().split(".")
    return f"{header}.{encoded(claims(sub='admin'))}.{signature}"


def of_an_unknown_key(key: SigningKey) -> str:
    return key.token(kid="two")


def of_no_key(key: SigningKey) -> str:
    return jwt.encode(claims(), key.private, key.algorithm)


def of_a_key_that_is_no_text(key: SigningKey) -> str:
    return encoded({"alg": "ES256", "kid": ["one"]}) + key.token()[key.token().index(".") :]


def critical(key: SigningKey) -> str:
    headers = {"kid": "one", "crit": ["exp"]}
    return jwt.encode(claims(), key.private, key.algorithm, headers=headers)


def deep(_: SigningKey) -> str:
    return f"{encoded(b'[' * 3000)}.{encoded(b'[' * 3000)}."


def long(key: SigningKey) -> str:
    return key.token(more="a" * (16 << 10))


def of_few_parts(_: SigningKey) -> str:
    return "a.b"


def of_none(_: SigningKey) -> str:
    return ""


def of_other_letters(key: SigningKey) -> str:
    return "ä" + key.token()


FORGED: list[Callable[[SigningKey], str]] = [
    unsigned, unsigned_as_signed, signed_with_the_public_key, signed_by_another,
    signed_by_its_own_key, of_another_algorithm, changed_afterwards, of_an_unknown_key, of_no_key,
    of_a_key_that_is_no_text, critical, deep, long, of_few_parts, of_none, of_other_letters,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGED)
async def test_what_the_issuer_did_not_sign_is_refused(
    bearers: JwtBearers, key: SigningKey, forge: Callable[[SigningKey], str]
) -> None:
    token = forge(key)

    with pytest.raises(Unauthenticated):
        await bearers.identify(token)
    assert await bearers.identify(key.token())
    with pytest.raises(Unauthenticated):
        await bearers.identify(token)


async def test_an_algorithm_that_is_not_configured_is_refused_without_a_fetch(
    key_server: KeyServer, authority: Authority, key: SigningKey, clock: Clock
) -> None:
    only = made(issuer_setting(key_server, authority, algorithms=["RS256"]), clock=clock)

    with pytest.raises(Unauthenticated):
        await only.identify(key.token())

    assert key_server.requests == []


async def test_an_unknown_issuer_is_refused_without_a_fetch(
    bearers: JwtBearers, key: SigningKey, key_server: KeyServer
) -> None:
    with pytest.raises(Unauthenticated, match="unknown issuer"):
        await bearers.identify(key.token(iss="https://evil.example"))

    assert key_server.requests == []


async def test_one_issuer_does_not_speak_for_another(
    key_server: KeyServer, authority: Authority, clock: Clock
) -> None:
    one, other = SigningKey("one"), SigningKey("other")
    second = KeyServer(other)
    await second.start(authority.issue("second"))
    key_server.publish(one)
    both = made(
        issuer_setting(key_server, authority),
        issuer_setting(second, authority, issuer="second"),
        clock=clock,
    )

    assert await both.identify(one.token())
    assert await both.identify(other.token(iss="second"))
    with pytest.raises(Unauthenticated):
        await both.identify(other.token())
    await second.stop()


async def test_a_verified_token_is_trusted_for_a_minute_without_its_key(
    bearers: JwtBearers, key: SigningKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = key.token()
    first = await bearers.identify(token)
    verified = counted(monkeypatch)

    clock.now += TRUST_SECONDS - 1
    assert await bearers.identify(token) is first
    assert verified == []
    clock.now += 1
    assert await bearers.identify(token) == first
    assert verified == [token]


async def test_it_is_not_trusted_beyond_its_time(
    bearers: JwtBearers, key: SigningKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = key.token(exp=int(time.time()) + 10)
    await bearers.identify(token)
    verified = counted(monkeypatch)

    clock.now += 11

    await bearers.identify(token)
    assert verified == [token]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that are verified from now on."""
    verified: list[str] = []
    verify = jwt_tokens._verified

    def verify_and_count(token: str, *given: Any) -> Any:
        verified.append(token)
        return verify(token, *given)

    monkeypatch.setattr(jwt_tokens, "_verified", verify_and_count)
    return verified


async def test_the_oldest_is_forgotten_where_there_are_too_many(
    bearers: JwtBearers, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_tokens, "MAX_REMEMBERED", 3)
    tokens = [key.token(sub=f"s{n}") for n in range(5)]
    for token in tokens:
        await bearers.identify(token)
    verified = counted(monkeypatch)

    for token in reversed(tokens):
        await bearers.identify(token)

    assert len(bearers._remembered) == 3
    assert verified == [tokens[1], tokens[0]]


async def test_what_is_refused_takes_no_place(bearers: JwtBearers, key: SigningKey) -> None:
    other = SigningKey("one")
    await bearers.identify(key.token())

    for n in range(50):
        with pytest.raises(Unauthenticated):
            await bearers.identify(other.token(sub=f"s{n}"))

    assert len(bearers._remembered) == 1


async def test_a_flood_of_made_up_keys_makes_one_fetch(
    bearers: JwtBearers, key: SigningKey, key_server: KeyServer
) -> None:
    await bearers.identify(key.token())
    rest = key.token().partition(".")[2]
    bearers._issuers[ISSUER][1]._looked_at -= 60

    for n in range(10_000):
        made_up = encoded({"alg": "ES256", "kid": f"made-up-{n}"})
        with pytest.raises(Unauthenticated, match="key is not known"):
            await bearers.identify(f"{made_up}.{rest}")

    assert len(key_server.requests) == 2
    assert await bearers.identify(key.token())


async def test_tokens_of_a_key_that_is_withdrawn_are_not_trusted_any_more(
    key_server: KeyServer, authority: Authority, key: SigningKey, clock: Clock
) -> None:
    told: list[bool] = []
    setting = IssuerSettings.model_validate(issuer_setting(key_server, authority))
    bearers = JwtBearers([setting], withdrawn=lambda: told.append(True), clock=clock)
    token = key.token()
    await bearers.identify(token)
    key_server.publish(SigningKey("two"))

    keys = bearers._issuers[ISSUER][1]
    keys._begin(replaces=True)
    await keys._fetched()

    assert told == [True]
    with pytest.raises(Unauthenticated, match="key is not known"):
        await bearers.identify(token)


async def test_no_token_is_in_logs_or_errors(bearers: JwtBearers, key: SigningKey) -> None:
    said: list[str] = []
    tokens = [forge(key) for forge in FORGED] + [
        key.token(aud="other"),
        key.token(runstore=["x@y"]),
    ]

    with capture_logs() as logged:
        for token in tokens:
            try:
                said.append(repr(await bearers.identify(token)))
            except Unauthenticated as error:
                said += [str(error), str(error.details), repr(error.__cause__)]

    everything = str(said) + str(logged)
    parts = [part for token in tokens for part in token.split(".") if len(part) > 10]
    assert [part for part in parts if part in everything] == []
    assert key.jwk["x"] not in everything
