"""Kinds of bounds, and the bounds that several nouns share.

The text of a bound is what follows "Bounds:" in the field's comment in the contracts; a test proves
the two equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_INT64 = 2**63 - 1
MAX_INT32 = 2**31 - 1
NAME_RULE = "letters, digits and ._-/:@+~, a letter or digit first"
NAME_PATTERN = re.compile(r"[^\W_][\w.\-/:@+~]*")
"""Letters and digits are those of any script. Blanks and invisible characters are none, so a name
survives shells, logs and copying."""


@dataclass(frozen=True, slots=True)
class Text:
    """Length of a string in Unicode characters and, if `most_bytes` is set, in bytes of UTF-8.

    NUL is never allowed. With `is_name` the string is a name: see `NAME_PATTERN`.
    """

    low: int
    high: int
    most_bytes: int | None = None
    is_name: bool = False

    def __str__(self) -> str:
        most = f", at most {self.most_bytes} bytes" if self.most_bytes else ""
        of_name = f": {NAME_RULE}" if self.is_name else ""
        return f"{self.low}..{self.high} characters{most}{of_name}"


@dataclass(frozen=True, slots=True)
class Items:
    """Number of items of a list, and the bound of each string item."""

    low: int
    high: int
    each: Text | None = None

    def __str__(self) -> str:
        return f"{self.low}..{self.high} items" + (f", each {self.each}" if self.each else "")


@dataclass(frozen=True, slots=True)
class Entries:
    """Number of entries of a map, and the bounds of its keys and string values."""

    high: int
    keys: Text
    values: Text | None = None

    def __str__(self) -> str:
        values = f", values {self.values}" if self.values else ""
        return f"0..{self.high} items, keys {self.keys}{values}"


@dataclass(frozen=True, slots=True)
class Integer:
    """Range of an integer."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class Seconds:
    """Range of a duration."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:.0f} seconds"


Bound = Text | Items | Entries | Integer | Seconds

ID = Text(0, 200)
REQUIRED_ID = Text(1, 200)
PROJECT = Text(0, 200, is_name=True)
# Nested graphs' names are long; more bytes than this would not fit the key of a task write, which
# is an index row of Postgres.
NAMESPACE = Text(0, 400, most_bytes=1000)
TAGS = Items(0, 64, REQUIRED_ID)
LABELS = Entries(64, REQUIRED_ID, Text(0, 1000))
STATUSES = Items(0, 16)
SEQ = Integer(0, MAX_INT64)
TOKEN = Text(0, 2500)
# Pages of what is large, and pages of what is small.
PAGE = Integer(0, 100)
LONG_PAGE = Integer(0, 1000)
BATCH = Items(0, 1000)
FULL_BATCH = Items(1, 1000)
HEARTBEAT = Seconds(0.1, 3600)
WAIT = Seconds(0, 30)
OF_RUN: dict[str, Bound] = {"project": PROJECT, "run_id": REQUIRED_ID}
GUARDED: dict[str, Bound] = {"expected_seq": SEQ, "writer_epoch": SEQ}
PAGED: dict[str, Bound] = {"page_size": PAGE, "page_token": TOKEN}
