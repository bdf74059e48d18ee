"""What models of several nouns share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seq = Annotated[int, Field(ge=0, description="Number of an event in its run: 1, 2, 3 ...")]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hexadecimal.")]
Salt = Annotated[
    str | None,
    Field(pattern="^[0-9a-f]{32}$", description="What was hashed with it; null without a salt."),
]
OutcomeName = Literal["succeeded", "failed", "cancelled"]
PageToken = Annotated[str | None, Field(description="For the next page; null on the last one.")]


class Described(BaseModel):
    model_config = ConfigDict(extra="forbid")
