"""Query parameters, described by the bounds of the contracts' fields."""

from __future__ import annotations

from typing import Any

from fastapi import Query

from runstore_server.validation.bounds import Integer, Items, Seconds, Text

Many = tuple[str, ...]
"""The values of a parameter that may be repeated."""


def text(bound: Text, description: str | None = None) -> Any:
    return Query(max_length=bound.high, description=description)


def texts(bound: Items, description: str, *, alias: str | None = None) -> Any:
    return Query(max_length=bound.high, description=description, alias=alias)


def integer(bound: Integer, description: str, *, alias: str | None = None) -> Any:
    return Query(ge=bound.low, le=bound.high, description=description, alias=alias)


def seconds(bound: Seconds, description: str) -> Any:
    return Query(ge=bound.low, le=bound.high, description=description)


def limit(bound: Integer, description: str) -> Any:
    """How much a page may hold. Unlike in an RPC, 0 does not stand for the default."""
    return Query(ge=1, le=bound.high, description=description)
