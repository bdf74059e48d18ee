"""Holds."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runstore_server.http.models.described import Described


class PrincipalModel(Described):
    """Who did something."""

    kind: Literal["anybody", "token", "jwt", "certificate", "database"]
    id: str = Field(description="The token's id, the subject, or the certificate's name.")
    issuer: str = Field(description="Of a JSON Web Token; empty otherwise.")


class SelectionModel(Described):
    """Selects runs that meet all of it; empty, it selects all of the project."""

    statuses: list[str]
    plan_id: str
    tags: list[str]
    labels: dict[str, str]


class HoldModel(Described):
    """Keeps runs from being removed until it is released."""

    hold_id: str
    run_id: str | None = Field(description="The run that it names; null if it has a filter.")
    filter: SelectionModel | None
    reason: str
    placed_by: PrincipalModel
    placed_at: datetime
    released_by: PrincipalModel | None
    released_at: datetime | None
