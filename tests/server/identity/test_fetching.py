"""Keys fetched from a real HTTPS server, or not."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from runstore_server.identity import fetching
from runstore_server.identity.fetching import MAX_BYTES, KeysUnavailable, fetched
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.identity.jwk_sets import keys_in
from server.identity.issuing import KINDS, KeyServer, SigningKey, answering, issuer_setting, jwk_set

ALGORITHMS = ("RS256", "ES256", "EdDSA")


@pytest.fixture
def setting(key_server: KeyServer, authority: Authority) -> dict[str, Any]:
    return issuer_setting(key_server, authority)


async def fetch(setting: dict[str, Any], **changed: Any) -> bytes:
    given = {name: value for name, value in (setting | changed).items() if value is not None}
    return await fetched(IssuerSettings.model_validate(given))


async def test_the_keys_come_from_the_url(setting: dict[str, Any], key: SigningKey) -> None:
    assert await fetch(setting) == jwk_set(key)


async def test_they_come_from_a_file(
    setting: dict[str, Any], key: SigningKey, tmp_path: Path
) -> None:
    path = tmp_path / "jwks"
    path.write_bytes(jwk_set(key))

    assert await fetch(setting, jwks_url=None, ca_file=None, jwks_file=path) == jwk_set(key)


async def test_a_server_of_another_authority_is_not_trusted(
    setting: dict[str, Any], key_server: KeyServer, tmp_path: Path
) -> None:
    for ca_file in (Authority(tmp_path, "other").file, None):
        with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(setting, ca_file=ca_file)
    assert key_server.requests == []


async def test_a_server_of_another_name_is_not_trusted(
    setting: dict[str, Any], key_server: KeyServer
) -> None:
    url = key_server.url.replace("localhost", "127.0.0.2")

    with pytest.raises(KeysUnavailable, match="no answer"):
        await fetch(setting, jwks_url=url)


async def test_the_files_are_read_each_time(
    setting: dict[str, Any], key_server: KeyServer, authority: Authority, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    for text in ("canary-1\n", "canary-2"):
        token.write_text(text)
        await fetch(setting, bearer_token_file=token)

    shown = [f"authorization: bearer canary-{n}\r\n".encode() for n in (1, 2)]
    assert all(
        line in asked.lower() for line, asked in zip(shown, key_server.requests, strict=True)
    )
    authority.file.write_text("nothing")
    with pytest.raises(KeysUnavailable, match="holds no PEM certificates"):
        await fetch(setting)


@pytest.mark.parametrize("held", ["canary\r\nx-more: 1", "canary\0", "canäry"])
async def test_what_is_no_token_is_not_sent_or_shown(
    setting: dict[str, Any], key_server: KeyServer, tmp_path: Path, held: str
) -> None:
    token = tmp_path / "token"
    token.write_text(held)

    with pytest.raises(KeysUnavailable) as caught:
        await fetch(setting, bearer_token_file=token)

    assert str(caught.value) == f"{token} holds no token"
    assert key_server.requests == []


async def test_a_redirect_is_not_followed(
    setting: dict[str, Any], key_server: KeyServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("canary")
    elsewhere = f"location: {key_server.url}/elsewhere"
    key_server.answer = answering(b"", "302 Found", elsewhere)

    with pytest.raises(KeysUnavailable, match="answered 302"):
        await fetch(setting, bearer_token_file=token)

    assert len(key_server.requests) == 1


@pytest.mark.parametrize("status", ["500 Oh", "404 No", "201 Created", "401 Who"])
async def test_another_status_is_no_answer(
    setting: dict[str, Any], key_server: KeyServer, status: str
) -> None:
    key_server.answer = answering(b'{"canary": 1}', status)

    with pytest.raises(KeysUnavailable, match=f"^answered {status[:3]}$"):
        await fetch(setting)


async def test_an_answer_that_dribbles_is_given_up(
    setting: dict[str, Any], key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.5)
    key_server.answer = dribble

    with pytest.raises(KeysUnavailable, match=r"no answer within 0\.5 seconds"):
        await fetch(setting)


async def test_a_huge_answer_is_not_read_to_its_end(
    setting: dict[str, Any], key_server: KeyServer
) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b" " * (64 << 10))
            await writer.drain()
            sent += 64 << 10

    key_server.answer = flood

    with pytest.raises(KeysUnavailable, match=f"more than {MAX_BYTES} bytes"):
        await fetch(setting)

    assert sent < 100 << 20
    key_server.answer = answering(b" " * MAX_BYTES)
    assert len(await fetch(setting)) == MAX_BYTES


async def test_what_is_compressed_is_not_unpacked(
    setting: dict[str, Any], key_server: KeyServer, key: SigningKey
) -> None:
    packed = gzip.compress(jwk_set(key))
    key_server.answer = answering(packed, "200 OK", "content-encoding: gzip")

    assert await fetch(setting) == packed


async def test_a_server_that_is_not_there_is_told(
    setting: dict[str, Any], key_server: KeyServer
) -> None:
    await key_server.stop()

    with pytest.raises(KeysUnavailable, match="no answer: ConnectError"):
        await fetch(setting)


async def test_a_file_that_is_gone_or_huge_is_told(setting: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "jwks"
    path.write_bytes(b" " * (MAX_BYTES + 1))
    of_file = IssuerSettings.model_validate(
        {"issuer": "i", "audience": "a", "jwks_file": path, "grants_claim": "g"}
    )

    with pytest.raises(KeysUnavailable, match="more than"):
        await fetched(of_file)
    path.unlink()
    with pytest.raises(KeysUnavailable, match="cannot be read: No such file"):
        await fetched(of_file)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys_of_the_configured_algorithms_are_taken(algorithm: str) -> None:
    key = SigningKey("one", algorithm)

    found = keys_in(jwk_set(key), [algorithm])

    assert found["one"].algorithm_name == algorithm
    assert keys_in(jwk_set(key), ALGORITHMS).keys() == {"one"}
    with pytest.raises(KeysUnavailable, match="no key of"):
        keys_in(jwk_set(key), [each for each in ALGORITHMS if each != algorithm])


SHORT_N = "wJ" + "A" * 169 + "Q"  # of 1032 bits


@pytest.mark.parametrize(
    "change",
    [
        {"kid": None}, {"kid": 7}, {"use": "enc"}, {"d": "AAAA"}, {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"}, {"alg": "none"}, {"alg": ["ES256"]}, {"crv": "P-384"}, {"x": "AAAA"},
        {"x": 7}, {"kty": "oct", "k": "AAAA"}, {"kty": ["EC"]}, {"kty": None}, {"kty": "XX"},
        {"kty": "RSA", "n": SHORT_N, "e": "AQAB"}, {"kty": "RSA", "n": "", "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed448", "alg": "EdDSA"},
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_are_passed_over(key: SigningKey, change: dict[str, Any]) -> None:
    good = SigningKey("good")
    key.jwk |= change

    assert keys_in(jwk_set(key, good), ALGORITHMS).keys() == {"good"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_private_keys_are_passed_over(algorithm: str) -> None:
    good, published = SigningKey("good"), SigningKey("one", algorithm)
    published.jwk = KINDS[algorithm][1].to_jwk(published.private, as_dict=True) | {"kid": "one"}

    assert keys_in(jwk_set(published, good), ALGORITHMS).keys() == {"good"}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>canary", b"[]", b"7", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [7, null]}',
        b'{"keys": 7}', b"{}", b"[" * 100_000, b"\xff\xfe", b'{"keys": [{}]}',
    ],
)  # fmt: skip
def test_what_is_no_set_of_keys_is_told(data: bytes) -> None:
    with pytest.raises(KeysUnavailable, match=r"^(not JSON|not a JWK Set|no key of .*)$"):
        keys_in(data, ALGORITHMS)
