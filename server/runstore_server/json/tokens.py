"""Tokens as JSON values; never their texts."""

from __future__ import annotations

from runstore_storage.contract.admin import Token

from runstore_server.json.texts import time_text
from runstore_server.json.writing import JsonValue


def token_value(token: Token) -> JsonValue:
    return {
        "token_id": token.token_id,
        "prefix": token.prefix,
        "project": token.project or None,
        "name": token.name,
        "grants": [str(grant) for grant in token.grants],
        "created_by": {
            "kind": token.created_by.kind.name,
            "id": token.created_by.id,
            "issuer": token.created_by.issuer,
        },
        "created_at": time_text(token.created_at),
        "expires_at": time_text(token.expires_at),
        "revoked_at": time_text(token.revoked_at) if token.revoked_at else None,
        "last_used_at": time_text(token.last_used_at) if token.last_used_at else None,
    }
