"""Signatures of webhooks as Standard Webhooks specifies them: HMAC-SHA256, scheme `v1`."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret


def signing_key(secret: str) -> bytes:
    """The key of a secret: the base64 after `whsec_`, or else the secret in UTF-8.

    Raise ValueError when the text after the prefix is not base64 or when the key is empty.
    """
    if secret.startswith(SECRET_PREFIX):
        try:
            key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except ValueError as error:
            raise ValueError(f"the text after {SECRET_PREFIX} must be base64") from error
    else:
        key = secret.encode()
    if not key:
        raise ValueError("a secret must not be empty")
    return key


def signature_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that sign a body; `timestamp` is when it is sent, in seconds since 1970."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    signature = b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
