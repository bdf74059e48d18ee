"""A figure: what is measured, beside what, and what is wanted of it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Round = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of the ratio to the baseline, or, where there is none, of the value itself."""

    bound: float
    is_least: bool = False

    def is_met_by(self, found: float) -> bool:
        return found >= self.bound if self.is_least else found <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound:g}"


def at_least(bound: float) -> Target:
    return Target(bound, is_least=True)


def at_most(bound: float) -> Target:
    return Target(bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table before it is measured."""

    title: str
    unit: str
    baseline: str = ""
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The rounds of a figure and of its baseline, and what else was seen meanwhile."""

    key: str
    values: list[float]
    baseline: list[float] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        return self.value / median(self.baseline) if self.baseline else None

    def record(self, figure: Figure) -> dict[str, Any]:
        """The figure as it is written down."""
        judged = self.value if self.ratio is None else self.ratio
        return {
            "key": self.key,
            "figure": figure.title,
            "unit": figure.unit,
            "value": self.value,
            "spread_percent": spread(self.values),
            "rounds": self.values,
            "baseline": figure.baseline,
            "baseline_value": median(self.baseline) if self.baseline else None,
            "baseline_spread_percent": spread(self.baseline),
            "baseline_rounds": self.baseline,
            "ratio": self.ratio,
            "target": str(figure.target) if figure.target else "",
            "is_met": figure.target.is_met_by(judged) if figure.target else None,
            "notes": self.notes,
        }


def spread(values: list[float]) -> float | None:
    """From the least to the greatest, in per cent of the median."""
    if len(values) < 2 or not median(values):
        return None
    return 100 * (max(values) - min(values)) / median(values)


async def alternate(rounds: int, *sides: Round) -> list[list[float]]:
    """Each side's values, in turns; the first turn warms up and does not count."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, values in zip(sides, taken, strict=True):
            value = await side()
            if number:
                values.append(value)
    return taken


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
