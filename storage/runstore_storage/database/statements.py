"""Statements: plain SQL with parameters by name, compiled once to the driver's text.

The statement you read is the statement that runs: `statement(...)` only numbers its parameters, and
does so once, at import. SQLAlchemy's tables (`sql/tables.py`) are what migrations are checked
against; no statement is made from them. Tests have Postgres prepare every statement on a migrated
schema, which proves that migrations and statements speak of the same columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

# A colon before a name, unless it is part of a cast (`::bigint`) or stands within a word.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")

NO_VALUES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in the driver's text, and which parameters $1, $2, ... are."""

    sql: str
    parameters: tuple[str, ...]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """The values as the driver takes them; raise `TypeError` unless they fit the parameters."""
        # Together these two say that the names are the same, at the cost of neither set.
        if len(values) == len(self.parameters):
            try:
                return [values[name] for name in self.parameters]
            except KeyError:
                pass
        raise TypeError(self._misfit(values))

    def _misfit(self, values: Mapping[str, object]) -> str:
        missing = [name for name in self.parameters if name not in values]
        unknown = [name for name in values if name not in self.parameters]
        return f"statement misses values for {missing} and has no parameters {unknown}: {self.sql}"


def statement(text: str) -> Statement:
    """The statement of a text in which `:name` stands for a parameter, any number of times."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: number for number, name in enumerate(names, 1)}
    return Statement(_PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text), names)


# Statements that are put together when they are called for: each text is compiled once, too.
composed = lru_cache(maxsize=1024)(statement)
