"""Tokens as JSON values; never their texts."""

from __future__ import annotations

import runstore
from runstore_storage.contract.access import Principal
from runstore_storage.contract.admin import Token

from runstore_server.json.texts import enum_text, time_text
from runstore_server.json.writing import JsonObject


def token_value(token: Token | runstore.Token, project: str) -> JsonObject:
    """A token of a project, or of the server itself if that is empty."""
    return {
        "token_id": token.token_id,
        "prefix": token.prefix,
        "project": project or None,
        "name": token.name,
        "grants": [str(grant) for grant in token.grants],
        "created_by": principal_value(token.created_by),
        "created_at": time_text(token.created_at),
        "expires_at": time_text(token.expires_at),
        "revoked_at": time_text(token.revoked_at),
        "last_used_at": time_text(token.last_used_at),
    }


def principal_value(principal: Principal | runstore.Principal) -> JsonObject:
    return {
        "kind": enum_text(principal.kind),
        "id": principal.id,
        "issuer": principal.issuer,
    }
