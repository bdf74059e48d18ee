"""Enums whose members are written as words."""

from __future__ import annotations

from enum import IntEnum

_NUMBERS = tuple("bcdoxXn")


class WordEnum(IntEnum):
    """Numbers, as the contracts have them, that are written as words, such as `paused`."""

    @classmethod
    def _missing_(cls, value: object) -> WordEnum | None:
        """A number that a later release has given a meaning is a member that says no more."""
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"UNKNOWN_{value}", value
        return member

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, spec: str) -> str:
        return format(int(self) if spec.endswith(_NUMBERS) else str(self), spec)
