"""Enums whose members are written as words."""

from __future__ import annotations

from enum import IntEnum

_NUMBERS = tuple("bcdoxXn")


class WordEnum(IntEnum):
    """Numbers, as the contracts have them, that are written as words, such as `paused`."""

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, spec: str) -> str:
        return format(int(self) if spec.endswith(_NUMBERS) else str(self), spec)
