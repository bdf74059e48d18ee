"""Grants as text: role@pattern, as settings and the claims of tokens hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import structlog
from pydantic import PlainValidator
from runstore_storage.contract.access import ALL_PROJECTS, BELOW, Grant, Role

from runstore_server.validation.admin import is_pattern
from runstore_server.validation.bounds import REQUIRED_ID

ROLES = {role.name.lower(): role for role in Role}
SHOWN_CHARACTERS = 100

_log = structlog.get_logger(__name__)


def grant_of(text: object) -> Grant:
    """The grant that a text such as "writer@acme/*" stands for; raise `ValueError` if none."""
    shown = repr(text)[:SHOWN_CHARACTERS]
    if not isinstance(text, str):
        raise ValueError(f"{shown} is no text such as writer@acme/*")
    name, _, pattern = text.partition("@")
    role = ROLES.get(name)
    if role is None:
        raise ValueError(f"{shown} does not begin with {', '.join(ROLES)} and an @")
    if role is Role.OPERATOR and pattern != ALL_PROJECTS:
        raise ValueError(f"{shown} must be operator@{ALL_PROJECTS}")
    if len(pattern.removesuffix(BELOW)) > REQUIRED_ID.high or not is_pattern(pattern):
        raise ValueError(
            f"{shown} does not end with the name of a project, a name and {BELOW}, or"
            f" {ALL_PROJECTS}"
        )
    return Grant(role, pattern)


def grants_in(texts: Iterable[str]) -> Iterator[Grant]:
    """The grants among texts that another party wrote; what is none is passed over, and logged."""
    for text in texts:
        try:
            yield grant_of(text)
        except ValueError as error:
            _log.debug("not a grant", why=str(error))


ConfiguredGrant = Annotated[Grant, PlainValidator(grant_of)]
"""One that is written in the settings, where a mistake is an error."""
