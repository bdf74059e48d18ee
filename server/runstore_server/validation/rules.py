"""What a message has to keep, and how a broken rule is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runstore_server.edge.errors import Violation
from runstore_server.validation.bounds import Bound

MAX_VIOLATIONS = 50

Found = list[Violation]
Check = Callable[[Any, str, Found], None]
"""Takes a message, the path of its fields (empty, or with a dot at its end), and what was found so
far, to which it adds."""


class EnoughFound(Exception):
    """No more violations are collected."""


def report(found: Found, field: str, description: str) -> None:
    """Add a violation; raise `EnoughFound` with the last one that is collected."""
    found.append(Violation(field, description))
    if len(found) == MAX_VIOLATIONS:
        raise EnoughFound


@dataclass(frozen=True, slots=True)
class MessageRules:
    """The rules of one message type, beside those that follow from its fields' types."""

    bounds: Mapping[str, Bound] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    """Fields of message type that must be set."""
    apart: tuple[str, ...] = ()
    """Lists of messages that are checked one by one elsewhere: one that breaks a rule is refused
    by itself."""
    checks: tuple[Check, ...] = ()
    """What no single field shows to be wrong."""


Rules = dict[str, MessageRules]
"""By the name of the message type."""
