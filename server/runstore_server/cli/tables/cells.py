"""How single values look in a table or a line."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text
from runstore import Payload, RunInfo, Usage

MAX_PAYLOAD_SHOWN = 160
_STATUS_STYLE = {
    "RUNNING": "cyan",
    "PAUSED": "yellow",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "magenta",
    "EXTERNAL": "blue",
}


def time_cell(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else "-"


def payload_cell(payload: Payload | None) -> str:
    """The payload on one line, shortened; bytes only by their number."""
    if payload is None:
        return ""
    if isinstance(payload.content, bytes):
        return f"<{len(payload.content)} bytes {payload.content_type}>"
    text = " ".join(payload.content.split())
    return text if len(text) <= MAX_PAYLOAD_SHOWN else text[: MAX_PAYLOAD_SHOWN - 1] + "…"


def status_cell(info: RunInfo) -> Text:
    return Text(info.status.name.lower(), style=_STATUS_STYLE[info.status.name])


def cost_cell(usage: Usage) -> str:
    return f"${usage.cost_micros / 1e6:.4f}"
