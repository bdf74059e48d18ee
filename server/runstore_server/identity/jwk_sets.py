"""Reading the keys of a JWK Set that tokens can be verified with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from runstore_server.identity.fetching import KeysUnavailable

LEAST_RSA_BITS = 2048
_TEXTS = ("kid", "kty", "alg", "crv", "use")


def keys_in(data: bytes, algorithms: Collection[str]) -> dict[str, jwt.PyJWK]:
    """The public keys that sign with one of the algorithms, by their ids.

    Others are passed over: those without an id, for encryption, private, or too short. Raise
    `KeysUnavailable` if none is left.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailable("not JSON") from error
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise KeysUnavailable("not a JWK Set")
    keys: dict[str, jwt.PyJWK] = {}
    for each in listed:
        key = _key(each, algorithms) if isinstance(each, dict) else None
        if key and key.key_id:
            keys.setdefault(key.key_id, key)
    if not keys:
        raise KeysUnavailable(f"no key of {', '.join(algorithms)} with an id")
    return keys


def _key(jwk: Mapping[str, Any], algorithms: Collection[str]) -> jwt.PyJWK | None:
    """The key if it can be used, with the algorithm that it says or that its kind has."""
    if not all(isinstance(jwk.get(name, ""), str) for name in _TEXTS):
        return None
    if jwk.get("use", "sig") != "sig":
        return None
    if "alg" in jwk and jwk["alg"] not in algorithms:
        return None
    try:
        key = jwt.PyJWK(dict(jwk))
    except (jwt.PyJWTError, UnsupportedAlgorithm, TypeError, ValueError):
        return None
    return key if key.algorithm_name in algorithms and _is_fit(key) else None


def _is_fit(key: jwt.PyJWK) -> bool:
    match key.key:
        case RSAPublicKey():
            return key.algorithm_name == "RS256" and key.key.key_size >= LEAST_RSA_BITS
        case EllipticCurvePublicKey():
            return key.algorithm_name == "ES256" and isinstance(key.key.curve, SECP256R1)
        case Ed25519PublicKey():
            return key.algorithm_name == "EdDSA"
        case _:
            return False
