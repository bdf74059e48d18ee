"""A soak as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("server memory", "MB", (("server_megabytes", "RSS"),)),
    ("append latency", "ms", (("append_p50_ms", "p50"), ("append_p99_ms", "p99"))),
    ("disk", "MB", (("total_megabytes", "tables and indexes"), ("wal_megabytes", "WAL written"))),
    ("disk an event", "bytes", (("bytes_per_event", "all tables and indexes"),)),
    ("rows that change, a run", "bytes", (("head_bytes_per_run", "run_heads"),)),
    ("rows that come and go", "MB", (("queue_megabytes", "outbox and duties"),)),
    ("dead rows", "rows", (("dead_rows", "all tables"),)),
    ("feed", "events", (("feed_lag_events", "lag"), ("unpublished_events", "unpublished"))),
)


def draw(samples: list[dict[str, Any]], title: str, path: Path) -> None:
    """Write a PNG: one panel a quantity, over minutes."""
    minutes = [each["seconds"] / 60 for each in samples]
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(9, 16), sharex=True)
    for axis, (name, unit, lines) in zip(axes, PANELS, strict=True):
        for key, label in lines:
            axis.plot(minutes, [each[key] for each in samples], label=label, linewidth=1)
        axis.set_title(name, loc="left", fontsize=9)
        axis.set_ylabel(unit, fontsize=8)
        highest = max(each[key] for each in samples for key, _ in lines)
        axis.set_ylim(0, 1.2 * highest or 1)
        axis.legend(fontsize=7, loc="lower right")
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes")
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
