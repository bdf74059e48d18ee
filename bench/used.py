"""Processor time that client, server and Postgres used for what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.servers import Server, cpu_seconds
from bench.setting import Setting

PROCESSES = ("client", "server", "postgres")

Used = dict[str, float]


def seconds(setting: Setting, server: Server | None) -> Used:
    """Until now. A server that idles beside the other side is not counted."""
    return {
        "server": server.cpu_seconds() if server else 0.0,
        "postgres": cpu_seconds(setting.postgres),
    }


def milliseconds_each(before: Used, after: Used, count: int) -> Used:
    return {name: 1000 * (after[name] - before[name]) / count for name in after}


def totals(rounds: Sequence[Used]) -> list[float]:
    return [sum(each[name] for name in PROCESSES) for each in rounds]


def split(rounds: Sequence[Used]) -> Used:
    """Each process's part."""
    return {name: round(median(each[name] for each in rounds), 2) for name in PROCESSES}
