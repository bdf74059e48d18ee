"""Page tokens: opaque to clients, bound to the query they continue."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import blake2b

from google.protobuf.message import Message

from runstore_server.validation import refuse

# What may change from page to page.
_FREE_FIELDS = ("page_token", "page_size", "limit")


def issue(request: Message, place: Sequence[int | str]) -> str:
    """A token for the page that begins after `place`."""
    text = json.dumps([_digest(request), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read(request: Message, token: str) -> list[int | str]:
    """The place of a token, which must have been issued for this query."""
    try:
        digest, *place = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error):
        digest, place = None, []
    if digest != _digest(request):
        refuse("page_token", "was not issued for this query")
    return list(place)


def _digest(request: Message) -> str:
    query = type(request)()
    query.CopyFrom(request)
    for name in _FREE_FIELDS:
        if name in request.DESCRIPTOR.fields_by_name:
            query.ClearField(name)
    return blake2b(query.SerializeToString(deterministic=True), digest_size=8).hexdigest()
