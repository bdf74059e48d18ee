"""Metadata of snapshots: a JSON object, filtered by the equality of its top-level members."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from runstore_storage.contract.payloads import Payload
from runstore_storage.database.threads import run_in_thread_if_large

# An exponent with more digits is cut off: no one compares numbers that only differ beyond it.
MAX_EXPONENT_DIGITS = 18
# Numbers take long to compare: those of a longer text, a tenth of a second for each 30,000.
THREAD_CHARACTERS = 16 << 10
# A longer text is not parsed: that takes a second already.
MAX_CHARACTERS = 1 << 20


async def terms_of(metadata: Payload | None) -> list[str]:
    """As `metadata_terms`, in a thread if there is much of it."""
    size = len(metadata.content) if metadata else 0
    return await run_in_thread_if_large(size, metadata_terms, metadata, most=THREAD_CHARACTERS)


def metadata_terms(metadata: Payload | None) -> list[str]:
    """One term for each top-level member of a JSON object; equal members have equal terms.

    Numbers are equal by value, objects whatever the order of their members. A text of more than
    `MAX_CHARACTERS` has one term, for it as a whole.
    """
    if metadata is None or not isinstance(metadata.content, str):
        return []
    text = metadata.content
    if len(text) > MAX_CHARACTERS:
        return [_hashed(text)]
    members: dict[str, Any] = json.loads(text, parse_int=_number_of, parse_float=_number_of)
    return sorted(_term(name, value) for name, value in members.items())


class _Number:
    """A JSON number in its one canonical spelling."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def tagged(self) -> list[int | str]:
        """A value that equals no other: all other numbers in it are `_Number`s, never a bare 0."""
        return [0, self.text]


def _number_of(spelling: str) -> _Number:
    """The number's digits and exponent without redundant zeros, whatever its size."""
    mantissa, _, exponent = spelling.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    if not stripped:
        return _Number("0")
    power = _exponent(exponent) - len(fraction) + len(digits) - len(stripped)
    return _Number(f"{sign}{stripped}e{power}")


def _exponent(spelling: str) -> int:
    digits = spelling.lstrip("+-").lstrip("0")[:MAX_EXPONENT_DIGITS] or "0"
    return -int(digits) if spelling.startswith("-") else int(digits)


def _term(name: str, value: object) -> str:
    return _hashed(
        json.dumps([name, value], sort_keys=True, separators=(",", ":"), default=_Number.tagged)
    )


def _hashed(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
