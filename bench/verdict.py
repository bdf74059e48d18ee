"""Whether anything grew that should not have: the last third of a soak beside its first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import linear_regression, median
from typing import Any

Samples = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Judged:
    """Medians of the first and the last third; growth an hour by the slope through all samples."""

    name: str
    unit: str
    first: float
    last: float
    slope_per_hour: float
    allowed: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """The last third may be the first times `factor`, plus `slack`."""

    name: str
    unit: str
    key: str
    factor: float
    slack: float


RULES = (
    Rule("server memory", "MB", "server_megabytes", 1.1, 10),
    Rule("append p50", "ms", "append_p50_ms", 1.2, 1),
    Rule("append p99", "ms", "append_p99_ms", 1.5, 5),
    Rule("disk an event", "bytes", "bytes_per_event", 1.1, 0),
    Rule("run_heads, a run", "bytes", "head_bytes_per_run", 1.2, 0),
    Rule("outbox and duties", "MB", "queue_megabytes", 1.5, 4),
    Rule("dead rows", "rows", "dead_rows", 2.0, 20_000),
    Rule("feed lag", "events", "feed_lag_events", 2.0, 1000),
)


def judged(samples: Samples) -> list[dict[str, Any]]:
    """One judgement a rule. Needs at least three samples."""
    third = len(samples) // 3
    if not third:
        raise ValueError("a verdict needs at least three samples")
    return [asdict(_judge(rule, samples, third)) for rule in RULES]


def _judge(rule: Rule, samples: Samples, third: int) -> Judged:
    hours = [each["seconds"] / 3600 for each in samples]
    values = [float(each[rule.key]) for each in samples]
    first, last = median(values[:third]), median(values[-third:])
    allowed = first * rule.factor + rule.slack
    slope = linear_regression(hours, values).slope
    return Judged(rule.name, rule.unit, first, last, slope, allowed, last <= allowed)
