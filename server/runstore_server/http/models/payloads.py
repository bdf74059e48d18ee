"""Payloads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from runstore_server.http.models.described import Described


class PayloadModel(Described):
    """A value exactly as it is stored: the JSON text itself, or bytes in base64."""

    json_: Any = Field(default=None, alias="json", description="The stored text, byte for byte.")
    base64: str | None = Field(default=None, description="Bytes that were not stored as JSON.")
    json_base64: str | None = Field(
        default=None,
        description="Streams only: the exact bytes of a text with carriage returns; `json` has"
        " blanks in their place.",
    )
    content_type: str = Field(default="", description="Media type, if the writer gave one.")
